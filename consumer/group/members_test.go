package group

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// Who joins gets its share from those who have more, and what stays is never touched; who leaves hands over.
func TestMembersShare(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		c := memberBroker(t, 6)
		l := kafkatest.NewLedger()
		a := startMemberOf(t, k, settings(c), l, "a", nil)
		eventually(t, "a has all", a.has(6))
		b := startMemberOf(t, k, settings(c), l, "b", nil)
		eventually(t, "they share", func() bool { return a.has(3)() && b.has(3)() })
		d := startMemberOf(t, k, settings(c), l, "d", nil)
		eventually(t, "they share", func() bool { return a.has(2)() && b.has(2)() && d.has(2)() })
		if got := a.Released(); len(got) != 2 || len(got[0]) != 3 || len(got[1]) != 1 {
			t.Errorf("a gave back %v, want 3 and then 1", got)
		}
		if grants, _ := a.Calls(); grants != 1 {
			t.Errorf("%d grants to a, want its first", grants)
		}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if n := members(c); n != 2 {
			t.Errorf("%d members after one has left", n)
		}
		eventually(t, "the two share", func() bool { return a.has(3)() && d.has(3)() })
		if _, releases := a.Calls(); releases != 2 {
			t.Errorf("a gave back %v", a.Released())
		}
	})
}

// More members than partitions: one that has none says that it has joined, and gets what another has had that leaves.
func TestSpareMember(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		c := memberBroker(t, 1)
		l := kafkatest.NewLedger()
		a := startMemberOf(t, k, settings(c), l, "a", nil)
		eventually(t, "a has it", a.has(1))
		b := startMemberOf(t, k, settings(c), l, "b", nil)
		eventually(t, "b knows that it has nothing", func() bool { grants, _ := b.Calls(); return grants == 1 })
		if _, releases := a.Calls(); releases != 0 {
			t.Error("a gave back what no other member is to have")
		}
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "b has it", b.has(1))
	})
}

// A drain that is longer than the session: the member stays in the group, commits are accepted, others can join and get
// what is free, and no member gets what still drains; none is told that it gets nothing, either.
func TestLongDrain(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		c := memberBroker(t, 4)
		l := kafkatest.NewLedger()
		drain := make(chan struct{})
		quick := func(o *memberOptions, _ *testOwner) {
			if k.name == classic.name { // there a member that drains joins again as often as it is asked to
				o.RebalanceTimeout = 2 * brief
			}
		}
		a := startMemberOf(t, k, settings(c), l, "a", func(o *memberOptions, owner *testOwner) {
			quick(o, owner)
			owner.Drain = func([]int32) { <-drain }
		})
		end := sync.OnceFunc(func() { close(drain) })
		t.Cleanup(end)
		eventually(t, "a has all", a.has(4))
		lease := a.Lease()
		began := time.Now()
		b := startMemberOf(t, k, settings(c), l, "b", quick)
		d := startMemberOf(t, k, settings(c), l, "d", quick)
		eventually(t, "all are members", func() bool { return members(c) == 3 })
		eventually(t, "a commits while it drains", func() bool { return lease.Commit(t.Context(), at(3, 7)) == nil })
		eventually(t, "session and rebalance timeout are over", func() bool { return time.Since(began) > 4*brief })
		if err := lease.Commit(t.Context(), at(3, 8)); err != nil {
			t.Errorf("commit after that: %v", err)
		}
		for _, r := range []*memberRig{b, d} {
			if grants, _ := r.Calls(); grants != 0 {
				t.Errorf("%s: %d grants while a drains", r.Name, grants)
			}
		}
		if grants, releases := a.Calls(); grants != 1 || releases != 0 || !a.has(4)() || !b.has(0)() || !d.has(0)() {
			t.Errorf("a has %v, b %v, d %v", l.Of("a"), l.Of("b"), l.Of("d"))
		}
		end()
		eventually(t, "they share", func() bool {
			at := []int{len(l.Of("a")), len(l.Of("b")), len(l.Of("d"))}
			return at[0]+at[1]+at[2] == 4 && slices.Max(at) == 2 && slices.Min(at) == 1
		})
		if got := committed(t, c, 3); got != 8 {
			t.Errorf("committed %d", got)
		}
	})
}

// A stop with a drain that is longer than the session: heartbeats keep it in the group for its commit.
func TestStopsSlowly(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		c := memberBroker(t, 1)
		var a *memberRig
		a = startMemberOf(t, k, settings(c), kafkatest.NewLedger(), "a", func(_ *memberOptions, o *testOwner) {
			o.Drain = func([]int32) {
				<-time.After(3 * brief)
				if err := a.Lease().Commit(context.Background(), at(0, 9)); err != nil {
					t.Error(err)
				}
			}
		})
		eventually(t, "a has it", a.has(1))
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		if n := members(c); n != 0 {
			t.Errorf("%d members are left", n)
		}
		if got := committed(t, c, 0); got != 9 {
			t.Errorf("committed %d", got)
		}
	})
}

// A static member that comes back finds its partitions, and no other member notices.
func TestStaticRestart(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		s := newStage(t, k, 4)
		a := s.member(t, "a", "0", false)
		b := s.member(t, "b", "1", false)
		eventually(t, "they share", func() bool { return a.has(2)() && b.has(2)() })
		before := s.ledger.Of("a")
		_, moved := b.Calls()
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		again := s.member(t, "a", "0", true)
		eventually(t, "a is back", again.has(2))
		if got := s.ledger.Of("a"); !slices.Equal(got, before) {
			t.Errorf("a has %v, before it had %v", got, before)
		}
		if _, releases := b.Calls(); releases != moved || !b.has(2)() {
			t.Errorf("b gave back %v", b.Released())
		}
		if err := again.stop(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "b has all, as a has left for good", b.has(4))
	})
}

// A static member that is to give partitions back stops before it has done so, and comes back: the group must not go on
// believing that it still has them. (In a group of the consumer protocol that is the brokers' business.)
func TestStaticRestartInAHandOver(t *testing.T) {
	t.Parallel()
	s := newStage(t, classic, 4)
	leader := s.member(t, "leader", "0", false) // was there first
	eventually(t, "the leader has all", leader.has(4))
	var drains atomic.Int32
	end := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(end) }))
	a := startMemberOf(t, classic, s.settings, s.ledger, "a", func(o *memberOptions, owner *testOwner) {
		o.Group, o.Topic, o.session, o.InstanceID = s.topic, s.topic, stageSession, "9" // the last to keep what is odd
		owner.Drain = func([]int32) { drains.Add(1); <-end }
	})
	eventually(t, "they share", func() bool { return a.has(2)() && leader.has(2)() })
	c := s.member(t, "c", "5", false)
	eventually(t, "a gives back what c is to have", func() bool { return drains.Load() == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- a.stop() }()
	eventually(t, "a gives back the rest", func() bool { return drains.Load() == 2 })
	end <- struct{}{}
	end <- struct{}{}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	again := s.member(t, "a", "9", true)
	eventually(t, "all partitions are with a member",
		func() bool { return leader.has(2)() && again.has(1)() && c.has(1)() })
}

// Two instances under one name: the second fences the first, which ends with an error that says so, and can commit
// nothing.
func TestReplaced(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		s := newStage(t, k, 2)
		a := s.member(t, "a", "same", true)
		eventually(t, "a has all", a.has(2))
		lease := a.Lease()
		s.ledger.Expel("a") // it does not know yet
		b := s.member(t, "b", "same", true)
		err := <-a.left
		a.left <- nil
		if !errors.Is(err, kafka.FencedInstanceID) || !strings.Contains(err.Error(), `instance id "same"`) {
			t.Errorf("a ended with %v", err)
		}
		if err := lease.Commit(t.Context(), at(0, 5)); !errors.Is(err, errLost) {
			t.Errorf("commit of who was replaced: %v", err)
		}
		if grants, releases := a.Calls(); grants != 1 || releases != 1 {
			t.Errorf("a: %d grants, %d releases", grants, releases)
		}
		eventually(t, "b has all", b.has(2))
		if err := b.Lease().Commit(t.Context(), at(0, 6)); err != nil {
			t.Error(err)
		}
	})
}

// A member notices that the topic has grown; none gives anything back for that.
func TestTopicGrows(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		s := newStage(t, k, 2)
		a := s.member(t, "a", "", false)
		eventually(t, "a has all", a.has(2))
		s.grow(t, 3)
		eventually(t, "a has the third", a.has(3))
		if _, releases := a.Calls(); releases != 0 {
			t.Errorf("a gave back %v", a.Released())
		}
	})
}

// A static member that was away as the topic grew notices, too; a classic leader assigns nothing when it comes back to
// a stable group (KIP-814).
func TestTopicGrowsUnseen(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		s := newStage(t, k, 2)
		if k.name == kip848.name && kafkatest.Shared(t).Kind() == kafkatest.KindEmbedded {
			t.Skip("kfake does not assign again while no member is there but at rest")
		}
		a := s.member(t, "a", "0", false)
		eventually(t, "a has all", a.has(2))
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		s.grow(t, 3)
		eventually(t, "a has the third", s.member(t, "a", "0", true).has(3))
	})
}
