package group

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/balanceq/balanceq/internal/wait"
)

// holdings are the partitions of a member, and the calls of their owner. Each call has a goroutine of its own, so that
// the member goes on in the group however long a drain takes.
//
// A partition is assigned (the group wants this member to have it), owned (granted to the owner), revoking (its release
// is under way), or both assigned and revoking: then it is granted again when the release has returned. It is in here
// from before its grant until its release has returned. All that time the member reports it as owned when it joins,
// also again and again while it drains, so that no other member can get it.
type holdings struct {
	owner    Owner
	released wait.Signal // partitions have been given back
	calls    sync.WaitGroup

	mu       sync.Mutex
	lease    *memberLease // of new grants
	owned    map[int32]*holding
	assigned map[int32]bool // as last heard
	reported map[int32]bool // what the group was told that this member owns
	pending  bool           // more may still be assigned, which others have not given back yet
	toldNone bool           // the owner knows that it has nothing
	stopping bool
}

type holding struct {
	grant    *grant
	revoking bool // asked back
	lost     bool // the group has taken it away
}

// grant is a call of Owner.Grant.
type grant struct {
	cancel   context.CancelFunc
	returned chan struct{}
	left     int // partitions of it that are not asked back
}

func newHoldings(owner Owner, lease *memberLease) *holdings {
	return &holdings{owner: owner, lease: lease, released: wait.NewSignal(), owned: map[int32]*holding{}}
}

// report returns what the member is to report as owned, in ascending order: no other member may have it yet.
func (h *holdings) report() []int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reported = map[int32]bool{}
	for id, holding := range h.owned {
		if !holding.lost || h.assigned[id] {
			h.reported[id] = true
		}
	}
	return slices.Sorted(maps.Keys(h.reported))
}

// outdated says whether the group still waits for partitions that have been given back: then it is time to join without
// them.
func (h *holdings) outdated() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return false // a static member that stops owns in the group what it is to have at its next start
	}
	for id := range h.reported {
		if h.owned[id] == nil && !h.assigned[id] {
			return true
		}
	}
	return false
}

// unassigned says whether the owner has nothing, nothing is assigned, as last heard, and the owner does not know that
// yet.
func (h *holdings) unassigned() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.owned) == 0 && len(h.assigned) == 0 && !h.toldNone && !h.stopping
}

// assign grants what is new and revokes what is not in partitions any more; what stays is not touched. pending says
// that more may follow that others have not given back yet.
func (h *holdings) assign(partitions []int32, pending bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = pending
	h.assigned = make(map[int32]bool, len(partitions))
	for _, id := range partitions {
		h.assigned[id] = true
	}
	h.revoke(func(id int32) bool { return !h.assigned[id] })
	h.grant()
}

// lose revokes everything, because the group has given it to others: nothing of it can be committed any more. New
// grants are under the given lease. It says whether there was anything.
func (h *holdings) lose(next *memberLease) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease.lose()
	h.lease = next
	h.assigned, h.pending = nil, true
	for _, holding := range h.owned {
		holding.lost = true
	}
	h.revoke(func(int32) bool { return true })
	return len(h.owned) > 0
}

// stop revokes everything and grants nothing any more. It returns when the owner has returned from all calls.
func (h *holdings) stop() {
	h.mu.Lock()
	h.stopping = true
	h.revoke(func(int32) bool { return true })
	h.mu.Unlock()
	h.calls.Wait()
}

// grant hands over what is assigned and not owned. It requires mu.
func (h *holdings) grant() {
	if h.stopping {
		return
	}
	var added []int32
	for id := range h.assigned {
		if h.owned[id] == nil {
			added = append(added, id)
		}
	}
	none := len(h.owned) == 0 && len(added) == 0
	if len(added) == 0 && (!none || h.toldNone || h.pending) {
		return
	}
	h.toldNone = none
	slices.Sort(added)
	ctx, cancel := context.WithCancel(context.Background())
	g := &grant{cancel: cancel, returned: make(chan struct{}), left: len(added)}
	for _, id := range added {
		h.owned[id] = &holding{grant: g}
	}
	lease := h.lease
	h.calls.Go(func() {
		defer close(g.returned)
		if none {
			defer cancel()
		}
		h.owner.Grant(ctx, lease, added)
	})
}

// revoke asks back what is not being revoked already. It requires mu.
func (h *holdings) revoke(which func(int32) bool) {
	var ids []int32
	grants := map[*grant]bool{}
	for id, holding := range h.owned {
		if holding.revoking || !which(id) {
			continue
		}
		ids = append(ids, id)
		holding.revoking = true
		grants[holding.grant] = true
		// A grant that still looks for where to start is not cut short for some of its partitions: the others would never
		// be put to work.
		if holding.grant.left--; holding.grant.left == 0 {
			holding.grant.cancel()
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
			delete(h.owned, id)
		}
		h.toldNone = false
		h.grant() // meanwhile they may have been assigned again
		h.released.Set()
	})
}
