package consumer

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A large batch is fetched once and decoded in steps: each of its requests is answered once, and what is behind it is
// read.
func TestLargeBatchInSteps(t *testing.T) {
	t.Parallel()
	const n = 5000 // many times decodeStep
	c := broker(t, 1)
	produceBatch(t, c, 0, batchOf(requests(1, n)))
	var again atomic.Int64
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true, When: func(req kmsg.Request) bool {
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			for _, p := range topic.Partitions {
				if p.FetchOffset > 0 && p.FetchOffset < n {
					again.Add(1)
				}
			}
		}
		return true
	}})
	r := start(t, c, answerAll, nil)
	lease := r.grant(0)
	eventually(t, "the batch is answered", func() bool { return lease.offset(0) == n })
	produce(t, c, 0, requests(n+1, 10)...)
	eventually(t, "what is behind it is answered", func() bool { return lease.offset(0) == n+10 })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if !slices.Equal(got, sequence(0, n+10)) {
		t.Errorf("%d requests were answered, want each of %d once", len(got), n+10)
	}
	if n := again.Load(); n > 0 {
		t.Errorf("it was fetched %d times more", n)
	}
}

// Behind a request that hangs, a large batch stays encoded for the most part.
func TestLargeBatchStaysEncoded(t *testing.T) {
	t.Parallel()
	const n = 5000
	c := broker(t, 1)
	produceBatch(t, c, 0, batchOf(requests(1, n)))
	h := head{make(chan struct{})}
	r := start(t, c, h.handle, func(cfg *Config) { cfg.RunAhead, cfg.Ahead = 32, 64 })
	lease := r.grant(0)
	eventually(t, "it runs ahead", func() bool { p, _ := r.partition(0); return p.Open > 32 })
	if p, _ := r.partition(0); p.Fetched > n/2 || p.Room {
		t.Errorf("decoded up to %d; it takes more: %t", p.Fetched, p.Room)
	}
	close(h.free)
	eventually(t, "the batch is answered", func() bool { return lease.offset(0) == n })
}

// A batch that cannot be read is found when its turn comes. What is before it is answered, what is behind it when it is
// skipped.
func TestCorruptBatchInSteps(t *testing.T) {
	t.Parallel()
	const n = 3000
	c := broker(t, 1)
	for i := range 3 {
		produce(t, c, 0, requests(1+i*n/3, n/3)...)
	}
	produceGarbage(t, c, 0, "x", "y")
	produce(t, c, 0, requests(n+1, 4)...)
	r := start(t, c, answerAll, func(cfg *Config) { cfg.FetchBytes = 4 << 20 }) // all of it at once
	lease := r.grant(0)
	eventually(t, "what is before it is answered", func() bool { return lease.offset(0) == n })
	eventually(t, "it is noticed", func() bool { p, _ := r.partition(0); return p.Corrupt != nil && p.Corrupt.Tries > 1 })
	if p, _ := r.partition(0); p.Corrupt.From != n || p.Corrupt.To != n+2 {
		t.Errorf("%+v", p.Corrupt)
	}
	r.skips.decide(0, n+2)
	eventually(t, "it goes on behind the batch", func() bool { return lease.offset(0) == n+6 })
	if got := r.delivery.count(); got != n+4 {
		t.Errorf("%d of %d are answered", got, n+4)
	}
}
