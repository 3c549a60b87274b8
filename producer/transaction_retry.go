package producer

import (
	"context"
	"errors"
	"time"

	"github.com/balanceq/balanceq/kafkawire"

	"github.com/segmentio/kafka-go"
)

const (
	tryTimeout   = kafkawire.TryTimeout
	abortTimeout = time.Second // of aborting at once; otherwise the next takeOver does it
	maxPause     = 500 * time.Millisecond

	rebalancePatience = 3 * time.Second // with a group between generations; whoever gets the partitions next waits as long
)

func (t *Transactions) retries() kafkawire.Retry {
	return kafkawire.Retry{Client: t.wire, Failed: func(err error, before int) {
		t.suspect(err)
		if before >= worthSaying {
			t.note(err) // Commit may go on for long
		}
	}}
}

// retry makes a call until it has a definite answer or ctx ends. Every call of a transaction may be repeated as it is.
func (t *Transactions) retry(ctx context.Context, call func(context.Context) error) error {
	return t.retryIf(ctx, tryTimeout, passes, call)
}

func passes(err error) bool { return kafkawire.Passes(err) && !errors.Is(err, errMoved) }

// retryIf is retry with the time that one try has, and with what may be tried again.
func (t *Transactions) retryIf(
	ctx context.Context, patience time.Duration, passes func(error) bool, call func(context.Context) error,
) error {
	return t.retries().DoIf(ctx, patience, passes, call)
}

// suspect notes an answer that was lost. Its request may come to a broker late and would count for the next transaction of
// the epoch: an EndTxn would commit half of it, a TxnOffsetCommit would rewind its offsets. So there is none.
func (t *Transactions) suspect(err error) {
	var answer kafka.Error
	if !errors.As(err, &answer) {
		t.lost = true
	}
}
