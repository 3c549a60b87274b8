package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// topics are the topics of one test.
type topics struct {
	*testing.T
	brokers []string
	cfg     Config
}

// broker writes and reads as another client does.
type broker interface {
	ProduceTo(tb testing.TB, topic string, partition int32, msgs ...kafka.Message) []kafka.Message
	ReadAll(tb testing.TB, topic string) []kafka.Message
}

func onShared(t *testing.T) (*topics, *kafkatest.Broker) {
	t.Helper()
	broker := kafkatest.Shared(t)
	return &topics{t, broker.Brokers(), Config{
		Letters: broker.Topic(t, 3), Requests: broker.Topic(t, 3), Ledger: broker.Topic(t, 1), By: "me@here",
	}}, broker
}

func (b *topics) client(topics ...string) *kafkawire.Client {
	c := kafkawire.NewClient(kafkawire.Settings{Brokers: b.brokers, ClientID: "deadletter-test"}, topics...)
	b.Cleanup(c.Close)
	return c
}

// run begins a replay of that name.
func (b *topics) run(ctx context.Context, name string) (*Run, error) {
	cfg := b.cfg
	cfg.Run = name
	return Begin(ctx, cfg, b.client(cfg.Letters, cfg.Requests, cfg.Ledger), b.client(cfg.Ledger))
}

// fill writes n dead letters of requests that stood in three partitions in turn, and returns them in order.
func (b *topics) fill(broker broker, n int) []*deadletter.Letter {
	b.Helper()
	msgs := make([][]kafka.Message, 3)
	for i := range n {
		p := int32(i % 3)
		d := schemas.DeadLetter{Reason: schemas.ReasonExpired, DecidedAt: noon, Record: &schemas.Record{
			Position: schemas.Position{Topic: b.cfg.Requests, Partition: p, Offset: int64(i)},
			Key:      []byte("k" + strconv.Itoa(i%7)), Value: fmt.Append(nil, i),
			Headers: []schemas.Header{{Key: "trace", Value: []byte{0, 255}}},
		}}
		m := d.Message(schemas.Origin{})
		msg := kafka.Message{Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			msg.Headers = append(msg.Headers, kafka.Header(h))
		}
		msgs[p] = append(msgs[p], msg)
	}
	for p, list := range msgs {
		broker.ProduceTo(b.T, b.cfg.Letters, int32(p), list...)
	}
	var letters []*deadletter.Letter
	s := deadletter.Scan{Client: b.client(b.cfg.Letters), Topic: b.cfg.Letters, From: kafkawire.Earliest}
	err := s.Each(b.Context(), func(l *deadletter.Letter) error {
		l.Info() // which it keeps: rivals share the letters
		letters = append(letters, l)
		return nil
	})
	if err != nil || len(letters) != n {
		b.Fatalf("%d letters, error %v", len(letters), err)
	}
	return letters
}

// put replays letters in chunks of that size.
func put(ctx context.Context, r *Run, letters []*deadletter.Letter, size int) (replayed []*Candidate, err error) {
	for chunk := range slices.Chunk(letters, size) {
		var again []*Candidate
		for _, l := range chunk {
			again = append(again, r.Prepare(l))
		}
		done, err := r.Put(ctx, again)
		replayed = append(replayed, done...)
		if err != nil {
			return replayed, err
		}
	}
	return replayed, nil
}

// check compares the request topic and the ledger, as read-committed readers see them, with the letters.
func (b *topics) check(broker broker, letters []*deadletter.Letter) {
	b.Helper()
	// a coordinator answers before the marks of the end are in all partitions
	if shared, is := broker.(*kafkatest.Broker); is {
		shared.Read(b.T, b.cfg.Requests, len(letters))
		shared.Read(b.T, b.cfg.Ledger, len(letters))
	}
	seen := map[string]schemas.Position{}
	last := map[int]int{}
	for _, m := range broker.ReadAll(b.T, b.cfg.Requests) {
		if _, twice := seen[string(m.Value)]; twice {
			b.Errorf("%s was replayed twice", m.Value)
		}
		seen[string(m.Value)] = schemas.Position{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset}
		n, _ := strconv.Atoi(string(m.Value))
		if n%3 != m.Partition || last[m.Partition] > n {
			b.Errorf("%s stands in partition %d after %d", m.Value, m.Partition, last[m.Partition])
		}
		last[m.Partition] = n
		if h := m.Headers; len(h) != 5 || h[0].Key != "trace" || string(h[0].Value) != "\x00\xff" ||
			string(h[1].Value) != "1" || string(m.Key) != "k"+strconv.Itoa(n%7) {
			b.Errorf("%s came back with key %s and headers %v", m.Value, m.Key, h)
		}
	}
	entries := map[schemas.Position]schemas.Position{}
	reader := ledger.Reader{Client: b.client(b.cfg.Ledger), Topic: b.cfg.Ledger}
	if err := reader.Read(b.Context(), func(e *ledger.Entry) error {
		if e.By != "me@here" || e.Reason != schemas.ReasonExpired || e.Replay != 1 || e.Time.IsZero() || e.TopicID == "" {
			b.Errorf("entry %+v", e)
		}
		if at := e.Letter; entries[at] != (schemas.Position{}) {
			b.Errorf("%v is in the ledger twice", at)
		} else {
			entries[at] = e.Request
		}
		return nil
	}); err != nil {
		b.Error(err)
	}
	for _, l := range letters {
		if at := seen[string(l.Value)]; at == (schemas.Position{}) || at != entries[l.Position] {
			b.Errorf("%s stands at %v; the ledger says %v", l.Value, at, entries[l.Position])
		}
	}
	if len(seen) != len(letters) || len(entries) != len(letters) {
		b.Errorf("%d replayed, %d in the ledger, want %d", len(seen), len(entries), len(letters))
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	b, broker := onShared(t)
	letters := b.fill(broker, 100)
	r, err := b.run(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := put(t.Context(), r, letters[:60], 17)
	if err != nil || len(replayed) != 60 {
		t.Fatalf("%d replayed, error %v", len(replayed), err)
	}
	b.check(broker, letters[:60])
	// Another run, which does not know of the first one, replays what is left.
	if r, err = b.run(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	if replayed, err = put(t.Context(), r, letters, 30); err != nil || len(replayed) != 40 || r.Replayed.Len() != 100 {
		t.Fatalf("%d replayed, error %v", len(replayed), err)
	}
	b.check(broker, letters)
}

// A run that dies within a transaction leaves nothing behind.
func TestReplayAfterADeath(t *testing.T) {
	t.Parallel()
	b, broker := onShared(t)
	letters := b.fill(broker, 30)
	r, err := b.run(t.Context(), "dies")
	if err == nil {
		_, err = put(t.Context(), r, letters[:10], 10)
	}
	var chunk []*Candidate
	for _, l := range letters[10:20] {
		chunk = append(chunk, r.Prepare(l))
	}
	if err = errors.Join(err, r.fill(t.Context(), chunk)); err != nil { // and no more is heard of it
		t.Fatal(err)
	}
	if r, err = b.run(t.Context(), "next"); err != nil {
		t.Fatal(err)
	}
	if replayed, err := put(t.Context(), r, letters, 7); err != nil || len(replayed) != 20 {
		t.Fatalf("%d replayed, error %v", len(replayed), err)
	}
	b.check(broker, letters)
}

// Of two that replay at the same time one goes on, and no letter is replayed twice.
func TestReplayRivals(t *testing.T) {
	t.Parallel()
	b, broker := onShared(t)
	letters := b.fill(broker, 90)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() {
			r, err := b.run(t.Context(), "run"+strconv.Itoa(i))
			if err == nil {
				_, err = put(t.Context(), r, letters, 3)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, ErrFenced):
			t.Error(err)
		}
	}
	if done == 0 {
		t.Error("none went on")
	}
	b.check(broker, letters)
}

// What is in the ledger's topic and cannot be understood is no reason to replay anything.
func TestReplayTrustsNoBrokenLedger(t *testing.T) {
	t.Parallel()
	b, broker := onShared(t)
	broker.Produce(t, b.cfg.Ledger, kafka.Message{Value: []byte("a stranger's")})
	r, err := b.run(t.Context(), "one")
	if err != nil || r.ledger.Foreign != 1 {
		t.Fatalf("%+v, error %v", r.ledger, err)
	}
	for _, value := range []string{"", "{", `{"run":"x"}`, `{"run":"x","run":"y","letter":{"topic":"t"}}`,
		`{"letter":{"topic":"t"}}`} {
		b.cfg.Ledger = broker.Topic(t, 1)
		broker.Produce(t, b.cfg.Ledger, kafka.Message{Value: []byte(value),
			Headers: []kafka.Header{{Key: schemas.HeaderReplayRun, Value: []byte("x")}}})
		if _, err := b.run(t.Context(), "two"); err == nil || !errors.Is(err, ledger.ErrUnreadable) {
			t.Errorf("%q: error %v", value, err)
		}
	}
}
