package consumer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// stallRig is one partition of a consumer whose handler answers all contracts but contract 1, which hangs.
type stallRig struct {
	*partition
	free    chan struct{} // closed: contract 1 is answered too
	started int64
}

func newStallRig(t *testing.T, cfg Config, delivery Delivery) *stallRig {
	r := &stallRig{free: make(chan struct{})}
	c := New(cfg, Parts{
		Delivery: delivery, Gate: newFakeGate(), Log: zerolog.Nop(), Observer: &fakeObserver{},
		Handler: HandlerFunc(func(ctx context.Context, lane *Lane) {
			lane.Take(1, func(req *inflight.Request) bool {
				if lane.Contract() == 1 {
					<-r.free
				}
				req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{}})
				return true
			})
		}),
	})
	c.work = t.Context()
	c.room.divide(2)
	r.partition = newPartition(c, 0, &fakeLease{}, position{})
	t.Cleanup(c.lanes.close)
	return r
}

// feed starts records for as long as there is room, the contract of each as told, and returns how many.
func (r *stallRig) feed(ctx context.Context, most int, contract func(offset int64) int64) (n int) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n < most && r.awaitRoom(ctx) {
			s := r.begin(ctx, &kafkawire.Record{Offset: r.started}, &hold{partition: r.partition})
			s.req.Err, s.req.Request.ContractID = nil, contract(r.started)
			if r.consumer.lanes.submit(ctx, s) {
				r.count(occupancy{started: -1, parked: 1})
			}
			r.started++
			n++
		}
	}()
	synctest.Wait()
	cancel()
	<-done
	return n
}

// A contract that hangs takes eight places of its partition's share and no more, however many requests of it come, and
// what is answered behind it takes none.
func TestAStallTakesNoPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStallRig(t, Config{MaxInFlight: 4, RunAhead: 64, Ahead: 4000}, acknowledging{})
		everyTenth := func(offset int64) int64 {
			if offset%10 == 0 {
				return 1
			}
			return 2 + offset
		}
		const n = 1000
		if got := r.feed(t.Context(), n, everyTenth); got != n {
			t.Errorf("%d of %d are started", got, n)
		}
		want := occupancy{started: laneWindow, parked: n/10 - laneWindow, ahead: n - n/10}
		if has := r.occupancy(); has != want {
			t.Errorf("it has %+v, want %+v", has, want)
		}
		close(r.free)
		synctest.Wait()
		room := r.consumer.room
		if has := r.occupancy(); has != (occupancy{}) || room.started.Load()+room.parked.used.Load()+room.ahead.used.Load() != 0 {
			t.Errorf("in the end it has %+v, the room %d, %d parked, %d ahead", has, room.started.Load(),
				room.parked.used.Load(), room.ahead.used.Load())
		}
		if r.tracker.next != n {
			t.Errorf("the offset to commit is %d", r.tracker.next)
		}
	})
}

// A partition of which all requests are for the contract that hangs gets no more than half of what may be parked, and
// one that runs ahead no more than half of what may: the rest is for the others.
func TestAStallIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStallRig(t, Config{MaxInFlight: 4, RunAhead: 64, Ahead: 400}, acknowledging{})
		defer close(r.free)
		got := r.feed(t.Context(), 10_000, func(int64) int64 { return 1 })
		if want := laneWindow + parkedFactor*64/2; got != want {
			t.Errorf("%d of one contract are started, want %d", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newStallRig(t, Config{MaxInFlight: 4, RunAhead: 64, Ahead: 400}, acknowledging{})
		defer close(r.free)
		got := r.feed(t.Context(), 10_000, func(offset int64) int64 { return 1 + offset })
		if least, most := 1+200, 1+200+32; got < least || got > most {
			t.Errorf("%d are started behind the one that hangs, want %d to %d", got, least, most)
		}
	})
}

// Requests whose handlers have stepped aside, and those behind them in their lanes, take no place of their partition's
// share: as many of them as there may be, the others go on. When there are as many as may be parked, reading waits, and
// in the end all of them are finished and nothing is counted any more.
func TestWhatStepsAsideTakesNoPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, contracts = 64, 30
		resumed := make(chan struct{})
		r := newStallRig(t, Config{MaxInFlight: 4, RunAhead: limit, Ahead: 4000}, acknowledging{})
		close(r.free)
		r.consumer.lanes.handler = HandlerFunc(func(ctx context.Context, lane *Lane) {
			for _, req := range takeSome(lane, 1) {
				if lane.Contract() <= contracts {
					lane.StepAside(ctx, func() { <-resumed })
				}
				req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{}})
			}
		})
		const each = 4
		n := contracts * each
		if got := r.feed(t.Context(), n, func(offset int64) int64 { return 1 + offset%contracts }); got != n {
			t.Fatalf("%d of %d that step aside are started", got, n)
		}
		if has := r.occupancy(); has != (occupancy{parked: n}) {
			t.Errorf("it has %+v, want %d parked", has, n)
		}
		if busy := r.busy(); busy != n-contracts {
			t.Errorf("%d are worked on or wait in their lanes, want %d", busy, n-contracts)
		}
		if got := r.feed(t.Context(), 500, func(offset int64) int64 { return 100 + offset }); got != 500 {
			t.Errorf("%d of 500 others are started beside them", got)
		}
		if has := r.occupancy(); has != (occupancy{parked: n, ahead: 500}) {
			t.Errorf("it has %+v, want no other without an outcome", has)
		}
		got := r.feed(t.Context(), 10_000, func(offset int64) int64 { return 1 + offset%contracts })
		if want := parkedFactor*limit/2 - n; got != want {
			t.Errorf("%d more that step aside are started, want %d", got, want)
		}
		close(resumed)
		synctest.Wait()
		if has := r.occupancy(); has != (occupancy{}) || r.busy() != 0 || r.tracker.next != r.started {
			t.Errorf("in the end it has %+v, %d are worked on, offset %d of %d", has, r.busy(), r.tracker.next, r.started)
		}
	})
}

// pending is exactly-once as far as the room sees it: outcomes wait for their commit.
type pendingDelivery struct {
	ExactlyOnce
	mu   sync.Mutex
	kept []*inflight.Request
}

func (d *pendingDelivery) Deliver(_ context.Context, req *inflight.Request, _ schemas.Outcome) error {
	d.mu.Lock()
	d.kept = append(d.kept, req)
	d.mu.Unlock()
	req.Pending()
	return nil
}

func (d *pendingDelivery) commit() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, req := range d.kept {
		req.Committed()
	}
	d.kept = nil
}

// While commits stand still, exactly-once keeps no more outcomes of a partition than half of what may wait for one in
// all, and goes on as they are committed: they take memory, and the other partitions' must find room.
func TestPendingOutcomesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &pendingDelivery{}
		r := newStallRig(t, Config{MaxInFlight: 1, RunAhead: 64, Ahead: 4000}, d)
		defer close(r.free)
		other := func(offset int64) int64 { return 2 + offset }
		const half = 64 * dueFactor / 2
		if got := r.feed(t.Context(), 10_000, other); got < half || got > half+32 {
			t.Errorf("%d are started, want %d and what was started by then", got, half)
		}
		d.commit()
		if has := r.occupancy(); has != (occupancy{}) || r.consumer.room.due.used.Load() != 0 {
			t.Errorf("it has %+v when all is committed", has)
		}
		if got := r.feed(t.Context(), 100, other); got != 100 {
			t.Errorf("%d more are started", got)
		}
	})
}

// What waits for an earlier record has bounds of its own: a contract that hangs must not stop its partition as soon as
// a slow transaction would.
func TestOutcomesBehindAnEarlierRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &pendingDelivery{}
		r := newStallRig(t, Config{MaxInFlight: 4, RunAhead: 64, Ahead: 4000}, d)
		if got := r.feed(t.Context(), 10_000, func(offset int64) int64 { return 1 + offset }); got < 2000 || got > 2000+64 {
			t.Errorf("%d are started behind the first one, want 2000 and what was started by then", got)
		}
		if has := r.occupancy(); has.due != 0 {
			t.Errorf("it has %+v: none waits for the transaction alone", has)
		}
		close(r.free)
		synctest.Wait()
		if has := r.occupancy(); has.ahead != 0 || has.due != len(d.kept) {
			t.Errorf("it has %+v when all are pending, want %d due", has, len(d.kept))
		}
		d.commit()
		if has := r.occupancy(); has != (occupancy{}) {
			t.Errorf("it has %+v when all is committed", has)
		}
	})
}

// However many partitions want as much as they can get, each gets the same, and the floor comes on top.
func TestPool(t *testing.T) {
	for partitions, want := range map[int]int{1: 500, 4: 200, 99: minWindow} {
		p, has := &pool{limit: 1000}, make([]int, partitions)
		for more := true; more; {
			more = false
			for i := range has {
				if !p.full(has[i]) {
					has[i]++
					p.used.Add(1)
					more = true
				}
			}
		}
		for i := range has {
			if has[i] != want {
				t.Errorf("partition %d of %d has %d, want %d", i, partitions, has[i], want)
			}
		}
	}
}
