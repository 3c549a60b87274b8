package consumer

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// roomRig is a consumer without brokers, whose partitions have records without end and whose handler the test is.
type roomRig struct {
	*Consumer
	begun map[*partition][]*slot // not finished, in order; touched when all goroutines wait
	mu    sync.Mutex
	wg    sync.WaitGroup
}

func newRoomRig(limit int) *roomRig {
	r := &roomRig{begun: map[*partition][]*slot{}}
	r.Consumer = New(Config{RunAhead: limit}, Parts{
		Delivery: &fakeDelivery{}, Observer: &fakeObserver{}, Gate: newFakeGate(), Log: zerolog.Nop(),
	})
	r.work = context.Background()
	return r
}

// hold adds partitions, as start does.
func (r *roomRig) hold(ids ...int32) {
	r.Consumer.mu.Lock()
	defer r.Consumer.mu.Unlock()
	r.room.divide(len(r.partitions) + len(ids))
	for _, id := range ids {
		p := newPartition(r.Consumer, id, &fakeLease{}, position{})
		ctx, cancel := context.WithCancel(context.Background())
		p.stop = cancel
		r.partitions[id] = p
		r.wg.Go(func() {
			defer close(p.stopped)
			for offset := int64(0); p.awaitRoom(ctx); offset++ {
				it := p.begin(ctx, &kafkawire.Record{Offset: offset}, &hold{partition: p})
				it.req.Err, it.req.Request = nil, schemas.Request{}
				r.mu.Lock()
				r.begun[p] = append(r.begun[p], it)
				r.mu.Unlock()
			}
		})
	}
}

// drop gives partitions back with whatever is unfinished.
func (r *roomRig) drop(ids ...int32) {
	parts := r.drainStart(ids)
	for _, p := range parts {
		p.forfeit()
	}
	r.Consumer.mu.Lock()
	for _, p := range parts {
		delete(r.partitions, p.id)
	}
	r.room.divide(len(r.partitions))
	r.Consumer.mu.Unlock()
	r.wakePartitions()
}

// finish finishes n records of a partition, the oldest first.
func (r *roomRig) finish(p *partition, n int) {
	r.mu.Lock()
	n = min(n, len(r.begun[p]))
	done := slices.Clone(r.begun[p][:n])
	r.begun[p] = r.begun[p][n:]
	r.mu.Unlock()
	for _, it := range done {
		p.finish(it, false)
	}
}

func (r *roomRig) check(t interface {
	Helper()
	Errorf(string, ...any)
}, limit int) {
	t.Helper()
	synctest.Wait()
	sum, count := 0, len(r.partitions)
	for id, p := range r.partitions {
		open := p.unfinished()
		sum += open
		if open < minWindow {
			t.Errorf("partition %d has %d records started and waits", id, open)
		}
	}
	if int64(sum) != r.room.started.Load() {
		t.Errorf("%d records are started, %d counted", sum, r.room.started.Load())
	}
	if sum > limit+minWindow*count {
		t.Errorf("%d records of %d partitions are started with a limit of %d", sum, count, limit)
	}
	for id, p := range r.partitions {
		if open := p.unfinished(); sum < limit && int64(open) < r.room.share.Load() {
			t.Errorf("partition %d waits with %d of its share of %d, and %d of %d are started", id, open, r.room.share.Load(),
				sum, limit)
		}
	}
}

func (r *roomRig) end() {
	r.drop(slices.Collect(func(yield func(int32) bool) {
		for _, p := range r.held() {
			if !yield(p.id) {
				return
			}
		}
	})...)
	r.wg.Wait()
}

// Whatever comes, goes and finishes: never more than the limit and a floor each are started, each partition has its
// floor at once, and no partition waits while there is room for it.
func TestRoom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 300).Draw(rt, "limit")
		synctest.Test(t, func(*testing.T) {
			r := newRoomRig(limit)
			defer r.end()
			next := int32(0)
			held := []int32{}
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				switch step := rapid.IntRange(0, 5).Draw(rt, "step"); {
				case step == 0 || len(held) == 0:
					var ids []int32
					for range rapid.IntRange(1, 12).Draw(rt, "come") {
						ids = append(ids, next)
						next++
					}
					held = append(held, ids...)
					r.hold(ids...)
				case step == 1:
					n := rapid.IntRange(1, len(held)).Draw(rt, "go")
					r.drop(held[:n]...)
					held = held[n:]
				default:
					of := held[rapid.IntRange(0, len(held)-1).Draw(rt, "of")]
					r.finish(r.partitions[of], rapid.IntRange(1, limit).Draw(rt, "finish"))
				}
				r.check(rt, limit)
			}
		})
	})
}

// The cases from practice, with the default limit: a group that shrinks to one instance, and one that grows.
func TestRoomOfPartitionsThatComeAndGo(t *testing.T) {
	const limit = 1024
	eleven := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	synctest.Test(t, func(t *testing.T) {
		r := newRoomRig(limit)
		defer r.end()
		r.hold(0)
		r.check(t, limit)
		first := r.partitions[0]
		if n := first.unfinished(); n != limit {
			t.Errorf("one partition has %d started", n)
		}
		r.hold(eleven...) // while the first one has everything
		r.check(t, limit)
		if n := r.room.started.Load(); n != limit+int64(len(eleven))*minWindow {
			t.Errorf("%d started when eleven more have come", n)
		}
		r.finish(first, limit)
		r.check(t, limit)
		for id, p := range r.partitions {
			if p.unfinished() != limit/12 {
				t.Errorf("partition %d has %d started, want an equal share", id, p.unfinished())
			}
		}
		r.drop(eleven...)
		r.check(t, limit)
		if n := first.unfinished(); n != limit {
			t.Errorf("the one that is left has %d started", n)
		}
	})
}

// Partitions with much to do have more than their share while calls are to be had, and the others have theirs at once.
func TestRoomIsLent(t *testing.T) {
	const limit, calls, partitions, share = 1024, 256, 12, 85
	r := newRoom(limit, calls, 0, func() {})
	r.divide(partitions)
	var has [partitions]occupancy
	fill := func(i, want int) {
		t.Helper()
		ok, starved := r.take(has[i])
		for ; ok; ok, starved = r.take(has[i]) {
			has[i].started++
		}
		if has[i].started != want || starved != (r.started.Load() >= limit && want < share) {
			t.Errorf("partition %d has %d, want %d (starved: %t)", i, has[i].started, want, starved)
		}
	}
	finish := func(i, n int) {
		has[i].started -= n
		r.add(occupancy{started: -n})
	}
	fill(0, calls)
	fill(1, share)
	finish(0, 100) // and goes on
	fill(0, calls-share)
	fill(1, share)
	for i := 2; i < partitions-1; i++ {
		fill(i, share)
	}
	fill(partitions-1, minWindow) // until the first has finished what it has borrowed
	finish(0, calls-2*share)
	fill(0, share)
	fill(partitions-1, share)
}

// What was started when its partition was given back has no place any more: it neither keeps others waiting nor,
// finished at last, gives back a place that it does not have.
func TestForfeitedPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoomRig(100)
		defer r.end()
		r.hold(0, 1)
		r.check(t, 100)
		gone := r.partitions[0]
		r.drop(0)
		r.check(t, 100)
		r.finish(gone, 50)
		r.check(t, 100)
		if n := r.partitions[1].unfinished(); n != 100 {
			t.Errorf("the other one has %d started", n)
		}
	})
}

// Under the race detector: many partitions that take and give back at the same time.
func TestRoomUnderFire(t *testing.T) {
	r := newRoomRig(64)
	var wg sync.WaitGroup
	for id := range int32(6) {
		r.hold(id)
	}
	for _, p := range r.held() {
		wg.Go(func() {
			for done := 0; done < 2000; {
				r.mu.Lock()
				n := len(r.begun[p])
				r.mu.Unlock()
				if n == 0 {
					runtime.Gosched()
				} else {
					n = 1 + rand.IntN(n)
					r.finish(p, n)
					done += n
				}
				if sum := r.room.started.Load(); sum > 64+6*minWindow {
					t.Errorf("%d started", sum)
					return
				}
			}
		})
	}
	wg.Wait()
	r.end()
	if n := r.room.started.Load(); n != 0 || r.room.starved.Load() != 0 {
		t.Errorf("%d are started in the end, %d partitions starve", n, r.room.starved.Load())
	}
}

// BenchmarkRoom is what a record pays for its place, taken by one goroutine and given back by another.
func BenchmarkRoom(b *testing.B) {
	r := newRoomRig(1024)
	p := newPartition(r.Consumer, 0, &fakeLease{}, position{})
	items := make(chan *slot, 1024)
	go func() {
		defer close(items)
		for offset := range int64(b.N) {
			p.awaitRoom(context.Background())
			p.mu.Lock()
			it := &slot{partition: p, ticket: p.tracker.start(offset, 0)}
			p.mu.Unlock()
			items <- it
		}
	}()
	b.ReportAllocs()
	for it := range items {
		p.finish(it, false)
	}
}
