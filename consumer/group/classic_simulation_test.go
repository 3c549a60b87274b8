package group

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// simulation is a group without a broker: real holdings, the real assignor, and drains that last until the test ends
// them.
type simulation struct {
	n       int32
	ledger  *kafkatest.Ledger
	members []*simulated
	made    int
}

type simulated struct {
	id    string
	owner *testOwner
	held  *holdings
	drain chan struct{} // each token ends a drain
	look  chan struct{} // each token ends a grant
}

func (s *simulation) join() {
	s.made++
	m := &simulated{id: fmt.Sprintf("m%02d", s.made), drain: make(chan struct{}), look: make(chan struct{})}
	m.owner = &testOwner{Name: m.id, Ledger: s.ledger, Drain: func([]int32) { <-m.drain }, Look: func() { <-m.look }}
	m.held = newHoldings(m.owner, deadLease())
	s.members = append(s.members, m)
}

func deadLease() *memberLease { return newLease(commits{}, newIdentity(kafkawire.GroupMember{})) }

// finish ends one call that hangs, and says whether there was one.
func finish(calls chan struct{}) bool {
	select {
	case calls <- struct{}{}:
		synctest.Wait()
		return true
	default:
		return false
	}
}

// rebalance has all members join, lets between happen, and hands each its share, unless deaf says that it does not get
// it: then it joins the next one with what it had.
func (s *simulation) rebalance(deaf int, between func()) {
	if len(s.members) == 0 {
		return
	}
	peers := make([]kafkawire.Peer, len(s.members))
	for i, m := range s.members {
		peers[i] = peer(m.id, m.held.report()...)
	}
	between()
	all, _ := assign(peers, counted(s.n))
	for i, m := range s.members {
		if i != deaf {
			m.held.assign(all[m.id].Partitions[testTopic], false)
		}
		synctest.Wait()
	}
}

func (s *simulation) step(code, pick int) {
	who := 0
	if len(s.members) > 0 {
		who = pick % len(s.members)
	}
	switch {
	case len(s.members) == 0 || code == 0 && len(s.members) < 6:
		s.join()
	case code <= 3:
		s.rebalance(-1, func() { finish(s.members[who].drain) })
	case code == 4:
		s.rebalance(who, func() {})
	case code <= 7:
		finish(s.members[who].drain)
	case code <= 9:
		finish(s.members[who].look)
	case code == 10: // the group throws it out; it notices and joins again, as a new member
		s.ledger.Expel(s.members[who].id)
		s.members[who].held.lose(deadLease())
	case code == 11: // it stops
		m := s.members[who]
		s.members = slices.Delete(s.members, who, who+1)
		m.end()
	}
	synctest.Wait()
}

// end stops a member and lets every call of its owner return.
func (m *simulated) end() {
	over := make(chan struct{})
	go func() {
		defer close(over)
		m.held.stop()
	}()
	for {
		select {
		case <-over:
			return
		case m.drain <- struct{}{}:
		case m.look <- struct{}{}:
		}
	}
}

// rebalanceAll ends all calls, and those that follow on them, and rebalances for as long as a member has reason to.
func (s *simulation) rebalanceAll() error {
	for range 10 {
		s.rebalance(-1, func() {})
		again := false
		for _, m := range s.members {
			for finish(m.drain) || finish(m.look) {
			}
			again = m.held.outdated() || again
		}
		if !again {
			return s.check()
		}
	}
	return fmt.Errorf("the group rebalances without end")
}

func (s *simulation) check() error {
	total := 0
	for _, m := range s.members {
		have := len(s.ledger.Of(m.id))
		total += have
		if even := int(s.n) / len(s.members); have < even || have > even+1 {
			return fmt.Errorf("%s has %d of %d partitions among %d", m.id, have, s.n, len(s.members))
		}
	}
	if len(s.members) > 0 && total != int(s.n) {
		return fmt.Errorf("%d of %d partitions are with a member", total, s.n)
	}
	return nil
}

// Members come, go, drain for as long as they like, miss decisions and are thrown out, in any order: no partition is
// ever with two of them, and in the end all are with a member, evenly.
func TestNoPartitionIsEverWithTwo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int32Range(1, 9).Draw(rt, "partitions")
		codes := rapid.SliceOfN(rapid.IntRange(0, 11), 1, 60).Draw(rt, "steps")
		picks := rapid.SliceOfN(rapid.IntRange(0, 59), len(codes), len(codes)).Draw(rt, "picks")
		var wrong []string
		synctest.Test(t, func(*testing.T) {
			s := &simulation{n: n, ledger: kafkatest.NewLedger()}
			for i, code := range codes {
				s.step(code, picks[i])
			}
			if err := s.rebalanceAll(); err != nil {
				wrong = append(wrong, err.Error())
			}
			for _, m := range s.members {
				m.end()
			}
			wrong = append(wrong, s.ledger.Faults()...)
		})
		if len(wrong) > 0 {
			rt.Fatal(wrong)
		}
	})
}
