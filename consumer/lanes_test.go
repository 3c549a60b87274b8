package consumer

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// record makes a request of a contract; its offset tells it from others.
func record(p *partition, contract, offset int64) *slot {
	it := &slot{partition: p}
	it.req.Slot = it
	it.req.Record.Offset = offset
	it.req.Request.ContractID = contract
	return it
}

func takeAll(lane *Lane) []*inflight.Request { return takeSome(lane, math.MaxInt) }

func takeSome(lane *Lane, most int) (took []*inflight.Request) {
	lane.Take(most, func(req *inflight.Request) bool { took = append(took, req); return true })
	return took
}

// Many contracts, many writers, handlers that take as many as they like: each contract's records come in order, one
// handler at a time, at most limit of them together, and none is forgotten.
func TestLanesKeepOrder(t *testing.T) {
	const writers, contracts, each, limit = 8, 5, 400, 4
	var (
		handled, running, most atomic.Int64
		busy                   [writers * contracts]atomic.Bool
		next                   [writers * contracts]int64 // guarded by busy
		all                    = make(chan struct{})
	)
	handle := func(_ context.Context, lane *Lane) {
		i := lane.Contract() - 1
		if !busy[i].CompareAndSwap(false, true) {
			t.Errorf("contract %d is handled twice at a time", lane.Contract())
		}
		if n := running.Add(1); n > limit {
			t.Errorf("%d handlers at a time", n)
		} else if n > most.Load() {
			most.Store(n)
		}
		left := rand.IntN(4) + 1
		var took []*inflight.Request
		lane.Take(rand.IntN(6)+1, func(req *inflight.Request) bool {
			if left--; left < 0 {
				return false
			}
			took = append(took, req)
			return true
		})
		for _, req := range took {
			if req.Record.Offset != next[i] {
				t.Errorf("contract %d: record %d came when %d was next", lane.Contract(), req.Record.Offset, next[i])
			}
			next[i]++
		}
		runtime.Gosched() // gives the others a chance to get in where they should not
		running.Add(-1)
		busy[i].Store(false)
		if handled.Add(int64(len(took))) == writers*contracts*each {
			close(all)
		}
	}
	l := newLanes(HandlerFunc(handle), limit)
	p := &partition{lease: &fakeLease{}}
	for w := range writers {
		go func() {
			for offset := range int64(each) {
				for _, c := range rand.Perm(contracts) {
					l.submit(t.Context(), record(p, int64(w*contracts+c+1), offset))
				}
			}
		}()
	}
	<-all
	l.close()
	if most.Load() < 2 {
		t.Errorf("at most %d handlers ran at a time: nothing was concurrent", most.Load())
	}
	if len(l.open) != 0 || len(l.ready) != 0 || l.workers != 0 {
		t.Errorf("%d open lanes, %d ready, %d workers at the end", len(l.open), len(l.ready), l.workers)
	}
}

// A lane that always has more work must let the others in.
func TestBusyLaneDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	var l *lanes
	p := &partition{lease: &fakeLease{}}
	var rounds atomic.Int64
	done := make(chan int64, 10)
	l = newLanes(HandlerFunc(func(ctx context.Context, lane *Lane) {
		takeAll(lane)
		if lane.Contract() == 1 {
			rounds.Add(1)
			if ctx.Err() == nil {
				l.submit(ctx, record(p, 1, 0)) // there is always another one
			}
			return
		}
		done <- rounds.Load()
	}), 1)
	ctx, cancel := context.WithCancel(t.Context())
	l.submit(ctx, record(p, 1, 0))
	for contract := range int64(10) {
		l.submit(ctx, record(p, contract+2, 0))
	}
	for range 10 {
		<-done
	}
	cancel()
	l.close()
}

// Wake-ups: whenever n lanes become ready while workers are idle, going idle or busy, n workers run, up to the limit.
// The handlers of a round wait for one another, so that one lost wake-up stops everything, which the bubble notices.
func TestLanesLoseNoWakeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 6
		p := &partition{lease: &fakeLease{}}
		var barrier atomic.Pointer[sync.WaitGroup]
		l := newLanes(HandlerFunc(func(_ context.Context, lane *Lane) {
			takeAll(lane)
			wg := barrier.Load()
			wg.Done()
			wg.Wait()
		}), limit)
		for round := range 3000 {
			n := rand.IntN(limit) + 1
			var wg sync.WaitGroup
			wg.Add(n)
			barrier.Store(&wg)
			for i := range n {
				l.submit(t.Context(), record(p, int64(i+1), 0))
			}
			wg.Wait()
			if round%2 == 0 { // else submit while the workers are on their way back
				synctest.Wait()
				if busy, waiting := l.load(); busy != 0 || waiting != 0 {
					t.Fatalf("%d busy, %d waiting when there is nothing to do", busy, waiting)
				}
				if l.workers > limit || l.idle != l.workers {
					t.Fatalf("%d workers, %d idle", l.workers, l.idle)
				}
			} else {
				waitEmpty(l)
			}
		}
		l.close()
	})
}

// waitEmpty waits until no lane is open: the same contract cannot run twice in the next round's barrier otherwise.
func waitEmpty(l *lanes) {
	for {
		l.mu.Lock()
		n := len(l.open)
		l.mu.Unlock()
		if n == 0 {
			return
		}
	}
}

// Bursts of submits without any wait in between: all are handled, whichever worker sleeps at that moment.
func TestLanesHandleBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &partition{lease: &fakeLease{}}
		var handled atomic.Int64
		l := newLanes(HandlerFunc(func(_ context.Context, lane *Lane) {
			handled.Add(int64(len(takeAll(lane))))
		}), 3)
		want := int64(0)
		for range 2000 {
			n := rand.Int64N(12)
			for i := range n {
				l.submit(t.Context(), record(p, i%7+1, i))
			}
			want += n
			if rand.IntN(2) == 0 {
				synctest.Wait() // nothing moves any more: what is not handled now never will be
				if got := handled.Load(); got != want {
					t.Fatalf("%d of %d records are handled", got, want)
				}
			}
		}
		l.close()
	})
}

func TestTake(t *testing.T) {
	t.Parallel()
	l := newLanes(nil, 1)
	lane := l.newLane(7)
	owned, revoked := &partition{lease: &fakeLease{}}, &partition{lease: &fakeLease{}}
	for offset := range int64(8) {
		p := owned
		if offset%3 == 1 {
			p = revoked
		}
		lane.waiting = append(lane.waiting, record(p, 7, offset))
	}
	revoked.revoked.Store(true) // offsets 1, 4 and 7
	offsets := func(reqs []*inflight.Request) []int64 {
		var list []int64
		for _, req := range reqs {
			list = append(list, req.Record.Offset)
		}
		return list
	}
	var first []*inflight.Request
	lane.Take(8, func(req *inflight.Request) bool {
		if req.Record.Offset > 2 {
			lane.waiting = append(lane.waiting, record(owned, 7, 8)) // comes meanwhile
			return false
		}
		first = append(first, req)
		return true
	})
	if got := offsets(first); !slices.Equal(got, []int64{0, 2}) {
		t.Errorf("took %v, want 0 and 2", got)
	}
	func() {
		defer func() { _ = recover() }()
		lane.Take(8, func(*inflight.Request) bool { panic("it may") })
	}()
	if got := offsets(takeSome(lane, 1)); !slices.Equal(got, []int64{3}) {
		t.Errorf("took %v, want 3", got)
	}
	rest := takeAll(lane)
	if got := offsets(rest); !slices.Equal(got, []int64{5, 6, 8}) {
		t.Errorf("took %v, want 5, 6 and 8", got)
	}
	if got := takeAll(lane); len(got) != 0 || len(lane.waiting) != 0 {
		t.Errorf("took %v of an empty lane", offsets(got))
	}
	if !rest[0].Owned() || record(revoked, 7, 9).req.Owned() {
		t.Error("Owned must hold for what was not given back, and for that only")
	}
}

// Records that are not valid requests share lane 0, whatever contract they seem to ask for.
func TestInvalidRecordsGoToLane0(t *testing.T) {
	t.Parallel()
	p := &partition{lease: &fakeLease{}}
	got := make(chan int64, 1)
	l := newLanes(HandlerFunc(func(_ context.Context, lane *Lane) {
		takeAll(lane)
		got <- lane.Contract()
	}), 1)
	bad := record(p, 7, 0)
	bad.req.Err = &schemas.RequestError{}
	l.submit(t.Context(), bad)
	if contract := <-got; contract != 0 {
		t.Errorf("lane %d", contract)
	}
	l.close()
}
