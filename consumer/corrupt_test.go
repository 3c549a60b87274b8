package consumer

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/kafkawire"
)

// fakeSkips are decisions of operators, by partition.
type fakeSkips struct {
	mu sync.Mutex
	to map[int32]int64
}

func (s *fakeSkips) Skip(_ context.Context, partition int32, offset int64) (int64, string, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, ok := s.to[partition]
	return to, "ann@host", ok && to > offset, nil
}

func (s *fakeSkips) decide(partition int32, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = map[int32]int64{partition: to}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// with returns the lines that contain all of the words.
func (l *lines) with(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	return found
}

// produceGarbage writes a batch of that many records whose checksum is right and which claims to be gzip.
func produceGarbage(t *testing.T, c *kfake.Cluster, partition int32, values ...string) {
	t.Helper()
	const crc, attributes = 17, 21
	b := batchOf(values)
	b[attributes+1] |= 1
	binary.BigEndian.PutUint32(b[crc:], crc32.Checksum(b[attributes:], crc32.MakeTable(crc32.Castagnoli)))
	produceBatch(t, c, partition, b)
}

// batchOf is one batch, however many records that are: a client may make several of them.
func batchOf(values []string) []byte {
	var records []kafkawire.Record
	for _, v := range values {
		records = append(records, kafkawire.Record{Value: []byte(v)})
	}
	return kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1, records, time.Now())
}

func produceBatch(t *testing.T, c *kfake.Cluster, partition int32, b []byte) {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	leaders, _, err := wire.Leaders(t.Context(), testTopic)
	if err != nil {
		t.Fatal(err)
	}
	batch := &kafkawire.Batch{Topic: testTopic, Partition: partition, Bytes: b}
	if err := errors.Join(wire.Produce(t.Context(), leaders[partition], []*kafkawire.Batch{batch}),
		batch.Err); err != nil {
		t.Fatal(err)
	}
}

// A batch that cannot be read holds its own partition up and no other one, the lag is right, people are told what to
// do, and when they have done it the partition goes on.
func TestCorruptBatch(t *testing.T) {
	t.Parallel()
	c := broker(t, 2)
	produce(t, c, 0, requests(1, 3)...)
	produceGarbage(t, c, 0, "x", "y")
	produce(t, c, 0, requests(10, 4)...)
	r := start(t, c, answerAll, nil)
	lease := r.grant(0, 1)
	eventually(t, "what is before it is answered", func() bool { return lease.offset(0) == 3 })
	eventually(t, "it is noticed", func() bool { p, _ := r.partition(0); return p.Corrupt != nil && p.Corrupt.Tries > 1 })
	for i := range 20 { // each would wait for a back-off if the leader's loop had one
		produce(t, c, 1, requests(100+i, 1)...)
		eventually(t, "the other partition goes on", func() bool { return lease.offset(1) == int64(i+1) })
	}
	p, _ := r.partition(0)
	if p.Corrupt == nil || p.Corrupt.From != 3 || p.Corrupt.To != 5 || !errors.Is(p.Corrupt.Err, kafkawire.ErrCorrupt) ||
		p.Lag() != 6 {
		t.Errorf("lag %d, %+v", p.Lag(), p.Corrupt)
	}
	if other, _ := r.partition(1); other.Corrupt != nil {
		t.Errorf("the other partition: %+v", other.Corrupt)
	}
	told := r.logged.with(`"level":"error"`, testTopic, "balanceq skip --partition 0 --offset 3")
	p, _ = r.partition(0) // after the log: it tells at every doubling of the tries
	if len(told) == 0 || len(told) > bits.Len(uint(p.Corrupt.Tries)) {
		t.Errorf("after %d tries it said %q", p.Corrupt.Tries, told)
	}
	if failed := r.logged.with("fetching failed"); len(failed) > 0 {
		t.Errorf("the connections were reset: %q", failed)
	}
	r.skips.decide(0, 5)
	eventually(t, "it goes on behind the batch", func() bool { return lease.offset(0) == 9 })
	if p, _ := r.partition(0); p.Corrupt != nil || p.Lag() != 0 {
		t.Errorf("afterwards: lag %d, %+v", p.Lag(), p.Corrupt)
	}
	if _, _, jumps := r.observer.seen(); !slices.Equal(jumps, []jump{{0, 3, 5}}) {
		t.Errorf("jumps %v", jumps)
	}
	if told := r.logged.with("error", "ann@host", `"offsets":2`); len(told) != 1 {
		t.Errorf("it said %q", told)
	}
}

// A writer of the topic of replays cannot have more passed over than what cannot be read, even with a decision to
// pass over everything.
func TestForgedSkip(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 3)...)
	produceGarbage(t, c, 0, "x", "y", "z")
	r := start(t, c, answerAll, nil)
	lease := r.grant(0)
	eventually(t, "it stands still", func() bool { p, _ := r.partition(0); return p.Corrupt != nil })
	r.skips.decide(0, 1<<60)
	eventually(t, "it goes on behind the batch", func() bool { return lease.offset(0) == 6 })
	produce(t, c, 0, requests(10, 4)...)
	eventually(t, "what is behind it is answered", func() bool { return lease.offset(0) == 10 })
	if n := r.delivery.count(); n != 7 {
		t.Errorf("%d of 7 are answered", n)
	}
	r.skips.decide(0, 0)
	produceGarbage(t, c, 0, "x") // the decision was about the batch before
	eventually(t, "it stands still again", func() bool { p, _ := r.partition(0); return p.Corrupt != nil })
	if at := lease.offset(0); at != 10 {
		t.Errorf("it went on to %d", at)
	}
}

// A batch whose head does not say where it ends comes again from each of its offsets; one decision is enough for all of
// them, and for no more.
func TestSkipWithoutAnEnd(t *testing.T) {
	t.Parallel()
	obs := &fakeObserver{}
	p := newPartition(&Consumer{log: zerolog.Nop(), obs: obs, cfg: Config{Topic: testTopic}}, 0, nil, position{start: 3})
	taken := func() int64 { return (<-p.input).next }
	at := func(offset int64) *kafkawire.CorruptError { return &kafkawire.CorruptError{First: 3, Last: offset} }
	p.corrupt(3, at(3))
	if to, ok := p.pastCorrupt(3, skip{to: 6, by: "ann@host"}); !ok || to != 4 || taken() != 4 {
		t.Errorf("it went on at %d, %t", to, ok)
	}
	for offset := int64(4); offset < 6; offset++ {
		if p.corrupt(offset, at(3)); p.broken != nil || taken() != offset+1 {
			t.Errorf("at %d it stands still: %+v", offset, p.broken)
		}
	}
	if p.corrupt(6, at(3)); p.broken == nil || p.broken.From != 6 {
		t.Errorf("beyond the decision: %+v", p.broken)
	}
	if _, _, jumps := obs.seen(); !slices.Equal(jumps, []jump{{0, 4, 5}, {0, 5, 6}}) {
		t.Errorf("jumps %v", jumps)
	}
}
