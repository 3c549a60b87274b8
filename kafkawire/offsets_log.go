package kafkawire

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Times that ListOffsets knows besides real ones.
const (
	Earliest int64 = -2
	Latest   int64 = -1 // with read-committed isolation: the last stable offset
)

// ListOffsets resolves a time (milliseconds, or Earliest or Latest) to offsets, asking each partition's leader
// (ListOffsets v4, read-committed): of a time, the first record with that or a later one, -1 where there is none. Each
// partition asked for is in the answer, or in PartitionsError; any other error is one of all partitions.
func (c *Client) ListOffsets(ctx context.Context, topic string, partitions []int32, at int64) (map[int32]int64, error) {
	return c.offsetsOf(ctx, topic, partitions, at, readCommitted)
}

// LogEnds returns where the partitions end, open transactions included (the high watermark). Errors are as in
// ListOffsets.
func (c *Client) LogEnds(ctx context.Context, topic string, partitions []int32) (map[int32]int64, error) {
	return c.offsetsOf(ctx, topic, partitions, Latest, readUncommitted)
}

// LeaderEpochs asks each partition's leader for its epoch, which grows with every leader: where it is the same as
// before, the partition has had one all the time. Errors are as in ListOffsets.
func (c *Client) LeaderEpochs(ctx context.Context, topic string, partitions []int32) (map[int32]int32, error) {
	answers, err := c.listOffsets(ctx, topic, partitions, Latest, readUncommitted)
	epochs := make(map[int32]int32, len(answers))
	for p, a := range answers {
		epochs[p] = a.LeaderEpoch
	}
	return epochs, err
}

// Isolation levels (KIP-98).
const (
	readUncommitted = 0
	readCommitted   = 1
)

func (c *Client) offsetsOf(ctx context.Context, topic string, partitions []int32, at int64,
	isolation int8) (map[int32]int64, error) {
	answers, err := c.listOffsets(ctx, topic, partitions, at, isolation)
	offsets := make(map[int32]int64, len(answers))
	for p, a := range answers {
		offsets[p] = a.Offset
	}
	return offsets, err
}

func (c *Client) listOffsets(ctx context.Context, topic string, partitions []int32, at int64,
	isolation int8) (map[int32]kmsg.ListOffsetsResponseTopicPartition, error) {
	leaders, _, err := c.Leaders(ctx, topic)
	if err != nil {
		return nil, err
	}
	asked := make(map[int32]int64, len(partitions))
	for _, p := range partitions {
		asked[p] = at
	}
	failed := PartitionsError{}
	byLeader, without := ByLeader(leaders, asked)
	for _, p := range without {
		failed[p] = fmt.Errorf("listing offsets of %s/%d: %w", topic, p, ErrNoLeader)
	}
	type answer struct {
		of   map[int32]int64
		list []kmsg.ListOffsetsResponseTopicPartition
		err  error
	}
	answers := make(chan answer, len(byLeader))
	for leader, of := range byLeader { // side by side: one that does not answer holds up its own partitions only
		go func() {
			list, err := c.listOffsetsOf(ctx, leader, topic, of, isolation)
			answers <- answer{of, list, err}
		}()
	}
	answered := make(map[int32]kmsg.ListOffsetsResponseTopicPartition, len(partitions))
	for range byLeader {
		a := <-answers
		for _, p := range a.list {
			if p.ErrorCode != 0 {
				failed[p.Partition] = fmt.Errorf("listing offsets of %s/%d: %w", topic, p.Partition, CodeError(p.ErrorCode))
				continue
			}
			answered[p.Partition] = p
		}
		for p := range a.of {
			if _, ok := answered[p]; !ok && failed[p] == nil {
				failed[p] = fmt.Errorf("listing offsets of %s/%d: %w", topic, p, cmp.Or(a.err, errNoAnswer))
			}
		}
	}
	return answered, failed.orNil()
}

var errNoAnswer = errors.New("the broker left it out of its answer")

func (c *Client) listOffsetsOf(
	ctx context.Context, leader int32, topic string, times map[int32]int64, isolation int8,
) (list []kmsg.ListOffsetsResponseTopicPartition, err error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 4
	req.ReplicaID = -1
	req.IsolationLevel = isolation
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for partition, at := range times {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = partition, at
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	r, err := Typed[*kmsg.ListOffsetsResponse](c.Broker(ctx, leader, req))
	if err != nil {
		return nil, err
	}
	for i := range r.Topics {
		list = append(list, r.Topics[i].Partitions...)
	}
	return list, nil
}

// EpochEnd asks a partition's leader where the records of a leader epoch end in its log (OffsetForLeaderEpoch v3,
// KIP-320). End is NoOffset where the log knows neither that epoch nor one before it.
func (c *Client) EpochEnd(ctx context.Context, topic string, partition, epoch int32) (EpochEnd, error) {
	leaders, _, err := c.Leaders(ctx, topic)
	if err != nil {
		return EpochEnd{}, err
	}
	leader, ok := leaders[partition]
	if !ok {
		return EpochEnd{}, fmt.Errorf("asking for the end of an epoch in %s/%d: %w", topic, partition,
			kafka.LeaderNotAvailable)
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version = 3
	req.ReplicaID = -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.LeaderEpoch = partition, epoch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	r, err := Typed[*kmsg.OffsetForLeaderEpochResponse](c.Broker(ctx, leader, req))
	if err == nil && (len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1) {
		err = errors.New("kafka: the answer is not about one partition")
	}
	if err == nil {
		err = CodeError(r.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		return EpochEnd{}, fmt.Errorf("asking for the end of epoch %d in %s/%d: %w", epoch, topic, partition, err)
	}
	a := &r.Topics[0].Partitions[0]
	return EpochEnd{Epoch: a.LeaderEpoch, End: a.EndOffset}, nil
}
