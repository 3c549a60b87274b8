package producer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Many writers, several partitions: what one writer wrote to a partition is there in its order, once, and acknowledged
// once.
func TestOrderUnderConcurrency(t *testing.T) {
	t.Parallel()
	const writers, partitions, each = 8, 4, 300
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, partitions)
	p, _ := start(t, broker.Brokers(), Config{Topics: []string{topic}, BatchBytes: 4 << 10, BufferBytes: 64 << 10})
	a := newAcks()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				for partition := range int32(partitions) {
					name := fmt.Sprintf("%d/%d/%d", w, partition, i)
					if err := p.Write(deadline(t), topic, partition, schemas.Message{Value: []byte(name)}, a.of(name)); err != nil {
						t.Errorf("writing: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := p.Close(deadline(t)); err != nil {
		t.Fatalf("closing: %v", err)
	}
	a.once(t, writers*partitions*each)
	next := map[string]int{}
	for partition, values := range logOf(t, broker.Brokers(), topic) {
		for _, v := range values {
			var w, i int
			var to int32
			if _, err := fmt.Sscanf(v, "%d/%d/%d", &w, &to, &i); err != nil || to != partition {
				t.Fatalf("%q is in partition %d", v, partition)
			}
			key := fmt.Sprint(w, to)
			if next[key] != i {
				t.Fatalf("partition %d: writer %d's %d comes where its %d is due", partition, w, i, next[key])
			}
			next[key]++
		}
	}
	for key, n := range next {
		if n != each {
			t.Errorf("writer and partition %s: %d messages, want %d", key, n, each)
		}
	}
	if len(next) != writers*partitions {
		t.Errorf("%d streams, want %d", len(next), writers*partitions)
	}
}

// The vectors are those of Kafka's UtilsTest.testMurmur2, so a key's partition is the one Java's producers choose.
func TestPartitionOfKey(t *testing.T) {
	t.Parallel()
	const partitions = 12
	vectors := map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	}
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, partitions)
	p, _ := start(t, broker.Brokers(), Config{Topics: []string{topic}})
	a := newAcks()
	for key := range vectors {
		if err := p.Write(deadline(t), topic, Keyed, schemas.Message{Key: []byte(key), Value: []byte(key)},
			a.of(key)); err != nil {
			t.Fatal(err)
		}
	}
	a.wait(t, len(vectors))
	got := broker.ReadAll(t, topic)
	if len(got) != len(vectors) {
		t.Fatalf("%d records, want %d", len(got), len(vectors))
	}
	for _, m := range got {
		if want := int(vectors[string(m.Key)]&0x7fffffff) % partitions; m.Partition != want {
			t.Errorf("key %q is in partition %d, want %d", m.Key, m.Partition, want)
		}
	}
}

// A message arrives as it was given: null stays null, the time is the message's.
func TestMessageIsKept(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	p, _ := start(t, broker.Brokers(), Config{Topics: []string{topic}})
	a := newAcks()
	sent := []schemas.Message{
		{Key: []byte("k"), Value: []byte("v"), Time: time.UnixMilli(1_700_000_000_123),
			Headers: []schemas.Header{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "", Value: []byte{}}}},
		{Time: time.UnixMilli(1_600_000_000_000)},
		{Key: []byte{}, Value: []byte{}, Time: time.UnixMilli(1_750_000_000_000)},
	}
	for i, m := range sent {
		if err := p.Write(deadline(t), topic, 0, m, a.of(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range broker.Read(t, topic, len(sent)) {
		got := fmt.Sprintf("%q %t %q %t %v", m.Key, m.Key == nil, m.Value, m.Value == nil, m.Time.UnixMilli())
		want := fmt.Sprintf("%q %t %q %t %v", sent[i].Key, sent[i].Key == nil, sent[i].Value, sent[i].Value == nil,
			sent[i].Time.UnixMilli())
		for _, h := range m.Headers {
			got += fmt.Sprintf(" %q:%q %t", h.Key, h.Value, h.Value == nil)
		}
		for _, h := range sent[i].Headers {
			want += fmt.Sprintf(" %q:%q %t", h.Key, h.Value, h.Value == nil)
		}
		if got != want {
			t.Errorf("message %d: got %s, want %s", i, got, want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	results, deadLetters := broker.Topic(t, 3), broker.Topic(t, 2)
	o := Outcomes{Results: results, DeadLetters: deadLetters,
		Origin: schemas.Origin{Group: "g", Instance: "i", Version: "v"}}
	p, _ := start(t, broker.Brokers(), Config{Topics: o.Topics()})
	o.Producer = p
	request := func(partition int32, offset int64) *inflight.Request {
		return &inflight.Request{Record: schemas.Record{
			Position: schemas.Position{Topic: "requests", Partition: partition, Offset: offset}, Key: []byte("foobar"),
			Value: []byte("body"),
		}}
	}
	letter := func(i *inflight.Request) *schemas.DeadLetter {
		return &schemas.DeadLetter{Record: &i.Record, Reason: schemas.ReasonExpired, RequestID: "r", DecidedAt: time.Now()}
	}
	result := &schemas.Result{RequestID: "r", ContractID: 70001, Outcome: schemas.OutcomeFailed, RetrievedAt: time.Now(),
		Reason: schemas.ReasonExpired}
	a := newAcks()
	for name, w := range map[string]struct {
		req *inflight.Request
		out func(*inflight.Request) schemas.Outcome
	}{
		"result": {request(0, 1), func(*inflight.Request) schemas.Outcome { return schemas.Outcome{Result: result} }},
		"letter": {request(5, 2), func(i *inflight.Request) schemas.Outcome {
			return schemas.Outcome{DeadLetter: letter(
				i)}
		}},
		"both": {request(4, 3), func(i *inflight.Request) schemas.Outcome {
			return schemas.Outcome{Result: result, DeadLetter: letter(i)}
		}},
	} {
		if err := o.Write(deadline(t), a.with(w.req, name), w.out(w.req)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	a.wait(t, 4)
	if a.count["result"] != 1 || a.count["letter"] != 1 || a.count["both"] != 2 {
		t.Errorf("acknowledgements: %v, want one each and two for both", a.count)
	}
	foobar := int32(-790332482) // its murmur2, as above
	for _, m := range broker.Read(t, results, 2) {
		if want := int(foobar&0x7fffffff) % 3; m.Partition != want {
			t.Errorf("a result is in partition %d, want %d", m.Partition, want)
		}
	}
	got := broker.Read(t, deadLetters, 2)
	if len(got) != 2 || got[0].Partition != 0 || got[1].Partition != 1 { // of 4 and 5 modulo 2
		t.Errorf("dead letters: %+v, want one of source partition 4 in 0 and one of 5 in 1", got)
	}
	for _, m := range got {
		if string(m.Key) != "foobar" || string(m.Value) != "body" {
			t.Errorf("a dead letter has key %q and value %q", m.Key, m.Value)
		}
	}
}

func TestNewFails(t *testing.T) {
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	wire := connect(t, cluster.ListenAddrs())
	_, err := New(deadline(t), Config{Topics: []string{"topic", "missing"}}, wire, zerolog.Nop(), &observer{})
	if !errors.Is(err, kafka.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a topic that does not exist: error %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ended, Config{Topics: []string{"topic"}}, wire, zerolog.Nop(), &observer{}); err == nil {
		t.Error("an ended context: no error")
	}
	wire.Close()
	kafkatest.Eventually(t, within, "nothing is left running", func() bool { return goroutines() == 0 })
}

func TestUnknownTopic(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	a := newAcks()
	if err := p.Write(deadline(t), "other", 0, schemas.Message{}, a.of("x")); err == nil ||
		!strings.Contains(err.Error(), "other") {
		t.Errorf("a topic that the producer was not made for: error %v", err)
	}
	write(t, p, "topic", 0, "fine", a)
	a.wait(t, 1)
}

// blocked says that a call has not returned for a moment. That it never will, no test can see.
func blocked(returned <-chan error) bool {
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-returned:
		return false
	case <-timer.C:
		return true
	}
}

func TestBufferBlocksAndUnblocks(t *testing.T) {
	t.Parallel()
	cluster, held, release := holding(t, allNodes, kfake.SeedTopics(1, "topic"))
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BufferBytes: 1000})
	a := newAcks()
	size := kafkawire.RecordSize(&kafkawire.Record{Value: []byte("a0")})
	fit := 1000 / size
	for i := range fit {
		write(t, p, "topic", 0, fmt.Sprintf("a%d", i%10), a)
	}
	kafkatest.Eventually(t, within, "a request is under way", func() bool { return held() > 0 })
	if got := p.Status().Buffered; got != fit*size {
		t.Errorf("%d bytes are buffered, want %d", got, fit*size)
	}

	// One that gives up while it waits returns its context's error, and nothing of it is written.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gaveUp, waited := make(chan error, 1), make(chan error, 1)
	go func() { gaveUp <- p.Write(ctx, "topic", 0, schemas.Message{Value: []byte("never")}, a.of("never")) }()
	go func() { waited <- p.Write(deadline(t), "topic", 0, schemas.Message{Value: []byte("b0")}, a.of("b0")) }()
	if !blocked(gaveUp) || !blocked(waited) {
		t.Fatal("Write went on with a full buffer")
	}
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while blocked: error %v", err)
	}
	if got := p.Status().Buffered; got != fit*size {
		t.Errorf("%d bytes are buffered after that, want still %d", got, fit*size)
	}
	release()
	if err := <-waited; err != nil {
		t.Errorf("the one that went on waiting: %v", err)
	}
	if err := p.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if a.count["never"] != 0 || a.count["b0"] != 1 || p.Status().Buffered != 0 {
		t.Errorf("acknowledgements %v, %d bytes buffered", a.count, p.Status().Buffered)
	}
	log := logOf(t, cluster.ListenAddrs(), "topic")[0]
	if len(log) != fit+1 || log[fit] != "b0" {
		t.Errorf("the log holds %v", log)
	}
}

// A message larger than the whole buffer must not wait for ever.
func TestMessageLargerThanTheBuffer(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BufferBytes: 1000, BatchBytes: 500})
	a := newAcks()
	write(t, p, "topic", 0, "small", a)
	write(t, p, "topic", 0, strings.Repeat("x", 5000), a)
	write(t, p, "topic", 0, "small too", a)
	a.wait(t, 3)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: {"small", strings.Repeat("x", 5000), "small too"}})
}
