package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Ending is how the last transaction of a transactional id has ended: the state of the id in DescribeTransactions
// (KIP-664).
type Ending string

// The endings that say so. Any other state (never used, a transaction under way) decides nothing.
const (
	EndCommitted Ending = "CompleteCommit"
	EndAborted   Ending = "CompleteAbort"

	endEmpty Ending = "Empty" // there was no transaction since the last InitProducerId

	preparing = "Prepare" // begins the states in which the brokers are ending a transaction
)

// Decided says whether the ending is a decision that EndAgain can repeat.
func (e Ending) Decided() bool { return e == EndCommitted || e == EndAborted }

// BeginEpoch gives the transactional id a new epoch (InitProducerId): a producer that had it before is fenced, an open
// transaction is aborted. It returns how the last transaction before that has ended.
//
// A request that is late, or a process that was thought dead, may begin one more transaction after that was asked for.
// InitProducerId aborts it, which the brokers answer with CONCURRENT_TRANSACTIONS: so after every answer in error the
// state is asked for again, or EndAgain could commit what was aborted. Once InitProducerId has worked, earlier epochs
// are refused. If its answer was lost, the state is Empty: that is our own doing, and what was said before stands.
func (r Retry) BeginEpoch(ctx context.Context, id string,
	timeout time.Duration) (t Transactional, last Ending, err error) {
	err = r.Do(ctx, func(ctx context.Context) error {
		ending, err := r.ending(ctx, id)
		if err != nil {
			return err
		}
		if ending != endEmpty {
			last = ending
		}
		t, err = r.Client.InitTransactional(ctx, id, timeout)
		return err
	})
	return t, last, err
}

// ending waits while the brokers are ending a transaction.
func (r Retry) ending(ctx context.Context, id string) (ending Ending, err error) {
	err = r.Do(ctx, func(ctx context.Context) error {
		state, err := r.Client.DescribeTransactional(ctx, id)
		if err != nil {
			return err
		}
		if strings.HasPrefix(state, preparing) {
			return kafka.ConcurrentTransactions
		}
		ending = Ending(state)
		return nil
	})
	if Forbidden(err) {
		return "", nil // InitTransactional will say what is missing
	}
	return ending, err
}

// EndAgain ends what the brokers may have left open of a transaction that they call ended, in the partitions to which
// transactions of the id write and in the offsets of the group (if one is named). t is the epoch that BeginEpoch has
// begun, and last what it has returned; with an ending that decides nothing, EndAgain does nothing.
//
// A single broker that is killed while it ends a transaction (Kafka 4.3.1) comes back as coordinator before it knows
// itself as leader again, takes the partitions for deleted, and leaves out the markers by which the transaction ends
// there: its records would stay invisible, all that follows them, too, and its offsets unstable (error 88). A marker of
// the same producer id, whatever the epoch, ends what is open. So a transaction without records over all partitions
// repeats the decision; where nothing is open, it does nothing.
//
// It may return before the markers are written. The next InitTransactional or AddPartitions waits for them.
func (r Retry) EndAgain(
	ctx context.Context, t Transactional, last Ending, group string, partitions map[string][]int32,
) error {
	if !last.Decided() {
		return nil
	}
	var err error
	if group != "" {
		err = r.Do(ctx, func(ctx context.Context) error { return r.Client.AddOffsets(ctx, t, group) })
	}
	if err == nil {
		err = r.addThoseThere(ctx, t, partitions)
	}
	if err == nil {
		err = r.Do(ctx, func(ctx context.Context) error { return r.Client.EndTransaction(ctx, t, last == EndCommitted) })
	}
	if err != nil {
		return fmt.Errorf("ending what is left of the transaction before: %w", FirstFenced(err))
	}
	return nil
}

// youngBroker is how long a broker that has just started may not know a topic yet.
const youngBroker = time.Second

// addThoseThere adds partitions to a transaction, without those that the brokers refuse while the others exist: of a
// topic that was deleted nothing is left open, and what may not be written to any more, only an operator can end.
func (r Retry) addThoseThere(ctx context.Context, t Transactional, partitions map[string][]int32) error {
	left := map[string][]int32{}
	for topic, ids := range partitions {
		left[topic] = slices.Clone(ids)
	}
	for {
		n := 0
		for _, ids := range left {
			n += len(ids)
		}
		began := time.Now()
		err := r.DoIf(ctx, TryTimeout, func(err error) bool {
			refused := len(notThere(err))
			return Passes(err) && (refused == 0 || refused == n || time.Since(began) < youngBroker)
		}, func(ctx context.Context) error { return r.Client.AddPartitions(ctx, t, left) })
		refused := notThere(err)
		if len(refused) == 0 || len(refused) == n {
			return err
		}
		for _, p := range refused {
			left[p.Topic] = slices.DeleteFunc(left[p.Topic], func(id int32) bool { return id == p.Partition })
			if len(left[p.Topic]) == 0 {
				delete(left, p.Topic)
			}
		}
	}
}

// notThere are the partitions that do not exist, or are not for us.
func notThere(err error) (refused []*PartitionError) {
	for _, err := range Leaves(err) {
		p, ok := errors.AsType[*PartitionError](err)
		if ok && (PartitionRefused(err) || errors.Is(err, kafka.UnknownTopicOrPartition)) {
			refused = append(refused, p)
		}
	}
	return refused
}

// DescribeTransactional asks for the state of a transactional id (DescribeTransactions v0), such as Ongoing or
// CompleteCommit; "" means that it was never used, or not for a long time. Unlike InitTransactional, it fences no
// producer.
func (c *Client) DescribeTransactional(ctx context.Context, id string) (string, error) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.Version = 0
	req.TransactionalIDs = []string{id}
	r, err := Typed[*kmsg.DescribeTransactionsResponse](c.transactionCall(ctx, id, req))
	if err == nil && len(r.TransactionStates) != 1 {
		err = fmt.Errorf("kafka: %d ids in the answer, want one", len(r.TransactionStates))
	}
	if err != nil {
		return "", fmt.Errorf("describing transactional id %s: %w", id, err)
	}
	state := &r.TransactionStates[0]
	if state.ErrorCode == int16(errTransactionalIDNotFound) {
		return "", nil
	}
	if err := CodeError(state.ErrorCode); err != nil {
		return "", fmt.Errorf("describing transactional id %s: %w", id, err)
	}
	return state.State, nil
}

const errTransactionalIDNotFound = kafka.Error(105)
