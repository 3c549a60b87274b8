package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/segmentio/kafka-go"
)

// classicMember keeps a place in the group, on one goroutine: join, sync, heartbeats until it is time to join again.
type classicMember struct {
	*Classic
	identity *identity
	holdings *holdings
	asked    bool            // for a place; whether that was heard or not
	synced   int32           // the last generation that gave us an assignment
	leaving  <-chan struct{} // closed when the place is given up
}

// keepPlace returns when ctx ends, or with an error that trying again does not cure.
func (m *classicMember) keepPlace(ctx context.Context) error {
	var t trouble
	for ctx.Err() == nil {
		err := m.generation(ctx)
		switch {
		case ctx.Err() != nil:
			continue // whatever was on its way has been cut short
		case err == nil, errors.Is(err, kafka.RebalanceInProgress), errors.Is(err, kafka.MemberIDRequired):
			t.over()
			continue
		case errors.Is(err, kafka.FencedInstanceID):
			m.lose(err)
			return m.replaced(err)
		case errors.Is(err, kafka.UnknownMemberId):
			m.lose(err)
			m.identity.set("", neverJoined)
		case errors.Is(err, kafka.IllegalGeneration):
			m.lose(err)
			member, _ := m.identity.get()
			m.identity.set(member.ID, neverJoined)
		default:
			t.complain(&m.log, err, fixClassic(err))
			m.wire.Reset()
		}
		wait.Sleep(ctx, t.next())
	}
	return nil
}

// lose drops all partitions without a commit: the group has gone on without us.
func (m *classicMember) lose(why error) {
	m.dropped(why)
	m.synced = neverJoined
	m.holdings.lose(m.newLease())
}

// newLease is patient with a rebalance: a leader that dies in it is waited for as long as its session.
func (m *classicMember) newLease() *memberLease {
	return newLease(commits{
		wire: m.wire, send: (*kafkawire.Client).CommitOffsets, topic: m.cfg.Topic,
		outdated: []error{kafka.RebalanceInProgress, kafka.IllegalGeneration}, hurry: func() {},
		patience: m.session + tryTimeout,
	}, m.identity)
}

// generation takes part in one generation of the group. nil: it is time to join again.
func (m *classicMember) generation(ctx context.Context) error {
	joined, err := m.join(ctx)
	if err != nil {
		return err
	}
	assignment, deal, err := m.sync(ctx, joined)
	if err != nil {
		return err
	}
	m.synced = joined.Generation
	partitions := assignment.Partitions[m.cfg.Topic]
	m.log.Info().Int32("generation", joined.Generation).Bool("leader", joined.Leader).Ints32("partitions", partitions).
		Msg("joined the consumer group")
	m.holdings.assign(partitions, false)
	return m.stay(ctx, joined, deal)
}

func (m *classicMember) join(ctx context.Context) (kafkawire.Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.RebalanceTimeout+replySlack)
	defer cancel()
	member, _ := m.identity.get()
	req := kafkawire.JoinRequest{
		GroupMember: member, Strategy: Strategy,
		SessionTimeout: m.session, RebalanceTimeout: m.cfg.RebalanceTimeout,
		Subscription: kafkawire.Subscription{
			Topics: m.topics(), Owned: map[string][]int32{m.cfg.Topic: m.holdings.claim()}, Generation: m.synced,
		},
	}
	m.asked = true
	joined, err := m.wire.JoinGroup(ctx, req)
	if errors.Is(err, kafka.MemberIDRequired) {
		m.identity.set(joined.ID, neverJoined)
	}
	if err != nil {
		return joined, err
	}
	if missed(member.Generation, joined) {
		m.lose(fmt.Errorf("generation %d follows on %d", joined.Generation, member.Generation))
	}
	m.identity.set(joined.ID, joined.Generation)
	return joined, nil
}

// missed says whether the group has had a generation without us. It puts members out for that, but not static ones: what
// they were given then may have been given to others since. A coordinator that deals knows who has what, and its
// generations make larger steps.
func missed(before int32, joined kafkawire.Joined) bool {
	return before != neverJoined && joined.Generation != before && joined.Generation != before+1 && !joined.Coordinated
}

// topics is what we subscribe to. Who is about to leave wants nothing any more, but still has what drains.
func (m *classicMember) topics() []string {
	select {
	case <-m.leaving:
		if !m.cfg.stays() {
			return nil
		}
	default:
	}
	return []string{m.cfg.Topic}
}

// sync learns what we are to have. The leader decides that for all, and remembers it.
func (m *classicMember) sync(ctx context.Context, joined kafkawire.Joined) (kafkawire.Assignment, deal, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.RebalanceTimeout+replySlack)
	defer cancel()
	var all map[string]kafkawire.Assignment
	var mine deal
	if len(joined.Members) > 0 {
		topics := map[string]bool{}
		for _, peer := range joined.Members {
			for _, topic := range peer.Subscription.Topics {
				topics[topic] = true
			}
		}
		counts, err := m.wire.PartitionCounts(ctx, slices.Sorted(maps.Keys(topics)))
		if err != nil {
			return kafkawire.Assignment{}, deal{}, err
		}
		all, mine.counts = assign(joined.Members, counts)
		mine.withheld = withheld(all, mine.counts)
	}
	member, _ := m.identity.get()
	assignment, err := m.wire.SyncGroup(ctx, member, Strategy, all)
	return assignment, mine, err
}

// stay keeps the place with heartbeats until it is time to join again: because others come or go, because partitions have
// been given back for which the group waits, or because the leader sees that partitions are with nobody.
func (m *classicMember) stay(ctx context.Context, joined kafkawire.Joined, mine deal) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	orphaned := make(chan struct{})
	if joined.Leader {
		watching.Go(func() { m.watch(ctx, mine, orphaned) })
	}
	began := time.Now()
	for {
		if m.holdings.freed() {
			return nil
		}
		interval := min(m.session/beatsPerSession, longestHeartbeat)
		if time.Since(began) < quickFor {
			interval /= busyHeartbeat
		}
		beat := time.NewTimer(interval)
		select {
		case <-ctx.Done():
		case <-orphaned:
			beat.Stop()
			return nil
		case <-m.holdings.signal:
		case <-beat.C:
			if err := m.beat(ctx); err != nil {
				return err
			}
			m.settle(ctx, joined)
		}
		beat.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// settle tells the owner that it gets nothing, once that is certain.
func (m *classicMember) settle(ctx context.Context, joined kafkawire.Joined) {
	if !m.holdings.vacant() {
		return
	}
	nothing, err := m.surplus(ctx, joined)
	if err != nil {
		m.log.Debug().Err(err).Msg("asking who has the partitions failed; the next heartbeat asks again")
	}
	if nothing {
		m.holdings.assign(nil, true)
	}
}

// surplus says whether we are to have nothing: an empty assignment may only mean that others have not given back yet what
// we are to have.
func (m *classicMember) surplus(ctx context.Context, joined kafkawire.Joined) (bool, error) {
	if joined.Coordinated {
		return m.place.surplus(ctx, joined.ID)
	}
	dealt, err := m.wire.DealtPartitions(ctx, m.cfg.Group)
	if err != nil {
		return false, err
	}
	counts, err := m.wire.PartitionCounts(ctx, []string{m.cfg.Topic})
	return err == nil && dealt[m.cfg.Topic] == counts[m.cfg.Topic], err
}

// beat sends a heartbeat. It returns only what says something about our place: that the coordinator cannot be reached, or
// moves, changes nothing for the partitions.
func (m *classicMember) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(m.session/beatsPerSession, time.Second))
	defer cancel()
	member, _ := m.identity.get()
	err := m.wire.Heartbeat(ctx, member)
	for _, about := range []error{
		kafka.RebalanceInProgress, kafka.UnknownMemberId, kafka.IllegalGeneration, kafka.FencedInstanceID,
	} {
		if errors.Is(err, about) {
			return err
		}
	}
	if err != nil {
		m.wire.Reset()
		m.log.Debug().Err(err).Msg("a heartbeat failed; the next one follows")
	}
	return nil
}

// watch closes orphaned when there are partitions that nobody has: a topic has another number of them than it had when they
// were dealt (a static leader that came back to its group has dealt nothing, KIP-814: it looks at who has what), or one that was
// to be given back is with nobody.
//
// Who has given it back joins again without it. But if a static member stops between the two and comes back under its name,
// the coordinator hands it what it was to keep (KIP-345), in the same generation: it has nothing to give back, and the others
// have not heard of anything. While somebody still drains, joining again changes nothing.
func (m *classicMember) watch(ctx context.Context, mine deal, orphaned chan<- struct{}) {
	for looks := 1; wait.Sleep(ctx, growthWatch); looks++ {
		if mine.withheld && looks >= handOverLooks {
			m.log.Info().Msg("partitions that were to move are with nobody for long; they are dealt anew")
			close(orphaned)
			return
		}
		var err error
		if mine.counts == nil {
			mine.counts, err = m.wire.DealtPartitions(ctx, m.cfg.Group)
		}
		var counts map[string]int32
		if err == nil {
			counts, err = m.wire.PartitionCounts(ctx, slices.Sorted(maps.Keys(mine.counts)))
		}
		if err != nil {
			m.wire.Reset()
			continue
		}
		for topic, n := range counts {
			if n != mine.counts[topic] {
				m.log.Info().Str("topic", topic).Int32("partitions", n).Int32("before", mine.counts[topic]).
					Msg("the number of partitions has changed")
				close(orphaned)
				return
			}
		}
	}
}
