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
// have left open of a transaction before is remembered from Begin until EndAgain has ended it.
type Epochs struct {
	ID      string
	Timeout time.Duration // of a transaction; the coordinator aborts one that takes longer

	txn  Transactional
	last ending // of the transaction before txn; endUnknown once EndAgain is through
}

// Begin begins another epoch (InitProducerId): a producer that had the id before is fenced, an open transaction is
// aborted. Then comes EndAgain if something is LeftOpen.
//
// An EndAgain that has failed may have left its own transaction open. To abort that would be to abort what it was to
// commit, so it is ended first, as it would have been; one that was not begun, or is over, is answered in error. What
// is asked afterwards is the state of that transaction, or Empty: what was to be repeated stays as it is.
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
			e.last = last
		}
		t, err = r.Client.InitTransactional(ctx, e.ID, e.Timeout)
		return err
	})
	return t, err
}

// LeftOpen says that something of the transaction before may be open: EndAgain comes before anything else.
func (e *Epochs) LeftOpen() bool { return e.last == endCommitted || e.last == endAborted }

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
// A single broker that is killed while it ends a transaction (Kafka 4.3.1) comes back as coordinator before it knows
// itself as leader again, takes the partitions for deleted, and leaves out the markers by which the transaction ends
// there: its records would stay invisible, all that follows them, too, and its offsets unstable (error 88). A marker of
// the same producer id, whatever the epoch, ends what is open. So a transaction without records over all partitions
// repeats the decision; where nothing is open, it does nothing.
//
// It may return before the markers are written. The next InitTransactional or AddPartitions waits for them.
func (e *Epochs) EndAgain(ctx context.Context, r Retry, group string, partitions map[string][]int32) error {
	if !e.LeftOpen() {
		return nil
	}
	if err := r.endAgain(ctx, e.txn, e.last == endCommitted, group, partitions); err != nil {
		return fmt.Errorf("ending what is left of the transaction before: %w", FirstFenced(err))
	}
	e.last = endUnknown
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
