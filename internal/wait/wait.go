// Package wait holds what code that waits needs: a pause that a context ends, and a signal that never blocks its
// sender. It also says which of many repetitions is worth a line in the log. It knows nothing else of balanceq.
package wait

import (
	"context"
	"time"
)

// Sleep waits for d. It returns false if ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Ended returns the error of a context that has ended. A dialer gives up at the context's deadline by a clock of its
// own, which may be just before the context ends, so a deadline that has passed counts, too.
func Ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Signal wakes one goroutine that receives from it. Set while no goroutine receives is remembered, once: the receiver
// looks at the state that the signal is about after each receive, so it misses nothing. A nil Signal is never received
// and may be set.
type Signal chan struct{}

// NewSignal returns a signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set sets the signal. It never blocks.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default: // set already: the receiver will look at the present state
	}
}

// Report says whether the n-th failure in a row should be logged: the first, second, fourth, eighth, and so on, so that
// a long outage does not fill the disk. n counts from 1.
func Report(n int) bool { return n&(n-1) == 0 }

// Over says whether a channel that is closed at the end of something has been closed. It does not wait; nil never is.
func Over(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
