package kafkatest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
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
	b := Shared()
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
		if m.Topic != topic || m.Partition != 2 || m.Offset != int64(i) || written[i].Offset != m.Offset || !m.Time.Equal(at) {
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
	b := Shared()
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
	b := Shared()
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
	b := Shared()
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

func TestCommitted(t *testing.T) {
	t.Parallel()
	b := Shared()
	topic := b.Topic(t, 3)
	group := "group-of-" + topic
	if got := b.Committed(t, group, topic); len(got) != 0 {
		t.Errorf("committed %v by nobody", got)
	}
	if got := b.GroupMembers(t, group); got != 0 {
		t.Errorf("%d members of no group", got)
	}
	b.ProduceTo(t, topic, 1, numbered(0, 10)...)

	// kafka-go's group, as the program under test uses it.
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
	b := Shared()
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

// What a broker refuses for good fails at once, not after a minute of trying.
func TestTopicRefused(t *testing.T) {
	t.Parallel()
	refused := map[string]struct {
		partitions int
		config     string
		want       string
	}{
		"setting":    {1, "no.such.setting=1", "INVALID_CONFIG"},
		"partitions": {-5, "cleanup.policy=delete", "INVALID_PARTITIONS"},
		"form":       {1, "cleanup.policy", "not key=value"},
	}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, tb, start := Shared(), &failing{TB: t}, time.Now()
			func() {
				defer func() { _ = recover() }()
				b.Topic(tb, tc.partitions, tc.config)
			}()
			if took := time.Since(start); !strings.Contains(tb.message, tc.want) || took > opTimeout/2 {
				t.Errorf("message %q after %v", tb.message, took)
			}
		})
	}
}

func TestTopicConfigs(t *testing.T) {
	t.Parallel()
	b := Shared()
	topic := b.Topic(t, 1, "max.message.bytes=3000000", "cleanup.policy=compact")
	b.Produce(t, topic, kafka.Message{Key: []byte("k"), Value: bytes.Repeat([]byte{'x'}, 2_000_000)})
	if got := b.ReadAll(t, topic); len(got) != 1 || len(got[0].Value) != 2_000_000 {
		t.Errorf("got %s", describe(got))
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	b := New(t)
	if !b.CanRestart() {
		t.Fatal("a broker of our own cannot be restarted")
	}
	addrs := b.Brokers()
	topic := b.Topic(t, 2)
	b.Produce(t, topic, numbered(0, 10)...)
	b.ProduceTransaction(t, topic, numbered(10, 20), true)
	for i, kill := range []bool{true, false} {
		b.Restart(t, kill)
		if !slices.Equal(b.Brokers(), addrs) {
			t.Errorf("moved from %v to %v", addrs, b.Brokers())
		}
		from := 20 + 10*i
		b.Produce(t, topic, numbered(from, from+10)...)
		if got, want := values(b.ReadAll(t, topic)), values(numbered(0, from+10)); !slices.Equal(got, want) {
			t.Errorf("restart with kill=%v: got %v, want %v", kill, got, want)
		}
	}
	b.ProduceTransaction(t, topic, numbered(900, 905), false)
	if got := b.ReadAll(t, topic); len(got) != 40 {
		t.Errorf("got %d records", len(got))
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	b := New(t)
	topic := b.Topic(t, 1)
	resume := b.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := b.with(func(cl *kgo.Client) error {
		_, err := metadata(ctx, cl, topic)
		return err
	})
	if err == nil {
		t.Error("a paused broker answered")
	}
	resume()
	b.Produce(t, topic, numbered(0, 1)...)
	if got := b.ReadAll(t, topic); len(got) != 1 {
		t.Errorf("got %d records", len(got))
	}
	b.Pause(t) // and what is still paused is resumed and removed
}

func TestUniqueName(t *testing.T) {
	t.Parallel()
	valid := regexp.MustCompile(`^[a-zA-Z0-9-]{1,100}$`)
	for name, in := range map[string]string{
		"subtest": "TestX/a b=ü_#01", "long": strings.Repeat("x", 500), "non-ASCII": strings.Repeat("é", 500), "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := uniqueName(in), uniqueName(in)
			if !valid.MatchString(one) || one == two {
				t.Errorf("names %q and %q", one, two)
			}
		})
	}
}

// failing records that a test would have failed, and ends its goroutine as Fatal does.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

func TestEventuallyFails(t *testing.T) {
	t.Parallel()
	tb := &failing{TB: t}
	looks := 0
	func() {
		defer func() { _ = recover() }()
		Eventually(tb, 50*time.Millisecond, "pigs fly", func() bool { looks++; return false })
	}()
	if tb.message != "not within 50ms: pigs fly" || looks < 2 {
		t.Errorf("message %q after %d looks", tb.message, looks)
	}
	Eventually(t, 0, "it is true at once", func() bool { return true })
}
