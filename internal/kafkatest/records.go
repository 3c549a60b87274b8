package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Produce writes the messages (Key, Value, Headers and Time; a zero Time is now) in their order, acknowledged by all
// replicas and retried without duplicates. The partition follows from the key as in Kafka's own clients, without a key
// it is any: a message's Partition counts only in ProduceTo. It returns the messages with the positions they got.
func (b *Broker) Produce(tb testing.TB, topic string, msgs ...kafka.Message) []kafka.Message {
	tb.Helper()
	written, err := b.produce(records(topic, 0, msgs), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		tb.Fatalf("kafkatest: producing to %s: %v", topic, err)
	}
	return written
}

// ProduceTo is Produce to one partition.
func (b *Broker) ProduceTo(tb testing.TB, topic string, partition int32, msgs ...kafka.Message) []kafka.Message {
	tb.Helper()
	written, err := b.produce(records(topic, partition, msgs), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		tb.Fatalf("kafkatest: producing to %s/%d: %v", topic, partition, err)
	}
	return written
}

// ProduceTransaction is Produce within one transaction of its own, which it commits or aborts. It returns when the
// outcome is visible, that is when the last stable offset has passed the messages; so no other transaction may be open
// on their partitions.
func (b *Broker) ProduceTransaction(tb testing.TB, topic string, msgs []kafka.Message, commit bool) []kafka.Message {
	tb.Helper()
	recs := records(topic, 0, msgs)
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	err := b.with(func(cl *kgo.Client) error {
		if err := cl.BeginTransaction(); err != nil {
			return fmt.Errorf("beginning transaction: %w", err)
		}
		err := cl.ProduceSync(ctx, recs...).FirstErr()
		decision := kgo.TransactionEndTry(commit && err == nil)
		return errors.Join(err, cl.EndTransaction(ctx, decision))
	}, append(producerOpts(recs), kgo.TransactionalID(uniqueName(tb.Name())),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))...)
	if err == nil {
		err = b.awaitStable(ctx, topic, recs)
	}
	if err != nil {
		tb.Fatalf("kafkatest: producing a transaction to %s: %v", topic, err)
	}
	return messages(recs)
}

// awaitStable waits until the last stable offset is beyond the records: a coordinator answers EndTxn before it has
// written the markers.
func (b *Broker) awaitStable(ctx context.Context, topic string, recs []*kgo.Record) error {
	return poll(ctx, func(ctx context.Context) error {
		return b.with(func(cl *kgo.Client) error {
			ends, err := endOffsets(ctx, cl, topic, readCommitted)
			if err != nil {
				return err
			}
			for _, r := range recs {
				if ends[r.Partition] <= r.Offset {
					return fmt.Errorf("last stable offset of partition %d is %d", r.Partition, ends[r.Partition])
				}
			}
			return nil
		})
	})
}

func (b *Broker) produce(recs []*kgo.Record, partitioner kgo.Opt) ([]kafka.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	err := b.with(func(cl *kgo.Client) error {
		return cl.ProduceSync(ctx, recs...).FirstErr()
	}, append(producerOpts(recs), partitioner)...)
	return messages(recs), err
}

// producerOpts allows for records as large as the largest: whether they fit is for the topic to say.
func producerOpts(recs []*kgo.Record) []kgo.Opt {
	limit := 1_000_000
	for _, r := range recs {
		size := len(r.Key) + len(r.Value) + 1024
		for _, h := range r.Headers {
			size += len(h.Key) + len(h.Value) + 16
		}
		limit = max(limit, size)
	}
	return []kgo.Opt{
		kgo.ProducerBatchMaxBytes(int32(limit)),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.UnknownTopicRetries(-1), // bounded by the deadline: a broker that just came up does not know its topics yet
	}
}

// Read returns the topic's records, of all partitions from their start, ordered by partition and offset, as soon as
// there are n of them. Where there are more than n by then, it returns them too, so that a test sees what should not be
// there. It fails the test with what it got if there are fewer after 60 s. Isolation is read_committed: neither control
// records nor records of aborted or open transactions appear.
func (b *Broker) Read(tb testing.TB, topic string, n int) []kafka.Message {
	tb.Helper()
	got, err := b.read(topic, n)
	if err != nil {
		tb.Fatalf("kafkatest: reading %d records of %s: %v; got %d: %s", n, topic, err, len(got), describe(got))
	}
	return got
}

// ReadAll is Read of everything up to the current end.
func (b *Broker) ReadAll(tb testing.TB, topic string) []kafka.Message {
	tb.Helper()
	return b.Read(tb, topic, 0)
}

func (b *Broker) read(topic string, n int) ([]kafka.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	r := reader{topic: topic, next: make(map[int32]int64)}
	err := poll(ctx, func(ctx context.Context) error {
		err := b.with(func(cl *kgo.Client) error { return r.catchUp(ctx, cl) })
		if err == nil && len(r.got) < n {
			err = errors.New("not all there yet")
		}
		return err
	})
	slices.SortStableFunc(r.got, func(a, b kafka.Message) int { return a.Partition - b.Partition })
	return r.got, err
}

// reader fetches partition by partition, so that it knows when it has seen the end, whatever the last batches are.
type reader struct {
	topic string
	next  map[int32]int64 // offset to fetch next
	got   []kafka.Message
}

// catchUp fetches from where it is to the last stable offsets of now.
func (r *reader) catchUp(ctx context.Context, cl *kgo.Client) error {
	described, err := metadata(ctx, cl, r.topic)
	if err != nil {
		return err
	}
	starts, err := listOffsets(ctx, cl, r.topic, earliest, readCommitted)
	if err != nil {
		return err
	}
	ends, err := endOffsets(ctx, cl, r.topic, readCommitted)
	if err != nil {
		return err
	}
	leaders := make(map[int32]int32)
	for _, p := range described.Topics[0].Partitions {
		leaders[p.Partition] = p.Leader
	}
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		r.next[partition] = max(r.next[partition], starts[partition])
		for r.next[partition] < ends[partition] {
			if err := r.fetch(ctx, cl.Broker(int(leaders[partition])), described.Topics[0].TopicID, partition); err != nil {
				return fmt.Errorf("fetching %s/%d at %d: %w", r.topic, partition, r.next[partition], err)
			}
		}
	}
	return nil
}

func (r *reader) fetch(ctx context.Context, leader *kgo.Broker, topicID [16]byte, partition int32) error {
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes = partition, r.next[partition], 1<<20
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = r.topic, topicID // by name before version 13
	ft.Partitions = append(ft.Partitions, fp)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.IsolationLevel = 100, 1, readCommitted
	req.Topics = append(req.Topics, ft)

	answer, err := leader.RetriableRequest(ctx, req)
	if err != nil {
		return err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return fmt.Errorf("a fetch was answered by %T", answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.New("the answer does not hold the partition asked for")
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:         r.next[partition],
		IsolationLevel: kgo.ReadCommitted(),
		Topic:          r.topic,
		Partition:      partition,
	}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		return fetched.Err
	}
	r.got = append(r.got, messages(fetched.Records)...)
	r.next[partition] = next
	return nil
}

func records(topic string, partition int32, msgs []kafka.Message) []*kgo.Record {
	recs := make([]*kgo.Record, len(msgs))
	for i, m := range msgs {
		recs[i] = &kgo.Record{Topic: topic, Partition: partition, Key: m.Key, Value: m.Value, Timestamp: m.Time}
		if m.Time.IsZero() {
			recs[i].Timestamp = time.Now()
		}
		for _, h := range m.Headers {
			recs[i].Headers = append(recs[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	return recs
}

func messages(recs []*kgo.Record) []kafka.Message {
	msgs := make([]kafka.Message, len(recs))
	for i, r := range recs {
		msgs[i] = kafka.Message{
			Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset,
			Key: r.Key, Value: r.Value, Time: r.Timestamp,
		}
		for _, h := range r.Headers {
			msgs[i].Headers = append(msgs[i].Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
	}
	return msgs
}

// describe lists positions and keys, the first ones of many.
func describe(msgs []kafka.Message) string {
	var s string
	for i, m := range msgs {
		if i == 20 {
			return s + "…"
		}
		s += fmt.Sprintf("%d/%d key %q; ", m.Partition, m.Offset, m.Key)
	}
	return s
}
