package consumer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// ledger watches over all members of a group: no partition is with two of them, and no two calls for it at a time.
type ledger struct {
	mu     sync.Mutex
	holder map[int32]tenure
	faults []string
}

// tenure is a partition that is with a member. Once its epoch is lost, the member has been told that the group goes on without
// it: whoever comes next need not wait for its drain.
type tenure struct {
	name  string
	epoch Epoch
}

func newLedger() *ledger { return &ledger{holder: map[int32]tenure{}} }

func (l *ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

func (l *ledger) take(name string, epoch Epoch, ids []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if other, taken := l.holder[id]; taken && !ended(other.epoch.Lost()) {
			l.fault("partition %d is granted to %s while %s has it", id, name, other.name)
		}
		l.holder[id] = tenure{name, epoch}
	}
}

func (l *ledger) drop(name string, ids []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.holder[id].name == name {
			delete(l.holder, id)
		}
	}
}

// expel forgets what a member has, as the group does: what it does from now on must not be believed.
func (l *ledger) expel(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.holder, func(_ int32, t tenure) bool { return t.name == name })
}

func (l *ledger) of(name string) []int32 {
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

func (l *ledger) wrong() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// ledgerOwner drains for as long as the test says.
type ledgerOwner struct {
	name   string
	ledger *ledger
	drain  func(ids []int32) // within each Release; nil: at once
	look   func()            // within each Grant; nil: at once

	mu       sync.Mutex
	busy     map[int32]bool // a call is under way
	mine     map[int32]bool
	granted  [][]int32
	released [][]int32
	epochs   []Epoch // of each grant
}

func (o *ledgerOwner) call(what string, ids []int32, granting bool) (done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy == nil {
		o.busy, o.mine = map[int32]bool{}, map[int32]bool{}
	}
	for _, id := range ids {
		if o.busy[id] || o.mine[id] == granting {
			o.ledger.mu.Lock()
			o.ledger.fault("%s of %d to %s: another call under way %v, at hand %v", what, id, o.name, o.busy[id], o.mine[id])
			o.ledger.mu.Unlock()
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

func (o *ledgerOwner) Grant(_ context.Context, epoch Epoch, ids []int32) {
	defer o.call("grant", ids, true)()
	o.mu.Lock()
	o.granted, o.epochs = append(o.granted, ids), append(o.epochs, epoch)
	o.mu.Unlock()
	o.ledger.take(o.name, epoch, ids) // last: whoever sees that has the epoch, too
	if o.look != nil {
		o.look()
	}
}

func (o *ledgerOwner) Release(ids []int32) {
	defer o.call("release", ids, false)()
	if o.drain != nil {
		o.drain(ids)
	}
	o.ledger.drop(o.name, ids)
	o.mu.Lock()
	o.released = append(o.released, ids)
	o.mu.Unlock()
}

// calls returns how many grants and releases there were.
func (o *ledgerOwner) calls() (grants, releases int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.granted), len(o.released)
}

func (o *ledgerOwner) gaveBack() [][]int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.released)
}

func (o *ledgerOwner) epoch() Epoch {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.epochs[len(o.epochs)-1]
}
