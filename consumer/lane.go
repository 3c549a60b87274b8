package consumer

import (
	"context"
	"slices"

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
	mine     []*slot // that the handler has taken since Handle began, completed ones included; the handler's
	waiting  []*slot // guarded by lanes.mu
	taken    int     // by its handler; guarded by lanes.mu
	aside    bool    // its handler has stepped aside; guarded by lanes.mu
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
		switch s := l.waiting[n]; {
		case s.partition.released.Load(): // given back by a handler since lanes.leave
			s.partition.leave(s)
		case s.Owned():
			l.offered = append(l.offered, s)
		}
	}
	l.taken += len(l.offered)
	l.waiting = slices.Delete(l.waiting, 0, n)
}

// giveBack has those that were offered wait on, but for the first n.
func (l *Lane) giveBack(n int) {
	l.mine = append(l.mine, l.offered[:n]...)
	if n < len(l.offered) {
		l.lanes.mu.Lock()
		defer l.lanes.mu.Unlock()
		l.taken -= len(l.offered) - n
		l.waiting = slices.Insert(l.waiting, 0, l.offered[n:]...)
	}
	clear(l.offered)
}

// StepAside runs wait, which may take hours, and lets one more worker run meanwhile. The lane stays with its handler,
// so its order holds. Its requests, those that wait in it and those that still come take no place in the room any more:
// they are parked, and as many handlers may wait so as there is room for those. ctx is the one given to Handle.
func (l *Lane) StepAside(ctx context.Context, wait func()) {
	l.lanes.stepAside(ctx, l)
	defer l.lanes.comeBack(l)
	wait()
}

// held are the requests in the handler's hands that it has not completed.
func (l *Lane) held(yield func(*slot) bool) {
	for _, s := range l.mine {
		if !s.completed && !yield(s) {
			return
		}
	}
}
