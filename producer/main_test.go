package producer

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// within bounds what a test waits for before it says what it saw.
const within = 2 * time.Minute

func connect(tb testing.TB, brokers []string, topics ...string) *kafkawire.Client {
	tb.Helper()
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: brokers, ClientID: "producer-test"}, topics...)
	tb.Cleanup(wire.Close)
	return wire
}

// observer notes the writes that failed.
type observer struct {
	mu     sync.Mutex
	errors []error
	at     []string // topic/partition of each
	wrote  int      // records
}

func (o *observer) Wrote(records int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote += records
}

func (o *observer) WriteFailed(topic string, partition int32, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.errors = append(o.errors, err)
	o.at = append(o.at, fmt.Sprintf("%s/%d", topic, partition))
}

func (o *observer) seen() []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.errors)
}

// where returns the topic/partition of each write that failed.
func (o *observer) where() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.at)
}

// saw says whether a write failed for a reason that contains this text.
func (o *observer) saw(text string) bool {
	return slices.ContainsFunc(o.seen(), func(err error) bool { return strings.Contains(err.Error(), text) })
}

// start makes a producer for the topics that is closed with the test.
func start(tb testing.TB, brokers []string, cfg Config) (*Producer, *observer) {
	tb.Helper()
	if cfg.BufferBytes == 0 {
		cfg.BufferBytes = 64 << 20
	}
	obs := &observer{}
	p, err := New(deadline(tb), cfg, connect(tb, brokers, cfg.Topics...), zerolog.Nop(), obs)
	if err != nil {
		tb.Fatalf("making the producer: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p, obs
}

// awaitIdle waits until nothing is left and nothing fails: the status follows the acknowledgements.
func awaitIdle(tb testing.TB, p *Producer) {
	tb.Helper()
	kafkatest.Eventually(tb, within, "nothing is left, and nothing fails", func() bool {
		s := p.Status()
		return s.Failing == nil && s.Since == 0 && s.Buffered == 0
	})
}

// tooEarly says whether what only people can cure is acknowledged before its time. It was written at began or later.
func (a *acks) tooEarly(began time.Time) bool {
	return a.total.Load() > 0 && time.Since(began) < operatorBackoff
}

func deadline(tb testing.TB) context.Context { return kafkatest.Deadline(tb, within) }

// acks counts acknowledgements of each message.
type acks struct {
	mu    sync.Mutex
	count map[string]int
	total atomic.Int64
}

type ack struct {
	of   *acks
	name string
}

func (a ack) Acknowledged() {
	a.of.mu.Lock()
	a.of.count[a.name]++
	a.of.mu.Unlock()
	a.of.total.Add(1)
}

func newAcks() *acks { return &acks{count: map[string]int{}} }

func (a *acks) of(name string) Ack { return ack{a, name} }

// with has the acknowledgements of a request counted.
func (a *acks) with(req *inflight.Request, name string) *inflight.Request {
	req.Slot = acknowledged{ack: ack{a, name}}
	return req
}

// acknowledged is a slot that takes acknowledgements and nothing else.
type acknowledged struct {
	inflight.Slot
	ack ack
}

func (a acknowledged) Acknowledged() { a.ack.Acknowledged() }

// wait returns when there are n acknowledgements.
func (a *acks) wait(tb testing.TB, n int) {
	tb.Helper()
	kafkatest.Eventually(tb, within, fmt.Sprintf("%d acknowledgements", n),
		func() bool { return a.total.Load() >= int64(n) })
}

// once fails the test unless each of n messages was acknowledged exactly once.
func (a *acks) once(tb testing.TB, n int) {
	tb.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.count) != n || a.total.Load() != int64(n) {
		tb.Errorf("%d acknowledgements of %d messages, want %d", a.total.Load(), len(a.count), n)
	}
}

// write queues a message whose value is its name.
func write(tb testing.TB, p *Producer, topic string, partition int32, name string, a *acks) {
	tb.Helper()
	m := schemas.Message{Value: []byte(name)} // no time: encoded a second time it would differ
	if err := p.Write(deadline(tb), topic, partition, m, a.of(name)); err != nil {
		tb.Fatalf("writing %s: %v", name, err)
	}
}

// logOf returns the values in each partition of a topic, read by another client up to the present end.
func logOf(tb testing.TB, brokers []string, topic string) map[int32][]string {
	tb.Helper()
	wire := connect(tb, brokers, topic)
	var ends map[int32]int64
	kafkatest.Eventually(tb, within, "the ends of "+topic, func() bool { // a partition just added answers later
		_, n, err := wire.Leaders(deadline(tb), topic)
		if err == nil {
			var partitions []int32
			for p := range n {
				partitions = append(partitions, int32(p))
			}
			ends, err = wire.ListOffsets(deadline(tb), topic, partitions, kafkawire.Latest)
		}
		if err != nil {
			wire.Reset()
		}
		return err == nil
	})
	want, got := 0, 0
	for _, end := range ends {
		want += int(end)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		tb.Fatalf("reading %s: %v", topic, err)
	}
	defer cl.Close()
	log := map[int32][]string{}
	for got < want {
		fetches := cl.PollFetches(deadline(tb))
		if err := fetches.Err0(); err != nil {
			tb.Fatalf("reading %s: %v after %d of %d records", topic, err, got, want)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			log[r.Partition] = append(log[r.Partition], string(r.Value))
		})
	}
	return log
}

// sequence is "0 1 … n-1", each with the prefix.
func sequence(prefix string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return s
}

func wantLog(tb testing.TB, brokers []string, topic string, want map[int32][]string) {
	tb.Helper()
	log := logOf(tb, brokers, topic)
	for p, values := range want {
		if !slices.Equal(log[p], values) {
			tb.Errorf("%s/%d holds %d values %.200v, want %d %.200v", topic, p, len(log[p]), log[p], len(values), values)
		}
	}
	for p := range log {
		if _, ok := want[p]; !ok {
			tb.Errorf("%s/%d holds %.200v, want nothing", topic, p, log[p])
		}
	}
}

// goroutines counts goroutines of the producer and of what it uses.
func goroutines() int {
	buf := make([]byte, 4<<20)
	n := 0
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "(*tapConn)") { // the broker's side
			continue
		}
		if strings.Contains(stack, "github.com/balanceq/balanceq/producer.(*") ||
			strings.Contains(stack, "segmentio/kafka-go.(*") {
			n++
		}
	}
	return n
}
