package kafkatest

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestCommitted(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	topic := b.Topic(t, 3)
	group := "group-of-" + topic
	if got := b.Committed(t, group, topic); len(got) != 0 {
		t.Errorf("committed %v, without a member", got)
	}
	if got := b.GroupMembers(t, group); got != 0 {
		t.Errorf("%d members of no group", got)
	}
	b.ProduceTo(t, topic, 1, numbered(0, 10)...)

	// Some member; that it is kafka-go's does not matter.
	cg, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: b.Brokers(), Topics: []string{topic}, StartOffset: kafka.FirstOffset,
		JoinGroupBackoff: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	gen := nextGeneration(t, cg)
	if got := b.GroupMembers(t, group); got != 1 {
		t.Errorf("%d members, want 1", got)
	}
	if err := gen.CommitOffsets(map[string]map[int]int64{topic: {1: 7}}); err != nil {
		t.Error(err)
	}
	if got := b.Committed(t, group, topic); !maps.Equal(got, map[int32]int64{1: 7}) {
		t.Errorf("committed %v", got)
	}
	if err := cg.Close(); err != nil {
		t.Error(err)
	}
	Eventually(t, 10*time.Second, "the group is empty", func() bool { return b.GroupMembers(t, group) == 0 })
}

func nextGeneration(t *testing.T, cg *kafka.ConsumerGroup) *kafka.Generation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), opTimeout)
	defer cancel()
	var gen *kafka.Generation
	if err := poll(ctx, func(ctx context.Context) (err error) {
		gen, err = cg.Next(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return gen
}

// A member of the KIP-848 protocol where the broker has it, else of the classic one.
func TestGroupMembersOfEitherProtocol(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	topic := b.Topic(t, 1)
	err := b.with(func(cl *kgo.Client) error {
		cl.PollFetches(canceled()) // joins
		Eventually(t, 30*time.Second, "the group has a member", func() bool { return b.GroupMembers(t, topic) == 1 })
		return nil
	}, kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer())
	if err != nil {
		t.Fatal(err)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
