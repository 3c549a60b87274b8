package consumer

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
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
