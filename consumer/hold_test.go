package consumer

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/kafkawire"
)

// Large records that wait are bounded by their memory and not by the window, and what waits behind them goes on when
// they are finished.
func TestHeldMemory(t *testing.T) {
	t.Parallel()
	const n, each = 30, 3 << 20
	c := broker(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchCompression(kgo.GzipCompression()),
		kgo.ProducerBatchMaxBytes(2*each))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range n { // a batch each, some kilobytes long
		r := &kgo.Record{Topic: testTopic, Key: fmt.Append(nil, i), Value: make([]byte, each)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	wait := make(chan struct{})
	h := head{wait}
	r := start(t, c, h.handleAll, nil)
	lease := r.grant(0)
	eventually(t, "a portion waits for memory", func() bool { p, _ := r.partition(0); return !p.Room && p.Open > 0 })
	p := r.held()[0]
	if status, _ := r.partition(0); status.Open > maxHeld/each || p.held.Load() > maxHeld {
		t.Errorf("%d records with %d MiB are under way", status.Open, p.held.Load()>>20)
	}
	close(wait)
	eventually(t, "all are finished", func() bool { return lease.offset(0) == n })
	eventually(t, "nothing is held any more", func() bool { return p.held.Load() == 0 })
}

// handleAll keeps all records until it is let go.
func (h head) handleAll(ctx context.Context, lane *Lane) {
	select {
	case <-h.free:
	case <-ctx.Done():
		return
	}
	answerAll(ctx, lane)
}

// While much is under way, a small record is copied out of its chunk: it alone is held until it is finished, and keeps
// what it was decoded from no longer. A record that is much of its chunk is not copied.
func TestSmallRecordsLeaveTheirChunk(t *testing.T) {
	t.Parallel()
	p := &partition{freed: make(chan struct{}, 1)}
	chunk := func(bytes int64) *hold {
		h := &hold{partition: p, bytes: bytes}
		h.users.Store(1)
		p.held.Add(bytes)
		return h
	}
	record := func() *kafkawire.Record {
		return &kafkawire.Record{Key: []byte("k"), Value: []byte("value"),
			Headers: []kafkawire.Header{{Key: "h", Value: []byte("v")}}}
	}
	first := chunk(maxHeld / 2)
	if h := first.own(record()); h != first {
		t.Error("it is copied though there is room")
	}
	h := chunk(1 << 10)
	r := record()
	value := r.Value
	alone := h.own(r)
	if alone == h || alone.bytes != 7 || string(r.Value) != "value" || &r.Value[0] == &value[0] {
		t.Errorf("held %+v, value %q", alone, r.Value)
	}
	h.release()
	if held := p.held.Load(); held != maxHeld/2+7 {
		t.Errorf("%d bytes are held when dispatch is done with the chunk", held)
	}
	if alone.release(); p.held.Load() != maxHeld/2 {
		t.Errorf("%d bytes are held when the record is finished", p.held.Load())
	}
	if h := chunk(7*smallRecord - 1); h.own(record()) != h {
		t.Error("a large part of a chunk is copied")
	}
}
