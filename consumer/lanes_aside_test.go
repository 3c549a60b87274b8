package consumer

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/balanceq/balanceq/internal/wait"
)

// withRoom is a partition of a consumer that has room for all that the tests start.
func withRoom() *partition {
	c := &Consumer{room: newRoom(10_000, 0, 10_000, func() {})}
	return &partition{lease: &fakeLease{}, consumer: c, mayStart: wait.NewSignal()}
}

// As many handlers as there are lanes step aside, which is far more than the limit: the others are handled all the
// same, and afterwards there are no more workers than the limit.
func TestStepAsideLeavesThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, stuck, good = 3, 50, 40
		resumed := make(chan struct{})
		var answered, running atomic.Int64
		handle := func(ctx context.Context, lane *Lane) {
			if n := running.Add(1); n > limit {
				t.Errorf("%d handlers at a time", n)
			}
			takeAll(lane)
			if lane.Contract() <= stuck {
				lane.StepAside(ctx, func() {
					running.Add(-1)
					<-resumed
				})
				return
			}
			answered.Add(1)
			running.Add(-1)
		}
		l, p := newLanes(HandlerFunc(handle), limit), withRoom()
		for i := range int64(stuck + good) {
			l.submit(t.Context(), record(p, i+1, 0))
		}
		synctest.Wait()
		if n := answered.Load(); n != good {
			t.Errorf("%d of %d others are answered while %d handlers wait", n, good, stuck)
		}
		if busy, ready := l.load(); busy != 0 || ready != 0 || !l.spare() {
			t.Errorf("%d are busy, %d lanes wait", busy, ready)
		}
		close(resumed)
		synctest.Wait()
		running.Store(0)
		if l.workers > limit || l.idle != l.workers || l.aside != 0 {
			t.Errorf("%d workers, %d of them idle, %d aside", l.workers, l.idle, l.aside)
		}
		l.submit(t.Context(), record(p, stuck+1, 1))
		synctest.Wait()
		if n := answered.Load(); n != good+1 {
			t.Error("the next one is not handled")
		}
		l.close()
	})
}

// Handlers step aside and come back at random: nothing is forgotten, a lane has one handler at a time, its order is
// kept.
func TestStepAsideLosesNoWakeUp(t *testing.T) {
	const limit, contracts, each, writers = 2, 6, 300, 4
	var handled atomic.Int64
	var busy [writers * contracts]atomic.Bool
	var next [writers * contracts]int64 // guarded by busy
	all := make(chan struct{})
	handle := func(ctx context.Context, lane *Lane) {
		i := lane.Contract() - 1
		if !busy[i].CompareAndSwap(false, true) {
			t.Errorf("contract %d is handled twice at a time", lane.Contract())
		}
		left := rand.IntN(3) + 1
		for _, req := range takeSome(lane, left) {
			if req.Record.Offset != next[i] {
				t.Errorf("contract %d: record %d came when %d was next", lane.Contract(), req.Record.Offset, next[i])
			}
			next[i]++
			if rand.IntN(3) == 0 {
				lane.StepAside(ctx, runtime.Gosched)
			}
			if handled.Add(1) == writers*contracts*each {
				close(all)
			}
		}
		busy[i].Store(false)
	}
	l, p := newLanes(HandlerFunc(handle), limit), withRoom()
	var wg sync.WaitGroup
	for w := range int64(writers) {
		wg.Go(func() {
			for offset := range int64(each) {
				for c := range int64(contracts) {
					l.submit(t.Context(), record(p, w*contracts+c+1, offset))
				}
				if rand.IntN(20) == 0 {
					waitEmpty(l)
				}
			}
		})
	}
	wg.Wait()
	<-all
	l.close()
}
