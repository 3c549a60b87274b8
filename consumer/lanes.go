package consumer

import (
	"container/heap"
	"context"
	"slices"
	"sync"

	"github.com/balanceq/balanceq/inflight"
)

// Handler decides what becomes of the records of one lane.
type Handler interface {
	// Handle is called when records wait in the lane, never twice at a time for one lane. It takes some of them (Take) and
	// completes each one it took. When ctx ends it may return without having completed them: they are read again later.
	Handle(ctx context.Context, lane *Lane)
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(ctx context.Context, lane *Lane)

// Handle implements Handler.
func (f HandlerFunc) Handle(ctx context.Context, lane *Lane) { f(ctx, lane) }

// Lane queues the requests of one contract, in the order in which they were read. Records that are not valid requests
// share lane 0.
type Lane struct {
	contract int64
	lanes    *lanes
	offered  []*slot // by Take; the handler's
	waiting  []*slot // guarded by lanes.mu
	oldest   uint64  // while ready: the turn of waiting[0]
}

// Contract is the contract that the lane's records ask about; 0: they are not valid requests.
func (l *Lane) Contract() int64 { return l.contract }

// Take offers up to most waiting requests to join, oldest first, until it refuses one: those that it accepted are the
// handler's, the others wait on. Requests whose partitions have been given back meanwhile are left out.
//
// They are taken under the lanes' lock and offered without it, so join may be as slow as it likes. The order holds
// whatever it answers: what it refuses goes back before everything that has come since, and only the lane's one handler
// takes.
func (l *Lane) Take(most int, join func(*inflight.Request) bool) {
	l.takeWaiting(most)
	n := 0
	defer func() { l.giveBack(n) }() // also if join panics
	for n < len(l.offered) && join(&l.offered[n].req) {
		n++
	}
}

// takeWaiting moves up to most waiting requests to where only the handler sees them.
func (l *Lane) takeWaiting(most int) {
	l.lanes.mu.Lock()
	defer l.lanes.mu.Unlock()
	l.offered = l.offered[:0]
	n := 0
	for ; n < len(l.waiting) && len(l.offered) < most; n++ {
		if s := l.waiting[n]; s.Owned() {
			l.offered = append(l.offered, s)
		}
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
}

// giveBack has those that were offered wait on, but for the first n.
func (l *Lane) giveBack(n int) {
	if n < len(l.offered) {
		l.lanes.mu.Lock()
		defer l.lanes.mu.Unlock()
		l.waiting = slices.Insert(l.waiting, 0, l.offered[n:]...)
	}
	clear(l.offered)
}

// StepAside runs wait, which may take hours, and lets one more worker run meanwhile. The lane stays with its handler,
// so its order holds; as many handlers may wait so as there are started records. ctx is the one given to Handle.
func (l *Lane) StepAside(ctx context.Context, wait func()) {
	l.lanes.stepAside(ctx)
	defer l.lanes.comeBack()
	wait()
}

// lanes runs the handler on lanes with waiting records, on at most limit goroutines besides those that have stepped
// aside: that is the global in-flight limit. Workers are used again, for their grown stacks.
type lanes struct {
	handler Handler
	limit   int

	mu      sync.Mutex
	work    sync.Cond       // signalled when ready grows or closing is set
	open    map[int64]*Lane // lanes that are ready or being handled
	ready   byAge
	turns   uint64 // records submitted so far
	spread  spread
	free    []*Lane // to use again
	workers int
	idle    int // workers in Wait that have not been signalled yet
	aside   int // workers in StepAside, beside whom others may run
	closing bool
	wg      sync.WaitGroup
}

func newLanes(handler Handler, limit int) *lanes {
	l := &lanes{handler: handler, limit: limit, open: map[int64]*Lane{}}
	l.work.L = &l.mu
	return l
}

// submit puts a request at the end of its lane.
func (l *lanes) submit(ctx context.Context, s *slot) {
	contract := s.req.Contract()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns++
	s.turn = l.turns
	if contract != 0 {
		l.spread.note(contract, s.partition.id)
	}
	if lane, ok := l.open[contract]; ok {
		lane.waiting = append(lane.waiting, s)
		return
	}
	lane := l.newLane(contract)
	lane.waiting = append(lane.waiting, s)
	l.open[contract] = lane
	l.enqueue(lane)
	l.wake(ctx)
}

// wake sees to it that another worker looks for a lane, if there may be another one. It requires mu.
func (l *lanes) wake(ctx context.Context) {
	switch {
	case l.idle > 0:
		// Counted here and not by the worker that wakes: two submits before it runs must wake two workers.
		l.idle--
		l.work.Signal()
	case l.workers-l.aside < l.limit && !l.closing:
		l.workers++
		l.wg.Go(func() { l.run(ctx) })
	}
}

func (l *lanes) stepAside(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.aside++
	if len(l.ready) > 0 {
		l.wake(ctx)
	}
}

func (l *lanes) comeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.aside--
}

// newLane requires mu.
func (l *lanes) newLane(contract int64) *Lane {
	if n := len(l.free); n > 0 {
		lane := l.free[n-1]
		l.free = l.free[:n-1]
		lane.contract = contract
		return lane
	}
	return &Lane{contract: contract, lanes: l}
}

// enqueue requires mu; the lane has records.
func (l *lanes) enqueue(lane *Lane) {
	lane.oldest = lane.waiting[0].turn
	heap.Push(&l.ready, lane)
}

// byAge orders ready lanes by their oldest record (container/heap). Oldest first lets the committed offset follow
// closely: the record that it waits for is always being handled, so little is finished beyond it that a kill -9 would
// repeat. And no contract starves the others, however busy: its records take their turns among them.
type byAge []*Lane

func (b byAge) Len() int           { return len(b) }
func (b byAge) Less(i, j int) bool { return b[i].oldest < b[j].oldest }
func (b byAge) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// Push implements heap.Interface.
func (b *byAge) Push(x any) {
	if lane, ok := x.(*Lane); ok {
		*b = append(*b, lane)
	}
}

// Pop implements heap.Interface.
func (b *byAge) Pop() any {
	old := *b
	lane := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	return lane
}

// run is one worker: it handles one ready lane after another.
func (l *lanes) run(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.workers-l.aside > l.limit {
			// It has come back, and another one runs in its stead. The lane that it has just put back must not wait for it.
			l.workers--
			if len(l.ready) > 0 && l.idle > 0 {
				l.idle--
				l.work.Signal()
			}
			return
		}
		for len(l.ready) == 0 && !l.closing {
			l.idle++
			l.work.Wait()
		}
		if l.closing {
			l.workers--
			return
		}
		lane, ok := heap.Pop(&l.ready).(*Lane)
		if !ok {
			continue // it holds nothing else
		}
		l.mu.Unlock()
		l.handler.Handle(ctx, lane)
		l.mu.Lock()
		if len(lane.waiting) > 0 {
			l.enqueue(lane) // no signal: this worker looks next
			continue
		}
		delete(l.open, lane.contract)
		l.free = append(l.free, lane)
	}
}

// close stops the workers after what they are doing; the context given to submit should have ended.
func (l *lanes) close() {
	l.mu.Lock()
	l.closing = true
	l.work.Broadcast()
	l.mu.Unlock()
	l.wg.Wait()
}

// load returns how many workers are busy, without those that have stepped aside, and how many lanes wait for one.
func (l *lanes) load() (busy, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.workers - l.aside - l.idle, len(l.ready)
}
