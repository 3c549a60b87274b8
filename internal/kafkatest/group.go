package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Committed returns the group's committed offsets of the topic; a partition without one is not in the map. It waits for
// transactions that are about to change them (KIP-447's require_stable) to end.
func (b *Broker) Committed(tb testing.TB, group, topic string) map[int32]int64 {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	var offsets map[int32]int64
	err := poll(ctx, func(ctx context.Context) error {
		return b.with(func(cl *kgo.Client) (err error) {
			offsets, err = committed(ctx, cl, group, topic)
			return err
		})
	})
	if err != nil {
		tb.Fatalf("kafkatest: committed offsets of group %s: %v", group, err)
	}
	return offsets
}

func committed(ctx context.Context, cl *kgo.Client, group, topic string) (map[int32]int64, error) {
	described, err := metadata(ctx, cl, topic)
	if err != nil {
		return nil, err
	}
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic = topic
	for _, p := range described.Topics[0].Partitions {
		t.Partitions = append(t.Partitions, p.Partition)
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	g.Topics = append(g.Topics, t)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("fetching offsets: %w", err)
	}
	offsets := make(map[int32]int64)
	for _, g := range resp.Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		if errors.Is(err, kerr.GroupIDNotFound) { // kfake; Kafka says that nothing is committed
			return offsets, nil
		}
		if err != nil {
			return nil, err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("partition %d: %w", p.Partition, err)
				}
				if p.Offset >= 0 {
					offsets[p.Partition] = p.Offset
				}
			}
		}
	}
	return offsets, nil
}

// GroupMembers returns how many members the group has, of the classic protocol or of KIP-848's; 0 for an unknown group.
func (b *Broker) GroupMembers(tb testing.TB, group string) int {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	var members int
	err := poll(ctx, func(ctx context.Context) error {
		return b.with(func(cl *kgo.Client) (err error) {
			if members, err = classicMembers(ctx, cl, group); err == nil && members == 0 {
				members, err = consumerMembers(ctx, cl, group)
			}
			return err
		})
	})
	if err != nil {
		tb.Fatalf("kafkatest: members of group %s: %v", group, err)
	}
	return members
}

func classicMembers(ctx context.Context, cl *kgo.Client, group string) (int, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, fmt.Errorf("describing group: %w", err)
	}
	var members int
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil && !isOtherGroup(err) {
			return 0, fmt.Errorf("describing group: %w", err)
		}
		members += len(g.Members)
	}
	return members, nil
}

// consumerMembers asks as KIP-848 does. A broker that does not know that protocol has no such members.
func consumerMembers(ctx context.Context, cl *kgo.Client, group string) (int, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(ctx, cl)
	if isOtherGroup(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("describing consumer group: %w", err)
	}
	var members int
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil && !isOtherGroup(err) {
			return 0, fmt.Errorf("describing consumer group: %w", err)
		}
		members += len(g.Members)
	}
	return members, nil
}

// isOtherGroup says that there is no group of the protocol asked for.
func isOtherGroup(err error) bool {
	return errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.InvalidGroupID) ||
		errors.Is(err, kerr.UnsupportedVersion)
}
