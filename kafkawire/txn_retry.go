package kafkawire

import (
	"context"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// Retry repeats calls of a transaction until they have a definite answer: each of them may be repeated as it is.
type Retry struct {
	Client *Client
	// Failed, if set, is told of each failure that is waited out, but for CONCURRENT_TRANSACTIONS, and of how many this
	// call has had before.
	Failed func(err error, before int)
}

// TryTimeout is what one try of a call may take, so that one that hangs leaves time for another.
const TryTimeout = 5 * time.Second

// A transaction has no time to lose, and one that is still being ended takes a few milliseconds.
const (
	minRetryPause = 10 * time.Millisecond
	maxRetryPause = 500 * time.Millisecond
	minBusyPause  = time.Millisecond
	maxBusyPause  = 20 * time.Millisecond
)

// Passes says that a call of a transaction may get another answer when it is repeated.
func Passes(err error) bool { return Transient(err) || ConcurrentTransactions(err) }

// Do makes a call until it succeeds, fails in a way that does not pass, or ctx ends. It returns the last error.
func (r Retry) Do(ctx context.Context, call func(context.Context) error) error {
	return r.DoIf(ctx, TryTimeout, Passes, call)
}

// DoIf is Do with the time that one try has, and with what is tried again.
func (r Retry) DoIf(
	ctx context.Context, timeout time.Duration, again func(error) bool, call func(context.Context) error,
) error {
	for tries := 0; ; tries++ {
		try, cancel := context.WithTimeout(ctx, timeout)
		err := call(try)
		cancel()
		if err == nil || !again(err) {
			return err
		}
		pause := min(minRetryPause<<min(tries, 10), maxRetryPause)
		if ConcurrentTransactions(err) {
			pause = min(minBusyPause<<min(tries, 10), maxBusyPause)
		} else {
			r.Client.Reset()
			if r.Failed != nil {
				r.Failed(err, tries)
			}
		}
		if !wait.Sleep(ctx, pause) {
			return err
		}
	}
}

// Leaves are the errors of which a joined one is made, or the one itself.
func Leaves(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// FirstFenced returns the first of several joined errors that says Fenced: it concerns the whole transaction, whatever
// partition it names, and more of them say no more. Without one it returns err.
func FirstFenced(err error) error {
	for _, one := range Leaves(err) {
		if Fenced(one) {
			return one
		}
	}
	return err
}
