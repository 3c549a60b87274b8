package kafkatest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Isolation levels and special timestamps of ListOffsets and Fetch requests.
const (
	readUncommitted int8  = 0
	readCommitted   int8  = 1
	latest          int64 = -1
	earliest        int64 = -2
)

const deleteTimeout = 5 * time.Second

// Topic creates a topic for this test, with a name made of the test's name and a random part, and returns when every
// partition has a leader that answers. Configs are topic settings, "key=value". The topic is deleted when the test
// ends, and not before: records that bear an old time are kept, whatever the broker's retention.
func (b *Broker) Topic(tb testing.TB, partitions int, configs ...string) string {
	tb.Helper()
	topic := uniqueName(tb.Name())
	if !slices.ContainsFunc(configs, func(c string) bool { return strings.HasPrefix(c, "retention.ms=") }) {
		configs = append(slices.Clone(configs), "retention.ms=-1")
	}
	req, err := createRequest(topic, partitions, configs)
	if err != nil {
		tb.Fatal("kafkatest: ", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	if !b.own { // a broker of the test's own takes its topics with it
		tb.Cleanup(func() { b.deleteTopic(tb, topic) })
	}
	err = poll(ctx, func(ctx context.Context) error {
		return b.with(func(cl *kgo.Client) error {
			if err := create(ctx, cl, req); err != nil {
				return err
			}
			ends, err := endOffsets(ctx, cl, topic, readUncommitted)
			if err == nil && len(ends) != partitions {
				err = fmt.Errorf("%d of %d partitions are known", len(ends), partitions)
			}
			return err
		})
	})
	if err != nil {
		tb.Fatalf("kafkatest: creating topic %s: %v", topic, err)
	}
	return topic
}

// EndOffsets returns, per partition, the offset that the next record will get (the high watermark; records of open and
// of aborted transactions and control records count).
func (b *Broker) EndOffsets(tb testing.TB, topic string) map[int32]int64 {
	tb.Helper()
	return b.endOffsets(tb, topic, readUncommitted)
}

// StableOffsets returns, per partition, where a reader of committed records has to stop: at the end, or at the first
// record of a transaction that is open.
func (b *Broker) StableOffsets(tb testing.TB, topic string) map[int32]int64 {
	tb.Helper()
	return b.endOffsets(tb, topic, readCommitted)
}

func (b *Broker) endOffsets(tb testing.TB, topic string, isolation int8) map[int32]int64 {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	var ends map[int32]int64
	err := poll(ctx, func(ctx context.Context) error {
		return b.with(func(cl *kgo.Client) (err error) {
			ends, err = endOffsets(ctx, cl, topic, isolation)
			return err
		})
	})
	if err != nil {
		tb.Fatalf("kafkatest: end offsets of %s: %v", topic, err)
	}
	return ends
}

// DeleteRecords deletes what lies below these offsets, as retention does.
func (b *Broker) DeleteRecords(tb testing.TB, topic string, below map[int32]int64) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = int32(attemptTimeout.Milliseconds())
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	for partition, offset := range below {
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	err := poll(ctx, func(ctx context.Context) error {
		return b.with(func(cl *kgo.Client) error {
			resp, err := req.RequestWith(ctx, cl)
			if err != nil {
				return err
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
				}
			}
			return err
		})
	})
	if err != nil {
		tb.Fatalf("kafkatest: deleting records of %s: %v", topic, err)
	}
}

func createRequest(topic string, partitions int, configs []string) (*kmsg.CreateTopicsRequest, error) {
	if partitions < 1 {
		return nil, fmt.Errorf("%d partitions: a topic has at least 1", partitions)
	}
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = topic
	t.NumPartitions = int32(partitions)
	t.ReplicationFactor = -1 // the broker's default
	for _, config := range configs {
		key, value, ok := strings.Cut(config, "=")
		if !ok {
			return nil, fmt.Errorf("topic setting %q is not key=value", config)
		}
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, kmsg.StringPtr(value)
		t.Configs = append(t.Configs, c)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(attemptTimeout.Milliseconds())
	req.Topics = append(req.Topics, t)
	return req, nil
}

// create is content with a topic that exists: an earlier attempt made it.
func create(ctx context.Context, cl *kgo.Client, req *kmsg.CreateTopicsRequest) error {
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case err == nil || errors.Is(err, kerr.TopicAlreadyExists):
		case errors.Is(err, kerr.InvalidConfig):
			return final{fmt.Errorf("%w %s", err, deref(t.ErrorMessage))}
		default:
			return fmt.Errorf("%w %s", err, deref(t.ErrorMessage))
		}
	}
	return nil
}

// deleteTopic only tidies up: on a broker that is gone there is nothing to tidy.
func (b *Broker) deleteTopic(tb testing.TB, topic string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
	defer cancel()
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames = []string{topic} // before version 6
	req.Topics = append(req.Topics, t)
	err := b.with(func(cl *kgo.Client) error {
		_, err := req.RequestWith(ctx, cl)
		return err
	})
	if err != nil {
		tb.Logf("kafkatest: deleting topic %s: %v", topic, err)
	}
}

// endOffsets lists the latest offsets: the high watermarks, or with readCommitted the last stable offsets.
func endOffsets(ctx context.Context, cl *kgo.Client, topic string, isolation int8) (map[int32]int64, error) {
	return listOffsets(ctx, cl, topic, latest, isolation)
}

func listOffsets(ctx context.Context, cl *kgo.Client, topic string, at int64, isolation int8) (map[int32]int64, error) {
	described, err := metadata(ctx, cl, topic)
	if err != nil {
		return nil, err
	}
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, p := range described.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, fmt.Errorf("partition %d: %w", p.Partition, err)
		}
		lp := kmsg.NewListOffsetsRequestTopicPartition()
		lp.Partition, lp.Timestamp = p.Partition, at
		t.Partitions = append(t.Partitions, lp)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = isolation
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("listing offsets: %w", err)
	}
	offsets := make(map[int32]int64)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("listing offsets of partition %d: %w", p.Partition, err)
			}
			offsets[p.Partition] = p.Offset
		}
	}
	return offsets, nil
}

// uniqueName turns a test's name into a name that Kafka takes (at most 249 of [a-zA-Z0-9._-]) and no other test has.
// '.' and '_' are left out: Kafka's metrics cannot tell them apart and it warns.
func uniqueName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), 80)] + "-" + strings.ToLower(rand.Text()[:10])
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// AddPartitions makes a topic have so many, and returns when each has a leader that answers.
func AddPartitions(tb testing.TB, brokers []string, topic string, count int32) {
	tb.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		tb.Fatal("kafkatest: ", err)
	}
	defer cl.Close()
	add := kmsg.NewCreatePartitionsRequestTopic()
	add.Topic, add.Count = topic, count
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, add), int32(opTimeout/time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err == nil {
		err = poll(ctx, func(ctx context.Context) error {
			ends, err := endOffsets(ctx, cl, topic, readUncommitted)
			if err == nil && len(ends) != int(count) {
				err = fmt.Errorf("%d of %d partitions are known", len(ends), count)
			}
			return err
		})
	}
	if err != nil {
		tb.Fatalf("kafkatest: adding partitions to %s: %v", topic, err)
	}
}
