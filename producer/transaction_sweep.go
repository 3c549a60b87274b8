package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/balanceq/balanceq/kafkawire"

	"github.com/segmentio/kafka-go"
)

// The states of a transactional id (KIP-664) that say how its last transaction ended or is about to.
const (
	aboutToEnd = "Prepare"
	committed  = "CompleteCommit"
	aborted    = "CompleteAbort"
	empty      = "Empty" // there was none since the id was taken over
)

// begin takes the transactional id over, and returns how the last transaction before that has ended.
//
// A request that is late, or a process that was thought dead, may begin one more transaction after we have asked for that.
// Taking over aborts it, which the brokers answer with CONCURRENT_TRANSACTIONS: so after every answer in error we ask again,
// or a sweep could commit what was aborted. Once it has worked, the epochs before are refused. If its answer was lost, the
// state is empty: that is our own doing, and what was said before stands.
func (t *Transactions) begin(ctx context.Context) (last string, err error) {
	err = t.retry(ctx, func(ctx context.Context) error {
		state, err := t.lastEnd(ctx)
		if err != nil {
			return err
		}
		if state != empty {
			last = state
		}
		t.txn, err = t.wire.InitTransactional(ctx, t.cfg.ID, t.cfg.Timeout)
		return err
	})
	return last, err
}

// lastEnd returns the state in which the transaction before ours has ended, "" if there was none, or none that ended. While
// the brokers are at it, it waits.
func (t *Transactions) lastEnd(ctx context.Context) (state string, err error) {
	err = t.retry(ctx, func(ctx context.Context) error {
		if state, err = t.wire.DescribeTransactional(ctx, t.cfg.ID); err != nil {
			return err
		}
		if strings.HasPrefix(state, aboutToEnd) {
			return kafka.ConcurrentTransactions
		}
		return nil
	})
	if kafkawire.Forbidden(err) {
		return "", nil // InitTransactional will say what is missing
	}
	return state, err
}

// sweep ends what the brokers may have left open of a transaction that they call ended. A single broker that is killed in
// between (Kafka 4.3.1) comes back as coordinator before it knows itself as leader again, takes the partitions for deleted,
// and leaves out the markers by which the transaction ends there: its records would stay invisible, all that follows them,
// too, and its offsets unstable (error 88). A marker of the same producer id, whatever the epoch, ends what is open. So a transaction without
// records over all partitions repeats the decision; where nothing is open, it does nothing.
func (t *Transactions) sweep(ctx context.Context, state string) error {
	if state != committed && state != aborted {
		return nil
	}
	if err := t.retry(ctx, t.layout); err != nil {
		return err
	}
	partitions := map[string][]int32{}
	for name, topic := range t.topics {
		for _, q := range topic.queues {
			partitions[name] = append(partitions[name], q.partition)
		}
	}
	err := t.retry(ctx, func(ctx context.Context) error { return t.wire.AddOffsets(ctx, t.txn, t.cfg.Group) })
	if err == nil {
		err = t.addAll(ctx, partitions)
	}
	if err == nil {
		err = t.retry(ctx, func(ctx context.Context) error { return t.wire.EndTransaction(ctx, t.txn, state == committed) })
	}
	if err != nil {
		return fmt.Errorf("ending what is left of the transaction before: %w", fence(err))
	}
	return nil
}

// addAll adds partitions to a transaction, without those that the brokers refuse while the others exist: of a topic that was
// deleted nothing is left open, and what may not be written to any more, we cannot end. A broker that has just started may
// not know a topic yet, so that is asked for a little longer.
func (t *Transactions) addAll(ctx context.Context, partitions map[string][]int32) error {
	for {
		n := 0
		for _, ids := range partitions {
			n += len(ids)
		}
		began := time.Now()
		err := t.retryIf(ctx, tryTimeout, func(err error) bool {
			refused := len(missing(err))
			return passes(err) && (refused == 0 || refused == n || time.Since(began) < passingPatience)
		}, func(ctx context.Context) error { return t.wire.AddPartitions(ctx, t.txn, partitions) })
		refused := missing(err)
		if len(refused) == 0 || len(refused) == n {
			return err
		}
		for _, r := range refused {
			partitions[r.Topic] = slices.DeleteFunc(partitions[r.Topic], func(id int32) bool { return id == r.Partition })
			if len(partitions[r.Topic]) == 0 {
				delete(partitions, r.Topic)
			}
		}
	}
}

// missing are the partitions that are not there, or not for us.
func missing(err error) (refused []*kafkawire.PartitionError) {
	for _, err := range leaves(err) {
		var p *kafkawire.PartitionError
		if errors.As(err, &p) && (lasting(err) || errors.Is(err, kafka.UnknownTopicOrPartition)) {
			refused = append(refused, p)
		}
	}
	return refused
}
