package kafkawire

import (
	"context"
	"errors"
	"fmt"

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
	return c.commitOffsets(ctx, classicCommit, m, topic, offsets)
}

// CommitMemberOffsets is CommitOffsets for a member of the consumer group protocol, from which the group takes nothing
// older (OffsetCommit v9, of Kafka 3.7 and later).
func (c *Client) CommitMemberOffsets(ctx context.Context, m Member, topic string,
	offsets map[int32]OffsetAndMetadata) error {
	return c.commitOffsets(ctx, memberCommit, m, topic, offsets)
}

func (c *Client) commitOffsets(
	ctx context.Context, newRequest func() *kmsg.OffsetCommitRequest, m Member, topic string,
	offsets map[int32]OffsetAndMetadata,
) error {
	for portion := range commitPortions(m.Group, topic, offsets) {
		if err := c.commitPortion(ctx, newRequest(), m, topic, portion); err != nil {
			return err
		}
	}
	return nil
}

func classicCommit() *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 7
	return req
}

func memberCommit() *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 9
	return req
}

func (c *Client) commitPortion(
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
				return fmt.Errorf("committing the offset of %s/%d: %w", r.Topics[i].Topic, p.Partition, err)
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
