package kafkatest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Ledger checks all members of a group: no partition is with two of them, and no two calls for it at a time.
type Ledger struct {
	mu     sync.Mutex
	holder map[int32]tenure
	faults []string
}

// tenure is a partition that is with a member. Once its lease is lost, the member has been told that the group goes on
// without it: the next owner need not wait for its drain.
type tenure struct {
	name string
	lost <-chan struct{}
}

func (t tenure) ended() bool {
	select {
	case <-t.lost:
		return true
	default:
		return false
	}
}

// NewLedger returns the ledger of a group without members.
func NewLedger() *Ledger { return &Ledger{holder: map[int32]tenure{}} }

func (l *Ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

func (l *Ledger) take(name string, lost <-chan struct{}, ids []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if other, taken := l.holder[id]; taken && !other.ended() {
			l.fault("partition %d is granted to %s while %s has it", id, name, other.name)
		}
		l.holder[id] = tenure{name, lost}
	}
}

func (l *Ledger) drop(name string, ids []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.holder[id].name == name {
			delete(l.holder, id)
		}
	}
}

// Expel removes what a member has, as the group does: what it does from now on must not count.
func (l *Ledger) Expel(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.holder, func(_ int32, t tenure) bool { return t.name == name })
}

// Of returns the partitions of a member, in ascending order.
func (l *Ledger) Of(name string) []int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []int32
	for id, t := range l.holder {
		if t.name == name {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Faults says what was wrong so far.
func (l *Ledger) Faults() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// Lease is what Owner needs of a group's lease.
type Lease interface{ Lost() <-chan struct{} }

// Owner is an owner of partitions, by whichever leases, that keeps a ledger. It drains for as long as the test says.
type Owner[L Lease] struct {
	Name   string
	Ledger *Ledger
	Drain  func(ids []int32) // within each Release; nil: at once
	Look   func()            // within each Grant; nil: at once

	mu       sync.Mutex
	busy     map[int32]bool // a call is under way
	mine     map[int32]bool
	granted  [][]int32
	released [][]int32
	leases   []L // of each grant
}

func (o *Owner[L]) call(what string, ids []int32, granting bool) (done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy == nil {
		o.busy, o.mine = map[int32]bool{}, map[int32]bool{}
	}
	for _, id := range ids {
		if o.busy[id] || o.mine[id] == granting {
			o.Ledger.mu.Lock()
			o.Ledger.fault("%s of %d to %s: another call under way %v, at hand %v", what, id, o.Name, o.busy[id], o.mine[id])
			o.Ledger.mu.Unlock()
		}
		o.busy[id] = true
	}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, id := range ids {
			o.busy[id], o.mine[id] = false, granting
		}
	}
}

// Grant takes partitions.
func (o *Owner[L]) Grant(_ context.Context, lease L, ids []int32) {
	defer o.call("grant", ids, true)()
	o.mu.Lock()
	o.granted, o.leases = append(o.granted, ids), append(o.leases, lease)
	o.mu.Unlock()
	o.Ledger.take(o.Name, lease.Lost(), ids) // last: a test that sees that has the lease, too
	if o.Look != nil {
		o.Look()
	}
}

// Release drains partitions and gives them back.
func (o *Owner[L]) Release(ids []int32) {
	defer o.call("release", ids, false)()
	if o.Drain != nil {
		o.Drain(ids)
	}
	o.Ledger.drop(o.Name, ids)
	o.mu.Lock()
	o.released = append(o.released, ids)
	o.mu.Unlock()
}

// Calls returns how many grants and releases there were.
func (o *Owner[L]) Calls() (grants, releases int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.granted), len(o.released)
}

// Released returns the partitions of each Release that has returned.
func (o *Owner[L]) Released() [][]int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.released)
}

// Leases returns the lease of each grant.
func (o *Owner[L]) Leases() []L {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.leases)
}

// Lease returns the lease of the last grant.
func (o *Owner[L]) Lease() L {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leases[len(o.leases)-1]
}
