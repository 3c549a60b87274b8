package producer

import (
	"context"
	"errors"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/segmentio/kafka-go"
)

const (
	tryTimeout   = 5 * time.Second // of one request, so that one that hangs leaves time for another
	abortTimeout = time.Second     // of aborting at once; otherwise the next takeOver does it
	busyBackoff  = time.Millisecond
	maxBusy      = 20 * time.Millisecond
	maxPause     = 500 * time.Millisecond // a transaction has no time to lose

	rebalancePatience = 3 * time.Second // with a group between generations; whoever gets the partitions next waits as long
)

// retry makes a call until it has a definite answer or ctx ends. Every call of a transaction may be repeated as it is.
func (t *Transactions) retry(ctx context.Context, call func(context.Context) error) error {
	return t.retryIf(ctx, tryTimeout, passes, call)
}

func passes(err error) bool {
	return (kafkawire.Transient(err) || kafkawire.ConcurrentTransactions(err)) && !errors.Is(err, errMoved)
}

// retryIf is retry with the time that one try has, and with what may be tried again.
func (t *Transactions) retryIf(
	ctx context.Context, patience time.Duration, passes func(error) bool, call func(context.Context) error,
) error {
	for tries := 0; ; tries++ {
		try, cancel := context.WithTimeout(ctx, patience)
		err := call(try)
		cancel()
		if err == nil || !passes(err) {
			return err
		}
		pause := min(minBackoff<<min(tries, 10), maxPause)
		if kafkawire.ConcurrentTransactions(err) {
			pause = min(busyBackoff<<min(tries, 10), maxBusy)
		} else {
			t.suspect(err)
			t.wire.Reset()
			if tries >= worthSaying {
				t.note(err) // Commit may go on for long
			}
		}
		if !wait.Sleep(ctx, pause) {
			return err
		}
	}
}

// suspect notes an answer that was lost. Its request may come to a broker late and would count for the next transaction of
// the epoch: an EndTxn would commit half of it, a TxnOffsetCommit would rewind its offsets. So there is none.
func (t *Transactions) suspect(err error) {
	var answer kafka.Error
	if !errors.As(err, &answer) {
		t.lost = true
	}
}
