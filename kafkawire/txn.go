package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Transactional is a transactional id with the producer id that the coordinator has given to it (KIP-98). All calls
// with it may be repeated as they are until they get a definite answer; one producer id has one transaction at a time.
//
// The versions are those of the protocol before KIP-890, which brokers of every version speak. There a request whose
// answer was lost can arrive late and count for the next transaction of the same epoch: after such a loss, call
// InitTransactional again before the next transaction.
type Transactional struct {
	ID       string
	Producer ProducerID
}

// ConcurrentTransactions says that the coordinator is still ending the transaction before: the same request works in a
// few milliseconds, without a Reset.
func ConcurrentTransactions(err error) bool { return errors.Is(err, kafka.ConcurrentTransactions) }

// ErrSharedID says that another live instance uses the same transactional id: trying again would go on for ever.
var ErrSharedID = errors.New("two instances take turns")

// Fenced says that the coordinator has ended the transaction without us: somebody else uses the transactional id, or
// the transaction took longer than its timeout.
func Fenced(err error) bool {
	return errors.Is(err, kafka.ProducerFenced) || errors.Is(err, kafka.InvalidProducerEpoch)
}

// InitTransactional begins an epoch of a transactional id (InitProducerId v4): a producer that had it before is fenced,
// and its open transaction aborted. timeout is how long a transaction may last before the coordinator aborts it;
// brokers refuse more than transaction.max.timeout.ms.
func (c *Client) InitTransactional(ctx context.Context, id string, timeout time.Duration) (Transactional, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = 4
	req.TransactionalID = &id
	req.TransactionTimeoutMillis = wireMillis(timeout)
	r, err := Typed[*kmsg.InitProducerIDResponse](c.transactionCall(ctx, id, req))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return Transactional{}, fmt.Errorf("initialising transactional id %s: %w", id, err)
	}
	return Transactional{ID: id, Producer: ProducerID{ID: r.ProducerID, Epoch: r.ProducerEpoch}}, nil
}

// AddPartitions announces where the transaction will write (AddPartitionsToTxn v3); the first of them begins it. All
// are added or none.
func (c *Client) AddPartitions(ctx context.Context, t Transactional, topics map[string][]int32) error {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = 3
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.ID, t.Producer.ID, t.Producer.Epoch
	for name, partitions := range topics {
		topic := kmsg.NewAddPartitionsToTxnRequestTopic()
		topic.Topic, topic.Partitions = name, partitions
		req.Topics = append(req.Topics, topic)
	}
	r, err := Typed[*kmsg.AddPartitionsToTxnResponse](c.transactionCall(ctx, t.ID, req))
	if err != nil {
		return fmt.Errorf("adding partitions to a transaction: %w", err)
	}
	var failed []error
	for i := range r.Topics {
		for _, p := range r.Topics[i].Partitions {
			err := CodeError(p.ErrorCode)
			if err == nil || errors.Is(err, errOperationNotAttempted) {
				continue
			}
			failed = append(failed, &PartitionError{Topic: r.Topics[i].Topic, Partition: p.Partition,
				Err: fmt.Errorf("adding it to a transaction: %w", err)})
			if ConcurrentTransactions(err) {
				return failed[0] // they all say so
			}
		}
	}
	return errors.Join(failed...)
}

// PartitionError is the refusal of one partition of a request; several are joined.
type PartitionError struct {
	Topic     string
	Partition int32
	Err       error
}

func (e *PartitionError) Error() string { return fmt.Sprintf("%s/%d: %v", e.Topic, e.Partition, e.Err) }

// Unwrap returns what the brokers say.
func (e *PartitionError) Unwrap() error { return e.Err }

// errOperationNotAttempted is the answer for partitions that were not added because of another one's error.
const errOperationNotAttempted = kafka.Error(55)

// AppendTransactionalBatch is AppendBatch within a transaction. Sequences go on over the transactions of one epoch.
func AppendTransactionalBatch(dst []byte, id ProducerID, sequence int32, records []Record, now time.Time) []byte {
	start := len(dst)
	dst = AppendBatch(dst, id, sequence, records, now)
	dst[start+atAttributes+1] |= attrTransactional
	Stamp(dst[start:], id, sequence)
	return dst
}

// ProduceTransactional is Produce within a transaction, for batches of AppendTransactionalBatch. There must not be two
// requests of one transaction at one broker at a time: Kafka answers NOT_ENOUGH_REPLICAS to one of them.
func (c *Client) ProduceTransactional(ctx context.Context, t Transactional, leader int32, batches []*Batch) error {
	req := produceRequest(batches)
	req.TransactionID = &t.ID
	r, err := Typed[*kmsg.ProduceResponse](c.Broker(ctx, leader, req))
	if err != nil {
		return err
	}
	type place struct {
		topic     string
		partition int32
	}
	answers := map[place]*kmsg.ProduceResponseTopicPartition{}
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			answers[place{r.Topics[i].Topic, p.Partition}] = p
		}
	}
	for _, b := range batches {
		answer := answers[place{b.Topic, b.Partition}]
		if answer == nil {
			return fmt.Errorf("kafka: no answer for %s/%d", b.Topic, b.Partition)
		}
		b.Err, b.First = refused(answer), answer.BaseOffset
	}
	return nil
}

// AddOffsets announces that the transaction will commit offsets of the group (AddOffsetsToTxn v3).
func (c *Client) AddOffsets(ctx context.Context, t Transactional, group string) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.Version = 3
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = t.ID, t.Producer.ID, t.Producer.Epoch, group
	r, err := Typed[*kmsg.AddOffsetsToTxnResponse](c.transactionCall(ctx, t.ID, req))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("adding offsets to a transaction: %w", err)
	}
	return nil
}

// CommitTransactionOffsets stores offsets that count from the end of the transaction on (TxnOffsetCommit v3, KIP-447).
// The group refuses them from a member or generation that it does not know any more; it does not take them for a sign
// of life. The errors of partitions are joined, unless all say the same, which concerns none alone. Then the
// transaction must be aborted, as ending it would store the others.
func (c *Client) CommitTransactionOffsets(
	ctx context.Context, t Transactional, m Member, topic string, offsets map[int32]OffsetAndMetadata,
) error {
	for portion := range commitPortions(m.Group, topic, offsets) {
		if err := c.commitTransactionPortion(ctx, t, m, topic, portion); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) commitTransactionPortion(
	ctx context.Context, t Transactional, m Member, topic string, offsets map[int32]OffsetAndMetadata,
) error {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version = 3
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.ID, t.Producer.ID, t.Producer.Epoch
	req.Group, req.MemberID, req.Generation = m.Group, m.ID, m.Generation
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = topic
	for partition, o := range offsets {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, o.Offset, o.Epoch, &o.Metadata
		rt.Partitions = append(rt.Partitions, p)
	}
	req.Topics = append(req.Topics, rt)
	r, err := Typed[*kmsg.TxnOffsetCommitResponse](c.Coordinator(ctx, m.Group, req))
	if err != nil {
		return fmt.Errorf("committing offsets in a transaction: %w", err)
	}
	answered := 0
	codes := map[int16]bool{}
	var failed []error
	for i := range r.Topics {
		for _, p := range r.Topics[i].Partitions {
			answered++
			codes[p.ErrorCode] = true
			if p.ErrorCode != 0 {
				err := fmt.Errorf("committing the offset of partition %d in a transaction: %w", p.Partition, CodeError(p.ErrorCode))
				failed = append(failed, &PartitionError{Topic: topic, Partition: p.Partition, Err: err})
			}
		}
	}
	if answered != len(offsets) {
		return fmt.Errorf("committing offsets in a transaction: %d of %d partitions answered", answered, len(offsets))
	}
	if len(failed) > 0 && len(codes) == 1 {
		return errors.Unwrap(failed[0])
	}
	return errors.Join(failed...)
}

// EndTransaction commits or aborts (EndTxn v3). Where its answer is lost, only the same decision may be sent again. A
// transaction to which nothing was added cannot be ended: INVALID_TXN_STATE.
func (c *Client) EndTransaction(ctx context.Context, t Transactional, commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version = 3
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = t.ID, t.Producer.ID, t.Producer.Epoch, commit
	r, err := Typed[*kmsg.EndTxnResponse](c.transactionCall(ctx, t.ID, req))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("ending a transaction: %w", err)
	}
	return nil
}
