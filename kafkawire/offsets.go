package kafkawire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// NoOffset is the committed offset of a partition for which the group has committed none.
const NoOffset = -1

// OffsetAndMetadata is what a group stores for a partition.
type OffsetAndMetadata struct {
	Offset int64 // the next one to read, or NoOffset
	Epoch  int32 // leader epoch of the record before it, or NoEpoch (KIP-320); 0 is an epoch
	// Metadata is a note of the member that committed, valid UTF-8: brokers replace what is not. They refuse more than
	// offset.metadata.max.bytes, by default 4096, which they count in UTF-16 characters, with OffsetMetadataTooLarge for
	// that partition alone.
	Metadata string
}

// PartitionsError says which partitions of a request failed, and why: all others have their answer.
type PartitionsError map[int32]error

// Error implements error. It names the lowest partition.
func (e PartitionsError) Error() string {
	if len(e) == 0 {
		return "no partition failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(e)))
	if len(e) == 1 {
		return e[first].Error()
	}
	return fmt.Sprintf("%v, and %d more partitions failed", e[first], len(e)-1)
}

// Unwrap lets errors.Is and errors.As look at each partition's error.
func (e PartitionsError) Unwrap() []error { return slices.Collect(maps.Values(e)) }

// orNil is e as an error: none where no partition failed.
func (e PartitionsError) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Failures gives each partition that was asked for and has no answer its error; err is that of the request,
// PartitionsError or one of all partitions.
func Failures[T any](asked []int32, answers map[int32]T, err error) map[int32]error {
	failed := map[int32]error{}
	each, _ := errors.AsType[PartitionsError](err)
	for _, id := range asked {
		if _, ok := answers[id]; ok {
			continue
		}
		failed[id] = cmp.Or(each[id], err)
	}
	return failed
}

// CommittedOffsets reads a group's committed offsets (OffsetFetch v7, require_stable, KIP-447). While a transaction
// over an offset is still open its partition fails with UnstableOffsetCommit rather than return the offset from before
// it, which is what kafka-go's own OffsetFetch does. Every error means: ask again. Each partition asked for is in the
// answer, or in PartitionsError; any other error is one of all partitions.
func (c *Client) CommittedOffsets(ctx context.Context, group, topic string,
	partitions []int32) (map[int32]OffsetAndMetadata, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 7
	req.Group = group
	req.RequireStable = true
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	r, err := Typed[*kmsg.OffsetFetchResponse](c.Coordinator(ctx, group, req))
	if err != nil {
		return nil, fmt.Errorf("reading committed offsets: %w", err)
	}
	// A group that has never committed is no error here; the embedded broker says GROUP_ID_NOT_FOUND where Kafka says -1.
	if err := CodeError(r.ErrorCode); err != nil {
		if !errors.Is(err, kafka.GroupIdNotFound) {
			return nil, fmt.Errorf("reading committed offsets: %w", err)
		}
		return uncommitted(partitions), nil
	}
	offsets := make(map[int32]OffsetAndMetadata, len(partitions))
	failed := PartitionsError{}
	for i := range r.Topics {
		for _, p := range r.Topics[i].Partitions {
			if p.ErrorCode != 0 {
				failed[p.Partition] = fmt.Errorf("reading the committed offset of partition %d: %w", p.Partition,
					CodeError(p.ErrorCode))
				continue
			}
			o := OffsetAndMetadata{Offset: p.Offset, Epoch: p.LeaderEpoch}
			if p.Metadata != nil {
				o.Metadata = *p.Metadata
			}
			offsets[p.Partition] = o
		}
	}
	if len(offsets)+len(failed) != len(partitions) {
		return nil, fmt.Errorf("reading committed offsets: %d of %d partitions answered", len(offsets)+len(failed),
			len(partitions))
	}
	return offsets, failed.orNil()
}

// Member names a member of a group in one generation of it.
type Member struct {
	Group      string
	ID         string
	Generation int32
}

// CommitOffsets stores the next offsets to read of a group's partitions, and their metadata (OffsetCommit v7). The
// group refuses it from a member or generation that it does not know any more. The first error of a partition is
// returned; others may have been stored. It goes to whichever broker coordinates the group now: kafka-go's own commit
// keeps to the connection that its generation began with, even after that has died.
func (c *Client) CommitOffsets(ctx context.Context, m Member, topic string, offsets map[int32]OffsetAndMetadata) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 7
	return c.commitOffsets(ctx, req, m, topic, offsets)
}

// CommitMemberOffsets is CommitOffsets for a member of the consumer group protocol, from which the group takes nothing
// older (OffsetCommit v9, of Kafka 3.7 and later).
func (c *Client) CommitMemberOffsets(ctx context.Context, m Member, topic string,
	offsets map[int32]OffsetAndMetadata) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 9
	return c.commitOffsets(ctx, req, m, topic, offsets)
}

func (c *Client) commitOffsets(
	ctx context.Context, req *kmsg.OffsetCommitRequest, m Member, topic string, offsets map[int32]OffsetAndMetadata,
) error {
	req.Group, req.MemberID, req.Generation = m.Group, m.ID, m.Generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	for partition, o := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, o.Offset, o.Epoch, &o.Metadata
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	r, err := Typed[*kmsg.OffsetCommitResponse](c.Coordinator(ctx, m.Group, req))
	if err != nil {
		return fmt.Errorf("committing offsets: %w", err)
	}
	for i := range r.Topics {
		for _, p := range r.Topics[i].Partitions {
			if err := explained(p.ErrorCode, nil); err != nil {
				return fmt.Errorf("committing the offset of partition %d: %w", p.Partition, err)
			}
		}
	}
	return nil
}

func uncommitted(partitions []int32) map[int32]OffsetAndMetadata {
	m := make(map[int32]OffsetAndMetadata, len(partitions))
	for _, p := range partitions {
		m[p] = OffsetAndMetadata{Offset: NoOffset, Epoch: NoEpoch}
	}
	return m
}

// Times that ListOffsets knows besides real ones.
const (
	Earliest int64 = -2
	Latest   int64 = -1 // with read-committed isolation: the last stable offset
)

// ListOffsets resolves a time (milliseconds, or Earliest or Latest) to offsets, asking each partition's leader
// (ListOffsets v4, read-committed): of a time, the first record with that or a later one, -1 where there is none. Each
// partition asked for is in the answer, or in PartitionsError; any other error is one of all partitions.
func (c *Client) ListOffsets(ctx context.Context, topic string, partitions []int32, at int64) (map[int32]int64, error) {
	return c.listOffsets(ctx, topic, partitions, at, readCommitted)
}

// LogEnds returns where the partitions end, open transactions included (the high watermark). Errors are as in
// ListOffsets.
func (c *Client) LogEnds(ctx context.Context, topic string, partitions []int32) (map[int32]int64, error) {
	return c.listOffsets(ctx, topic, partitions, Latest, readUncommitted)
}

// Isolation levels (KIP-98).
const (
	readUncommitted = 0
	readCommitted   = 1
)

func (c *Client) listOffsets(ctx context.Context, topic string, partitions []int32, at int64,
	isolation int8) (map[int32]int64, error) {
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
	offsets := make(map[int32]int64, len(partitions))
	for range byLeader {
		a := <-answers
		for _, p := range a.list {
			if p.ErrorCode != 0 {
				failed[p.Partition] = fmt.Errorf("listing offsets of %s/%d: %w", topic, p.Partition, CodeError(p.ErrorCode))
				continue
			}
			offsets[p.Partition] = p.Offset
		}
		for p := range a.of {
			if _, ok := offsets[p]; !ok && failed[p] == nil {
				failed[p] = fmt.Errorf("listing offsets of %s/%d: %w", topic, p, cmp.Or(a.err, errNoAnswer))
			}
		}
	}
	return offsets, failed.orNil()
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
