package kafkatest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

func numbered(from, to int) []kafka.Message {
	var msgs []kafka.Message
	for i := from; i < to; i++ {
		msgs = append(msgs, kafka.Message{Key: fmt.Append(nil, "k", i%7), Value: fmt.Append(nil, i)})
	}
	return msgs
}

func values(msgs []kafka.Message) []string {
	var vs []string
	for _, m := range msgs {
		vs = append(vs, string(m.Value))
	}
	slices.Sort(vs)
	return vs
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	topic := b.Topic(t, 3)
	at := time.UnixMilli(1_700_000_000_123)
	want := []kafka.Message{
		{Key: []byte("k"), Value: []byte("v"), Time: at, Headers: []kafka.Header{
			{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "b", Value: []byte{}},
		}},
		{Key: nil, Value: nil, Time: at},
		{Key: []byte{}, Value: []byte{}, Time: at},
		{Key: []byte("large"), Value: bytes.Repeat([]byte{'x'}, 900_000), Time: at},
	}
	written := b.ProduceTo(t, topic, 2, want...)
	got := b.Read(t, topic, len(want))
	if len(got) != len(want) {
		t.Fatalf("got %d records", len(got))
	}
	for i, m := range got {
		if m.Topic != topic || m.Partition != 2 || m.Offset != int64(i) || written[i].Offset != m.Offset ||
			!m.Time.Equal(at) {
			t.Errorf("record %d is at %s/%d/%d, %v", i, m.Topic, m.Partition, m.Offset, m.Time)
		}
		if !sameBytes(m.Key, want[i].Key) || !sameBytes(m.Value, want[i].Value) {
			t.Errorf("record %d: key %q", i, m.Key)
		}
		if len(m.Headers) != len(want[i].Headers) {
			t.Fatalf("record %d: headers %v", i, m.Headers)
		}
		for j, h := range m.Headers {
			if w := want[i].Headers[j]; h.Key != w.Key || !sameBytes(h.Value, w.Value) {
				t.Errorf("record %d: header %d is %v", i, j, h)
			}
		}
	}
	if ends := b.EndOffsets(t, topic); !maps.Equal(ends, map[int32]int64{0: 0, 1: 0, 2: 4}) {
		t.Errorf("end offsets %v", ends)
	}
}

// sameBytes tells null from empty.
func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func TestProduceSpreadsByKey(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	topic := b.Topic(t, 4)
	b.Produce(t, topic, numbered(0, 70)...)
	got := b.ReadAll(t, topic)
	partitions, last := map[string]int{}, map[string]int{}
	for _, m := range got {
		key := string(m.Key)
		if p, seen := partitions[key]; seen && p != m.Partition {
			t.Errorf("key %s is in partitions %d and %d", key, p, m.Partition)
		}
		partitions[key] = m.Partition
		var n int
		if _, err := fmt.Sscan(string(m.Value), &n); err != nil || n < last[key] {
			t.Errorf("key %s: %d after %d (%v)", key, n, last[key], err)
		}
		last[key] = n
	}
	if len(got) != 70 || len(slices.Compact(slices.Sorted(maps.Values(partitions)))) < 2 {
		t.Errorf("%d records in partitions %v", len(got), partitions)
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	topic := b.Topic(t, 2)
	b.ProduceTransaction(t, topic, numbered(0, 20), true)
	b.ProduceTransaction(t, topic, numbered(100, 120), false)
	b.ProduceTransaction(t, topic, numbered(20, 30), true)
	b.ProduceTransaction(t, topic, numbered(200, 205), false) // what is last is an abort marker
	got := b.ReadAll(t, topic)
	if want := values(numbered(0, 30)); !slices.Equal(values(got), want) {
		t.Errorf("got %v, want %v", values(got), want)
	}
	var sum int64
	for _, end := range b.EndOffsets(t, topic) {
		sum += end
	}
	if sum <= 55 { // 55 records and the markers
		t.Errorf("end offsets add up to %d", sum)
	}
}

// An open transaction hides what comes after it, and its own records, from Read and ReadAll.
func TestOpenTransactionIsNotRead(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	topic := b.Topic(t, 1)
	err := b.with(func(cl *kgo.Client) error {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		if err := cl.ProduceSync(t.Context(), records(topic, 0, numbered(0, 1))...).FirstErr(); err != nil {
			return err
		}
		b.Produce(t, topic, numbered(1, 2)...)
		if got := b.ReadAll(t, topic); len(got) != 0 {
			t.Errorf("read %v of an open transaction", values(got))
		}
		return cl.EndTransaction(t.Context(), kgo.TryAbort)
	}, kgo.TransactionalID(topic))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Read(t, topic, 1); !slices.Equal(values(got), []string{"1"}) {
		t.Errorf("got %v", values(got))
	}
}
