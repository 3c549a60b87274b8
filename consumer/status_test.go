package consumer

import (
	"context"
	"sync"
	"testing"

	"github.com/balanceq/balanceq/kafkawire"
)

// The status says where the oldest record is: in its lane, in its handler's hands, or with the delivery.
func TestStatusOfTheOldest(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	r := start(t, c, func(ctx context.Context, lane *Lane) {
		<-hold
		answerAll(ctx, lane)
	}, func(cfg *Config) { cfg.MaxInFlight = 1 })
	t.Cleanup(release)
	r.delivery.setHold(true)
	r.grant(0)
	if p, ok := r.partition(0); !ok || p.Oldest != kafkawire.NoOffset || !p.Room || p.Waits || p.Draining ||
		p.Fetched != 0 {
		t.Errorf("idle: %+v", p)
	}
	if !r.Status().WorkerFree {
		t.Error("idle: no worker is free")
	}
	produce(t, c, 0, requests(700, 3)...) // of three contracts
	eventually(t, "all are started", func() bool { p, _ := r.partition(0); return p.Open == 3 })
	// The handler has been given the lane, but has taken nothing out of it.
	if p, _ := r.partition(0); p.Oldest != 0 || p.Lane != 700 || !p.Waits || p.Fetched != 3 || p.Begun != 3 ||
		r.Status().WorkerFree {
		t.Errorf("waiting: %+v", p)
	}
	release()
	eventually(t, "all are handed over", func() bool { return r.delivery.count() == 3 })
	eventually(t, "the worker is free", func() bool { return r.Status().WorkerFree })
	if p, _ := r.partition(0); p.Oldest != 0 || p.Waits {
		t.Errorf("handed over: %+v", p)
	}
	r.delivery.setHold(false)
	r.delivery.release()
	eventually(t, "all are finished", func() bool {
		p, _ := r.partition(0)
		return p.Oldest == kafkawire.NoOffset && p.Next == 3 && p.Begun == 3
	})
}

// What a full window keeps out waits to be started, and leaves no room for a fetch.
func TestStatusOfAFullPartition(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	hold := make(chan struct{})
	r := start(t, c, func(ctx context.Context, lane *Lane) {
		<-hold
		answerAll(ctx, lane)
	}, func(cfg *Config) { cfg.RunAhead, cfg.FetchBytes = minWindow, 512 })
	t.Cleanup(sync.OnceFunc(func() { close(hold) }))
	r.grant(0)
	for range 20 {
		produce(t, c, 0, requests(1, 5)...) // a batch each, so that fetches are small
	}
	eventually(t, "there is no room", func() bool { p, _ := r.partition(0); return p.Open == minWindow && !p.Room })
	if p, _ := r.partition(0); p.Draining || p.Fetched <= p.Oldest || p.Fetched == 100 || p.Begun != minWindow {
		t.Errorf("%+v", p)
	}
}
