package kafkawire

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// retried repeats a call until it works: a cluster that has just come up asks for that.
func retried(tb testing.TB, c *Client, what string, call func() error) {
	tb.Helper()
	var err error
	kafkatest.Eventually(tb, within, what, func() bool {
		if err = call(); err != nil {
			if !Transient(err) {
				tb.Fatalf("%s: %v", what, err)
			}
			c.Reset()
		}
		return err == nil
	})
}

func TestLeaders(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 5)
	c := wire(t, broker.Brokers())
	leaders, n, err := c.Leaders(deadline(t), topic)
	if err != nil || n != 5 || len(leaders) != 5 {
		t.Errorf("%d leaders of %d partitions, error %v; want 5", len(leaders), n, err)
	}
	if _, _, err := c.Leaders(deadline(t), topic+"-no"); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("no such topic: error %v", err)
	}
	if ids, err := c.Partitions(deadline(t), topic); err != nil || !slices.Equal(ids, []int32{0, 1, 2, 3, 4}) {
		t.Errorf("partitions %v, error %v", ids, err)
	}
	if _, err := c.Partitions(deadline(t), topic+"-no"); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("partitions of no topic: error %v", err)
	}
}

func TestLeadersMoveAndVanish(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(3, "topic"))
	c := wire(t, cluster.ListenAddrs(), "topic")
	before, _, err := c.Leaders(deadline(t), "topic")
	if err != nil {
		t.Fatal(err)
	}
	to := (before[1] + 1) % 3
	if err := cluster.MoveTopicPartition("topic", 1, to); err != nil {
		t.Fatal(err)
	}
	c.Reset()
	after, _, err := c.Leaders(deadline(t), "topic")
	if err != nil || after[1] != to || after[0] != before[0] {
		t.Errorf("after a move and a Reset: %v, error %v; want partition 1 on broker %d, the rest of %v", after, err, to,
			before)
	}
	kafkatest.WithoutLeader(cluster, 2)
	c.Reset()
	leaders, n, err := c.Leaders(deadline(t), "topic")
	if _, known := leaders[2]; err != nil || n != 3 || known || len(leaders) != 2 {
		t.Errorf("one without a leader: %v of %d, error %v", leaders, n, err)
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	name := broker.Topic(t, 1) + "-made" // unique
	c := wire(t, broker.Brokers())
	if _, err := c.DescribeTopic(deadline(t), name); !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), name) {
		t.Errorf("before: error %v", err)
	}
	want := Topic{Name: name, Partitions: 3, ReplicationFactor: -1,
		Configs: map[string]string{"max.message.bytes": "12345", "cleanup.policy": "delete"}}
	for i, existed := range []bool{false, true} {
		got, err := c.CreateTopic(deadline(t), want)
		if err != nil || got != existed {
			t.Errorf("creation %d: existed %t, error %v", i, got, err)
		}
	}
	kafkatest.Eventually(t, within, "the topic is described", func() bool {
		got, err := c.DescribeTopic(deadline(t), name, "max.message.bytes", "cleanup.policy", "no.such.config")
		if errors.Is(err, ErrNoTopic) { // metadata lags
			return false
		}
		if err != nil || got.Partitions != 3 || got.ReplicationFactor < 1 || got.MaxMessageBytes() != 12345 ||
			got.Configs["cleanup.policy"] != "delete" {
			t.Errorf("after: %+v, error %v", got, err)
		}
		return true
	})
	if got, err := c.DescribeTopic(deadline(t), name); err != nil || got.MaxMessageBytes() != 0 {
		t.Errorf("without configs: %+v, error %v", got, err)
	}
	bad := Topic{Name: name + "-bad", Partitions: 0, ReplicationFactor: -1}
	if _, err := c.CreateTopic(deadline(t), bad); !errors.Is(err, kafka.InvalidPartitionNumber) ||
		!strings.Contains(err.Error(), bad.Name) {
		t.Errorf("no partitions: error %v", err)
	}
	if _, err := c.API().DeleteTopics(deadline(t), &kafka.DeleteTopicsRequest{Topics: []string{name}}); err != nil {
		t.Logf("tidying up: %v", err)
	}
}
