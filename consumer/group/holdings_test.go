package group

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// A partition that is assigned again to the member that still drains it is granted again when the drain is over, not
// before.
func TestGrantedAgainAfterTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drain := make(chan struct{})
		owner := &testOwner{Name: "a", Ledger: kafkatest.NewLedger(), Drain: func([]int32) { <-drain }}
		h := newHoldings(owner, deadLease())
		h.assign([]int32{0, 1}, false)
		h.assign([]int32{0}, false)
		synctest.Wait()
		if got := h.report(); !slices.Equal(got, []int32{0, 1}) {
			t.Errorf("reports %v while it drains", got)
		}
		h.assign([]int32{0, 1}, false)
		synctest.Wait()
		if grants, _ := owner.Calls(); grants != 1 {
			t.Errorf("%d grants while it drains", grants)
		}
		close(drain)
		synctest.Wait()
		if grants, releases := owner.Calls(); grants != 2 || releases != 1 || h.outdated() {
			t.Errorf("%d grants, %d releases, freed %v", grants, releases, h.outdated())
		}
		h.stop()
		if wrong := owner.Ledger.Faults(); len(wrong) > 0 {
			t.Error(wrong)
		}
	})
}

// A grant that still looks for where to start ends when all of its partitions are asked back, and not for some of them.
func TestGrantIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &hangingOwner{}
		h := newHoldings(owner, deadLease())
		h.assign([]int32{0, 1}, false)
		h.assign([]int32{0}, false)
		synctest.Wait()
		if owner.cut || len(owner.released) > 0 {
			t.Fatalf("cut short %v, released %v", owner.cut, owner.released)
		}
		h.assign(nil, false)
		synctest.Wait()
		slices.Sort(owner.released)
		if !owner.cut || !slices.Equal(owner.released, []int32{0, 1}) {
			t.Errorf("cut short %v, released %v", owner.cut, owner.released)
		}
		h.stop()
	})
}

type hangingOwner struct {
	mu       sync.Mutex
	cut      bool
	released []int32
}

func (o *hangingOwner) Grant(ctx context.Context, _ Lease, ids []int32) {
	if len(ids) == 0 {
		return
	}
	<-ctx.Done()
	o.cut = true
}

func (o *hangingOwner) Release(ids []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.released = append(o.released, ids...)
}

// A member that gets nothing is told so once, but not while partitions are still pending.
func TestNothingToHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &testOwner{Name: "a", Ledger: kafkatest.NewLedger()}
		h := newHoldings(owner, deadLease())
		expect := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if grants, _ := owner.Calls(); grants != want {
				t.Errorf("%s: %d grants, want %d", when, grants, want)
			}
		}
		h.assign(nil, true)
		expect("while partitions move", 0)
		h.assign(nil, false)
		h.assign(nil, false)
		expect("when none is pending", 1)
		h.assign([]int32{3}, false)
		expect("with a partition", 2)
		h.assign(nil, false)
		expect("without it again", 3)
		h.assign([]int32{3}, false)
		h.lose(deadLease())
		expect("thrown out", 4)
		h.stop()
		expect("stopped", 4)
	})
}

// What was lost is not reported as owned any more, and not committed; what the group assigns again is granted under
// another lease.
func TestLose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drain := make(chan struct{})
		owner := &testOwner{Name: "a", Ledger: kafkatest.NewLedger(), Drain: func([]int32) { <-drain }}
		me := newIdentity(kafkawire.GroupMember{Member: kafkawire.Member{ID: "first", Generation: 4}})
		first, second := newLease(commits{}, me), newLease(commits{}, me)
		h := newHoldings(owner, first)
		h.assign([]int32{0, 1}, false)
		synctest.Wait()
		h.lose(second)
		me.set("second", 7)
		if got := h.report(); len(got) != 0 {
			t.Errorf("reports %v of what it lost", got)
		}
		if m := first.Member(); m.ID != "first" || m.Generation != 4 {
			t.Errorf("the lost lease commits as %+v", m)
		}
		h.assign([]int32{1}, false)
		if got := h.report(); !slices.Equal(got, []int32{1}) {
			t.Errorf("reports %v, want what it is to have", got)
		}
		close(drain)
		synctest.Wait()
		if grants, _ := owner.Calls(); grants != 2 || owner.Lease() != Lease(second) {
			t.Errorf("%d grants, the last under the lost lease %v", grants, owner.Lease() == Lease(first))
		}
		if m := second.Member(); m.ID != "second" || m.Generation != 7 {
			t.Errorf("the new lease commits as %+v", m)
		}
		h.stop()
	})
}
