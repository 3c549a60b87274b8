package e2e

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// exactly are the flags of an instance that answers exactly once. Transactions follow on each other so closely that an
// instance that is killed has mostly left one open.
func exactly(more ...string) []string {
	return append([]string{"--delivery=exactly-once", "--consumer.commit-interval=10ms",
		"--cms.max-in-flight=16", "--consumer.run-ahead=96"}, more...)
}

// subscriber reads results and dead letters as they come: with franz-go, committed ones only.
type subscriber struct {
	t *testing.T

	mu   sync.Mutex
	seen map[schemas.Position]int // how often a request was answered
	all  []sighting
}

// sighting is one answer as a subscriber sees it.
type sighting struct {
	at        time.Time
	partition int32 // of its request
}

// Watch starts a subscriber.
func (r *rig) Watch() *subscriber {
	r.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Brokers()...), kgo.ConsumeTopics(r.results, r.deadletters),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		r.t.Fatal(err)
	}
	w := &subscriber{t: r.t, seen: map[schemas.Position]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(rec *kgo.Record) { w.note(rec, r.results) })
		}
	})
	r.t.Cleanup(func() {
		cancel()
		reading.Wait()
		cl.Close()
	})
	return w
}

func (w *subscriber) note(rec *kgo.Record, results string) {
	m := kafka.Message{Topic: rec.Topic, Partition: int(rec.Partition), Offset: rec.Offset, Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	source := schemas.ReadDeadLetter(recordOf(m)).Source
	if rec.Topic == results {
		result, err := schemas.DecodeResult(m.Value)
		if err != nil {
			w.t.Errorf("result %d/%d: %v", m.Partition, m.Offset, err)
			return
		}
		source = result.Source
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[source]++
	w.all = append(w.all, sighting{time.Now(), source.Partition})
}

// answered returns how many requests have an answer, and how many answers there are.
func (w *subscriber) answered() (requests, answers int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen), len(w.all)
}

// Await waits until n requests are answered.
func (w *subscriber) Await(n int) {
	w.t.Helper()
	kafkatest.Eventually(w.t, waitTimeout, "answers are seen", func() bool {
		requests, _ := w.answered()
		return requests >= n
	})
}

// AwaitMore waits until n more requests are answered than now, and returns how long that took.
func (w *subscriber) AwaitMore(n int) time.Duration {
	w.t.Helper()
	began := time.Now()
	requests, _ := w.answered()
	w.Await(requests + n)
	return time.Since(began)
}

// standstill returns the longest time since from in which no request of any one of the partitions was answered.
func (w *subscriber) standstill(from time.Time, partitions ...int32) (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, partition := range partitions {
		last := from
		for _, s := range w.all {
			if s.partition == partition && s.at.After(last) {
				longest = max(longest, s.at.Sub(last))
				last = s.at
			}
		}
	}
	return longest
}

// WantExactlyOnce stops the traffic and waits until all requests are answered and their offsets committed. Then the
// subscriber has seen one answer to each, and so does who reads everything afresh.
func (w *subscriber) WantExactlyOnce(r *rig, traffic ...*load) *ledger {
	w.t.Helper()
	for _, l := range traffic {
		l.Stop()
	}
	defer w.nameUnanswered(r)
	w.Await(len(r.sent))
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.WantDeadLettersInOrder()
	if requests, answers := w.answered(); requests != len(r.sent) || answers != requests {
		w.t.Errorf("a subscriber has seen %d answers to %d of %d requests", answers, requests, len(r.sent))
	}
	return l
}

// nameUnanswered logs which requests the subscriber has seen no answer to, and what tells why: what the instances know
// of them, whether a transaction is open, and whether another reader sees the answers.
func (w *subscriber) nameUnanswered(r *rig) {
	unseen := map[schemas.Position]bool{}
	w.mu.Lock()
	for _, m := range r.sent {
		if of := positionOf(m); w.seen[of] == 0 {
			unseen[of] = true
			w.t.Logf("no answer was seen to %s", of)
		}
	}
	w.mu.Unlock()
	if len(unseen) == 0 {
		return
	}
	for _, in := range r.launched() {
		if in.running() {
			_, status := in.get("/status")
			w.t.Logf("the status of program %d: %s", in.cmd.Process.Pid, status)
		}
	}
	for _, topic := range []string{r.requests, r.results, r.deadletters} {
		w.t.Logf("%s: stable up to %v of %v", topic, r.broker.StableOffsets(w.t, topic), r.broker.EndOffsets(w.t, topic))
	}
	for _, topic := range []string{r.results, r.deadletters} {
		for _, m := range r.broker.ReadAll(w.t, topic) {
			if of := sourceOf(m); unseen[of] {
				w.t.Logf("another reader sees the answer to %s at %s", of, positionOf(m))
			}
		}
	}
	w.t.Logf("the group has committed %v", r.broker.Committed(w.t, r.group, r.requests))
}

// sourceOf returns the request of a result or a dead letter.
func sourceOf(m kafka.Message) schemas.Position {
	if result, err := schemas.DecodeResult(m.Value); err == nil && result.Source.Topic != "" {
		return result.Source
	}
	return schemas.ReadDeadLetter(recordOf(m)).Source
}

// load is traffic that goes on until it is stopped.
type load struct {
	rig  *rig
	stop context.CancelFunc
	done chan struct{}
	sent []kafka.Message
}

const (
	loadPause = 50 * time.Millisecond
	loadBurst = 15 // that often, so 300 a second: a machine that runs four such tests can follow
)

// Load starts traffic: for a hundred contracts, every tenth request invalid, over all partitions, also while brokers
// are away for a time. Stop it before the ledger is read.
func (r *rig) Load() *load {
	r.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Brokers()...), kgo.DefaultProduceTopic(r.requests),
		kgo.UnknownTopicRetries(-1),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.ProducerLinger(0),
		kgo.AlwaysRetryEOF()) // the container's port is open before the broker is: it takes connections and cuts them
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &load{rig: r, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer cl.Close()
		tick := time.NewTicker(loadPause)
		defer tick.Stop()
		for ctx.Err() == nil {
			l.burst(cl)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	r.t.Cleanup(l.Stop)
	return l
}

func (l *load) burst(cl *kgo.Client) {
	msgs := asks(loadBurst, loadBurst, 30_000+int64(len(l.sent)%100))
	msgs[rand.IntN(loadBurst)].Value = []byte(`{"contractId":`)
	recs := make([]*kgo.Record, len(msgs))
	for i, m := range msgs {
		recs[i] = &kgo.Record{Key: m.Key, Value: m.Value}
	}
	if err := cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		l.rig.t.Errorf("sending requests: %v", err)
	}
	for i, rec := range recs {
		msgs[i].Topic, msgs[i].Partition, msgs[i].Offset, msgs[i].Time = rec.Topic, int(rec.Partition), rec.Offset,
			rec.Timestamp
	}
	l.sent = append(l.sent, msgs...)
}

// Stop ends the traffic; the rig remembers what was sent. It may be called again.
func (l *load) Stop() {
	l.stop()
	<-l.done
	l.rig.remember(l.sent)
	l.sent = nil
}

// WantCalm fails the test if the program warned of anything but this: an operator would look after it in vain. A
// cluster that is used for the first time has no coordinators yet, and a group that is new finds requests.
func (in *instance) WantCalm(except ...string) {
	in.t.Helper()
	except = append(except, "waiting for Kafka", "has committed nothing in topic")
	for _, l := range in.Logs("") {
		text := l.text("message") + ": " + l.text("error")
		known := slices.ContainsFunc(except, func(e string) bool { return strings.Contains(text, e) })
		if level := l.text("level"); level != "debug" && level != "info" && !known {
			in.t.Errorf("%s: %s", level, text)
		}
	}
}
