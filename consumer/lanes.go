package consumer

import (
	"container/heap"
	"context"
	"slices"
	"sync"
)

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

// crowd is from how many workers on each makes way for a new one after every lane. Reading an answer and writing the
// outcome take twice the stack of waiting, and a stack that has grown stays so until the collector has come by.
const crowd = 1024

// laneWindow is how many requests of one contract may take a place in the room, be they handled or wait in the lane.
// One that hangs while its publisher goes on sending would otherwise soon have all places of its partition.
const laneWindow = minWindow / 2

// submit puts a request at the end of its lane. parked says that as many of the contract are before it as may have a
// place in the room, or that what is before it may take hours.
func (l *lanes) submit(ctx context.Context, s *slot) (parked bool) {
	contract := s.req.Contract()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns++
	s.turn = l.turns
	if contract != 0 {
		l.spread.note(contract, s.partition.id)
	}
	if lane, ok := l.open[contract]; ok {
		parked = lane.aside || lane.taken+len(lane.waiting) >= laneWindow
		s.parked = parked // before a handler can take it
		lane.waiting = append(lane.waiting, s)
		return parked
	}
	lane := l.newLane(contract)
	lane.waiting = append(lane.waiting, s)
	l.open[contract] = lane
	l.enqueue(lane)
	l.wake(ctx)
	return false
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

// leave takes the requests out of the lanes whose partitions are released. Nothing of those is submitted any more. A
// lane that is empty then is handled for nothing, and ends.
func (l *lanes) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lane := range l.open {
		lane.waiting = slices.DeleteFunc(lane.waiting, func(s *slot) bool {
			if !s.partition.released.Load() {
				return false
			}
			s.partition.leave(s)
			return true
		})
	}
}

// stepAside is called by the handler of the lane. Nothing else looks at whether a request is parked meanwhile: what is
// in its hands has to be completed by it first, and what waits in the lane is guarded by mu.
func (l *lanes) stepAside(ctx context.Context, lane *Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.aside++
	lane.aside = true
	for s := range lane.held {
		s.partition.setAside(1)
		s.park()
	}
	for _, s := range lane.waiting {
		s.park()
	}
	if len(l.ready) > 0 {
		l.wake(ctx)
	}
}

func (l *lanes) comeBack(lane *Lane) {
	for s := range lane.held {
		s.partition.setAside(-1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.aside--
	lane.aside = false
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
		clear(lane.mine)
		lane.mine = lane.mine[:0]
		l.mu.Lock()
		lane.taken = 0 // they are completed
		if len(lane.waiting) > 0 {
			l.enqueue(lane) // no signal: this worker looks next
		} else {
			delete(l.open, lane.contract)
			l.free = append(l.free, lane)
		}
		if l.workers > crowd {
			l.wg.Go(func() { l.run(ctx) })
			return
		}
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
