package kafkawire

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func TestNewProducerID(t *testing.T) {
	t.Parallel()
	c := wire(t, kafkatest.Shared(t).Brokers())
	seen := map[ProducerID]bool{}
	for range 3 {
		var id ProducerID
		retried(t, c, "a producer id", func() (err error) {
			id, err = c.NewProducerID(deadline(t))
			return err
		})
		if id.ID < 0 || id.Epoch != 0 || seen[id] {
			t.Errorf("got %+v after %v", id, seen)
		}
		seen[id] = true
	}
}

// Batches of different producer ids and topics ride in one request.
func TestProduce(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	a, b := broker.Topic(t, 2), broker.Topic(t, 2)
	c := wire(t, broker.Brokers(), a, b)
	var batches []*Batch
	for i, x := range []struct {
		topic     string
		partition int32
	}{{a, 0}, {b, 0}, {a, 1}, {b, 1}} { // topics take turns: each appears twice in the request
		var id ProducerID
		retried(t, c, "a producer id", func() (err error) {
			id, err = c.NewProducerID(deadline(t))
			return err
		})
		records := []Record{{Key: []byte("k"), Value: fmt.Appendf(nil, "%d", i)}, {Headers: []Header{{Key: "h"}}}}
		batches = append(batches, &Batch{Topic: x.topic, Partition: x.partition,
			Bytes: AppendBatch(nil, id, 0, records, time.Now())})
	}
	for range 2 { // the second time the identical bytes, as after a lost answer
		produceAll(t, c, batches)
		for _, b := range batches {
			if b.Err != nil {
				t.Fatalf("%s/%d: %v", b.Topic, b.Partition, b.Err)
			}
		}
	}
	for i, topic := range []string{a, b} {
		got := broker.ReadAll(t, topic)
		if len(got) != 4 {
			t.Fatalf("%d records in topic %d, want 4: nothing lost, nothing twice", len(got), i)
		}
		if string(got[0].Value) != fmt.Sprint(i) || string(got[2].Value) != fmt.Sprint(i+2) || got[1].Key != nil ||
			got[1].Value != nil ||
			len(got[1].Headers) != 1 || got[1].Headers[0].Value != nil {
			t.Errorf("topic %d: %+v", i, got)
		}
	}

	gap := &Batch{Topic: a, Partition: 0, Bytes: bytes.Clone(batches[0].Bytes)}
	Stamp(gap.Bytes, producerOf(gap.Bytes), 7)
	wrong := &Batch{Topic: a, Partition: 1, Bytes: bytes.Clone(batches[2].Bytes)}
	wrong.Bytes[len(wrong.Bytes)-1] ^= 1
	fine := &Batch{Topic: b, Partition: 0, Bytes: bytes.Clone(batches[1].Bytes), Err: errors.New("of an earlier try")}
	Stamp(fine.Bytes, producerOf(fine.Bytes), 2)
	produceAll(t, c, []*Batch{gap, wrong, fine})
	if !errors.Is(gap.Err, kafka.OutOfOrderSequenceNumber) || !ProducerStateLost(gap.Err) {
		t.Errorf("a gap in the sequence: %v", gap.Err)
	}
	if !errors.Is(wrong.Err, kafka.InvalidMessage) {
		t.Errorf("a wrong checksum: %v", wrong.Err)
	}
	if fine.Err != nil {
		t.Errorf("the one that is right: %v", fine.Err)
	}
	if n := broker.EndOffsets(t, a)[0] + broker.EndOffsets(t, a)[1]; n != 4 {
		t.Errorf("%d records, want still 4", n)
	}
}

func producerOf(b []byte) ProducerID {
	return ProducerID{ID: int64(be.Uint64(b[atProducerID:])), Epoch: int16(be.Uint16(b[atEpoch:]))}
}

// produceAll sends each batch to its leader, those of one leader together.
func produceAll(t *testing.T, c *Client, batches []*Batch) {
	t.Helper()
	byLeader := map[int32][]*Batch{}
	for _, b := range batches {
		leaders, _, err := c.Leaders(deadline(t), b.Topic)
		if err != nil {
			t.Fatal(err)
		}
		byLeader[leaders[b.Partition]] = append(byLeader[leaders[b.Partition]], b)
	}
	for leader, group := range byLeader {
		if err := c.Produce(deadline(t), leader, group); err != nil {
			t.Fatalf("producing to broker %d: %v", leader, err)
		}
	}
}

func TestProduceToTheWrongBroker(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	c := wire(t, cluster.ListenAddrs())
	leader := leaderOf(t, c, "topic")
	b := &Batch{Topic: "topic", Bytes: AppendBatch(nil, ProducerID{ID: 1}, 0, []Record{{}}, time.Now())}
	if err := c.Produce(deadline(t), (leader+1)%3, []*Batch{b}); err != nil ||
		!errors.Is(b.Err, kafka.NotLeaderForPartition) {
		t.Errorf("error %v of the call, %v of the batch; want NOT_LEADER of the batch", err, b.Err)
	}
	if err := c.Produce(deadline(t), 9, []*Batch{b}); err == nil || !Transient(err) {
		t.Errorf("a broker that is not there: error %v", err)
	}
}
