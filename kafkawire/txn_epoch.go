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

// ending is how the last transaction of a transactional id has ended: the state of the id in DescribeTransactions
// (KIP-664). Any state that is not listed here (a transaction under way) decides nothing.
type ending string

const (
	endCommitted ending = "CompleteCommit"
	endAborted   ending = "CompleteAbort"
	endEmpty     ending = "Empty" // there was no transaction since the last InitProducerId
	endUnknown   ending = ""      // the id was never used, or not for a long time, or may not be described

	preparing = "Prepare" // begins the states in which the brokers are ending a transaction
)

// Epochs are the epochs of one transactional id, as one process begins them one after the other. What the brokers may
// have left open of a transaction that they call ended is remembered until EndAgain has ended it.
type Epochs struct {
	ID      string
	Timeout time.Duration // of a transaction; the coordinator aborts one that takes longer

	txn  Transactional
	last ending // of the last transaction
	open bool   // something of it may be, until it has ended that way once more
}

// Begin begins another epoch (InitProducerId): a producer that had the id before is fenced, an open transaction is
// aborted. Then comes EndAgain if something is LeftOpen.
//
// A transaction after the one that is LeftOpen may be under way: an EndAgain that has failed, or one that has nothing
// in it yet. To abort that would be to abort what was committed, so it is ended first, as the one before was. If none
// is under way, that is the same decision once more, or answered in error.
func (e *Epochs) Begin(ctx context.Context, r Retry) (Transactional, error) {
	if e.LeftOpen() && e.txn.ID != "" {
		err := r.Do(ctx, func(ctx context.Context) error {
			return r.Client.EndTransaction(ctx, e.txn, e.last == endCommitted)
		})
		if _, answered := errors.AsType[kafka.Error](err); err != nil && (!answered || Passes(err)) {
			return Transactional{}, err
		}
	}
	var err error
	e.txn, err = e.begin(ctx, r)
	return e.txn, err
}

// begin learns how the last transaction has ended, also where it fails.
//
// A request that is late, or a process that was thought dead, may begin one more transaction after that was asked for.
// InitProducerId aborts it, which the brokers answer with CONCURRENT_TRANSACTIONS: so after every answer in error the
// state is asked for again, or EndAgain could commit what was aborted. Once InitProducerId has worked, earlier epochs
// are refused. If its answer was lost, the state is Empty: that is our own doing, and what was said before stands.
func (e *Epochs) begin(ctx context.Context, r Retry) (t Transactional, err error) {
	err = r.Do(ctx, func(ctx context.Context) error {
		last, err := r.ending(ctx, e.ID)
		if err != nil {
			return err
		}
		if last != endEmpty && last != endUnknown {
			e.last, e.open = last, true
		}
		t, err = r.Client.InitTransactional(ctx, e.ID, e.Timeout)
		return err
	})
	return t, err
}

// Committed notes that a transaction of the epoch has ended so.
func (e *Epochs) Committed() { e.last = endCommitted }

// LeaveOpen notes that the brokers may have left something open of the last transaction. Another may have begun, but
// has nothing in it: Begin ends it.
func (e *Epochs) LeaveOpen() { e.open = true }

// LeftOpen says that something of the last transaction may be open, and that it is known how that has ended: EndAgain
// comes before anything else.
func (e *Epochs) LeftOpen() bool { return e.open && (e.last == endCommitted || e.last == endAborted) }

// Wait returns when the last transaction has come to its end, as far as the coordinator knows.
func (e *Epochs) Wait(ctx context.Context, r Retry) error {
	_, err := r.ending(ctx, e.ID)
	return err
}

// ending waits while the brokers are ending a transaction.
func (r Retry) ending(ctx context.Context, id string) (how ending, err error) {
	err = r.Do(ctx, func(ctx context.Context) error {
		state, err := r.Client.DescribeTransactional(ctx, id)
		if err != nil {
			return err
		}
		if strings.HasPrefix(state, preparing) {
			return kafka.ConcurrentTransactions
		}
		how = ending(state)
		return nil
	})
	if Forbidden(err) {
		return endUnknown, nil // InitTransactional will say what is missing
	}
	return how, err
}

// EndAgain ends what the brokers may have left open of a transaction that they call ended, in the partitions to which
// transactions of the id write and in the offsets of the group (if one is named). Where nothing is LeftOpen it does
// nothing.
//
// A coordinator that finds no leader for a partition takes it for deleted, and leaves out the marker by which the
// transaction ends there (Kafka 4.3.1): a single broker does so when it was killed and comes back, before it knows
// itself as leader again, and when it is stopped, after it has given up its partitions. The records would stay
// invisible, all that follows them, too, and offsets unstable (error 88). A marker of the same producer id, whatever
// the epoch, ends what is open. So a transaction without records over all partitions repeats the decision; where
// nothing is open, it does nothing.
//
// It may return before the markers are written. Wait, or the next InitTransactional or AddPartitions, waits for them.
func (e *Epochs) EndAgain(ctx context.Context, r Retry, group string, partitions map[string][]int32) error {
	if !e.LeftOpen() {
		return nil
	}
	if err := r.endAgain(ctx, e.txn, e.last == endCommitted, group, partitions); err != nil {
		return fmt.Errorf("ending what is left of the transaction before: %w", FirstFenced(err))
	}
	e.open = false
	return nil
}

func (r Retry) endAgain(
	ctx context.Context, t Transactional, commit bool, group string, partitions map[string][]int32,
) error {
	if group != "" {
		err := r.Do(ctx, func(ctx context.Context) error { return r.Client.AddOffsets(ctx, t, group) })
		if err != nil {
			return err
		}
	}
	if err := r.addThoseThere(ctx, t, partitions); err != nil {
		return err
	}
	return r.Do(ctx, func(ctx context.Context) error { return r.Client.EndTransaction(ctx, t, commit) })
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
