package group

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// holdings are the partitions that the group has given to a member, and the calls of their owner. Each call has a goroutine
// of its own, so that the member goes on in the group however long a drain takes.
//
// A partition is in here from before its grant until its release has returned. All that time the member claims it when it
// joins, also again and again while it drains, so that nobody else can get it.
type holdings struct {
	owner  Owner
	signal chan struct{} // partitions have been given back
	calls  sync.WaitGroup

	mu       sync.Mutex
	epoch    *memberLease // of new grants
	held     map[int32]*holding
	assigned map[int32]bool // what we are to have, as last heard
	claimed  map[int32]bool // what the group was told that we have
	settled  bool           // assigned is not about to change
	idle     bool           // the owner knows that it has nothing
	stopping bool
}

type holding struct {
	grant   *grant
	leaving bool // asked back
	lost    bool // the group has taken it away
}

// grant is a call of Owner.Grant.
type grant struct {
	cancel   context.CancelFunc
	returned chan struct{}
	kept     int // partitions of it that are not asked back
}

func newHoldings(owner Owner, epoch *memberLease) *holdings {
	return &holdings{owner: owner, epoch: epoch, signal: make(chan struct{}, 1), held: map[int32]*holding{}}
}

// claim returns what nobody else may have yet.
func (h *holdings) claim() []int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claimed = map[int32]bool{}
	for id, held := range h.held {
		if !held.lost || h.assigned[id] {
			h.claimed[id] = true
		}
	}
	return slices.Sorted(maps.Keys(h.claimed))
}

// freed says whether the group still waits for partitions that have been given back: then it is time to join without them.
func (h *holdings) freed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return false // a static member that stops keeps its claims for its next start
	}
	for id := range h.claimed {
		if h.held[id] == nil && !h.assigned[id] {
			return true
		}
	}
	return false
}

// vacant says whether the owner holds nothing, is to have nothing, as last heard, and does not know that yet.
func (h *holdings) vacant() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held) == 0 && len(h.assigned) == 0 && !h.idle && !h.stopping
}

// assign grants what is new and releases what is not in partitions any more; what stays is not touched.
func (h *holdings) assign(partitions []int32, settled bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settled = settled
	h.assigned = make(map[int32]bool, len(partitions))
	for _, id := range partitions {
		h.assigned[id] = true
	}
	h.release(func(id int32) bool { return !h.assigned[id] })
	h.grant()
}

// lose drops everything, because the group has given it to others: nothing of it can be committed any more. New grants
// are under the given epoch.
func (h *holdings) lose(next *memberLease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch.lose()
	h.epoch = next
	h.assigned, h.settled = nil, false
	for _, held := range h.held {
		held.lost = true
	}
	h.release(func(int32) bool { return true })
}

// stop releases everything and grants nothing any more. It returns when the owner has returned from all calls.
func (h *holdings) stop() {
	h.mu.Lock()
	h.stopping = true
	h.release(func(int32) bool { return true })
	h.mu.Unlock()
	h.calls.Wait()
}

// grant hands over what is assigned and not at hand. It requires mu.
func (h *holdings) grant() {
	if h.stopping {
		return
	}
	var added []int32
	for id := range h.assigned {
		if h.held[id] == nil {
			added = append(added, id)
		}
	}
	nothing := len(h.held) == 0 && len(added) == 0
	if len(added) == 0 && (!nothing || h.idle || !h.settled) {
		return
	}
	h.idle = nothing
	slices.Sort(added)
	ctx, cancel := context.WithCancel(context.Background())
	g := &grant{cancel: cancel, returned: make(chan struct{}), kept: len(added)}
	for _, id := range added {
		h.held[id] = &holding{grant: g}
	}
	epoch := h.epoch
	h.calls.Go(func() {
		defer close(g.returned)
		if nothing {
			defer cancel()
		}
		h.owner.Grant(ctx, epoch, added)
	})
}

// release asks back what is not on its way out already. It requires mu.
func (h *holdings) release(which func(int32) bool) {
	var ids []int32
	grants := map[*grant]bool{}
	for id, held := range h.held {
		if held.leaving || !which(id) {
			continue
		}
		ids = append(ids, id)
		held.leaving = true
		grants[held.grant] = true
		// A grant that still looks for where to start is not cut short for some of its partitions: the others would never
		// be put to work.
		if held.grant.kept--; held.grant.kept == 0 {
			held.grant.cancel()
		}
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	h.calls.Go(func() {
		for g := range grants {
			<-g.returned
		}
		h.owner.Release(ids)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, id := range ids {
			delete(h.held, id)
		}
		h.idle = false
		h.grant() // meanwhile they may have been given to us again
		select {
		case h.signal <- struct{}{}:
		default:
		}
	})
}
