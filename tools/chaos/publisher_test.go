package main

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/wait"
)

// newTopics has a collector create its topics of two partitions.
func newTopics(t *testing.T) *collector {
	t.Helper()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1))
	w, err := newCollector(cluster.ListenAddrs()[0], "x", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	w.replication = 1
	if err := w.createTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// acknowledged waits for so many requests.
func (w *collector) acknowledged(t *testing.T, n int) {
	t.Helper()
	for {
		w.mu.Lock()
		got, failed := len(w.acks), w.failed
		w.mu.Unlock()
		if failed != nil || !wait.Sleep(t.Context(), time.Millisecond) {
			t.Fatalf("%d requests acknowledged: %v", got, failed)
		}
		if got >= n {
			return
		}
	}
}

// Each acknowledged request is in the log, or known to have gone with its topic, whatever happens while requests are
// sent.
func TestPublisherKnowsWhatIsGone(t *testing.T) {
	w := newTopics(t)
	enough, published := make(chan struct{}), make(chan error, 1)
	go func() { published <- w.publish(t.Context(), 100, 50, 50*time.Millisecond, enough) }()
	w.acknowledged(t, 20)
	for range 2 {
		if err := w.between(t.Context(), func() error { return w.recreate(t.Context(), 5*time.Millisecond) }); err != nil {
			t.Fatal(err)
		}
		// Counted behind it: what was in flight when it began is acknowledged in the life before.
		w.acknowledged(t, len(w.acked())+20)
	}
	if err := w.between(t.Context(), func() error { return w.expand(t.Context(), 3) }); err != nil {
		t.Fatal(err)
	}
	w.acknowledged(t, len(w.acked())+50)
	close(enough)
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	h, err := w.collect(t.Context(), false)
	if err != nil || len(h.incidents) > 0 {
		t.Fatal(err, h.incidents)
	}
	b := ledger{history: h, bySeq: map[int]*request{}}
	if wrong := b.enterRequests(); len(wrong) > 0 {
		t.Errorf("%v", wrong)
	}
	lives, partitions := map[int]int{}, map[int32]bool{}
	for _, q := range b.all {
		lives[q.life]++
		partitions[q.partition] = true
	}
	if len(h.losses) != 2 || lives[0]+lives[1] != len(h.gone) || lives[0] < 20 || lives[1] < 20 ||
		lives[2] != len(h.requests) ||
		len(partitions) != 5 || len(b.all) != h.published {
		t.Errorf("lives %v, partitions %v, %d gone, %d there of %d", lives, partitions, len(h.gone), len(h.requests),
			h.published)
	}
}

// acked returns the numbers of acknowledged requests.
func (w *collector) acked() (seqs []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for seq := range w.acks {
		seqs = append(seqs, seq)
	}
	return seqs
}

// Outcomes in a topic that is deleted are kept; those in the next one come behind them, in what samples say too.
func TestOutcomesOutliveTheirTopic(t *testing.T) {
	w := newTopics(t)
	write := func(value string) {
		r := &kgo.Record{Topic: w.topics.results, Partition: 1, Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("r/0/0@Vd3.0")}}}
		client, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"requestId":"1"}`)
	write(`{"requestId":"2"}`)
	write(`no result`)
	if err := w.recreateOutputs(t.Context(), w.topics.results, 0); err != nil {
		t.Fatal(err)
	}
	write(`{"requestId":"4"}`)
	s, err := w.sample(t.Context())
	if err != nil || s.ends[target{false, 1}] != 4 {
		t.Errorf("%v %v", s.ends, err)
	}
	h, err := w.collect(t.Context(), false)
	if err != nil || len(h.incidents) != 1 {
		t.Errorf("%v %v", h.incidents, err)
	}
	var got []int64
	for _, o := range h.outcomes {
		got = append(got, int64(o.seq), o.offset)
	}
	if !slices.Equal(got, []int64{1, 0, 2, 1, 4, 3}) {
		t.Errorf("%v", got)
	}
}

// The id of a topic is found in the metadata of a commit, in its bytes or its text, whatever is around it.
func TestTopicNamedInMetadata(t *testing.T) {
	first, second, other := [16]byte{1, 2, 3}, [16]byte{0xff, 0xfe}, [16]byte{9}
	p := &publisher{lifeOf: map[[16]byte]int{first: 0, second: 3}}
	encode := base64.RawURLEncoding.EncodeToString
	for metadata, want := range map[string]int{
		"": unsaid.life, "x": unsaid.life, encode(other[:]): unsaid.life,
		encode(append([]byte{0xb2, 7}, first[:]...)):                  0,
		encode(append(append([]byte{0xb2}, second[:]...), "more"...)): 3,
		"topic " + encode(second[:]) + ", host w1":                    3,
	} {
		if got := p.named(metadata); got != want {
			t.Errorf("%q: %d, want %d", metadata, got, want)
		}
	}
}
