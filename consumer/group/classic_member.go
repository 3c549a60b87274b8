package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// classicMember takes part in the group, on one goroutine: join, sync, heartbeats until it is time to join again.
type classicMember struct {
	*Classic
	identity *identity
	holdings *holdings
	asked    bool            // to join; whether that was heard or not
	synced   int32           // the last generation that gave this member an assignment
	leaving  <-chan struct{} // closed when the member is about to leave
}

// participate returns when ctx ends, or with an error that trying again does not cure.
func (m *classicMember) participate(ctx context.Context) error {
	var failing retry
	for ctx.Err() == nil {
		err := m.generation(ctx)
		switch {
		case ctx.Err() != nil:
			continue // whatever was on its way has been cut short
		case err == nil, errors.Is(err, kafka.RebalanceInProgress), errors.Is(err, kafka.MemberIDRequired):
			failing = retry{}
			continue
		case errors.Is(err, kafka.FencedInstanceID):
			m.lose(err)
			return m.fenced(err)
		case errors.Is(err, kafka.UnknownMemberId):
			m.returnToJoin(err, "", &failing)
		case errors.Is(err, kafka.IllegalGeneration):
			member, _ := m.identity.get()
			m.returnToJoin(err, member.ID, &failing)
		default:
			failing.report(&m.log, err, fixClassic(err))
			m.wire.Reset()
		}
		wait.Sleep(ctx, failing.backoff())
	}
	return nil
}

// returnToJoin makes this a member that has yet to join, under the given id.
func (m *classicMember) returnToJoin(why error, id string, failing *retry) {
	if !m.lose(why) {
		failing.report(&m.log, why, fixClassic(why))
	}
	m.identity.set(id, neverJoined)
}

// lose revokes all partitions without a commit: the group has gone on without this member. It says whether there were
// any.
func (m *classicMember) lose(why error) bool {
	m.synced = neverJoined
	had := m.holdings.lose(m.newLease())
	if had {
		m.logLost(why)
	}
	return had
}

// newLease makes a lease whose commits wait for the end of a rebalance: if the leader dies in it, that takes its
// session.
func (m *classicMember) newLease() *memberLease {
	return newLease(commits{
		wire: m.wire, send: (*kafkawire.Client).CommitOffsets, topic: m.cfg.Topic,
		outdated: []error{kafka.RebalanceInProgress, kafka.IllegalGeneration}, hurry: func() {},
		timeout: m.session + tryTimeout,
	}, m.identity)
}

// generation takes part in one generation of the group. nil: it is time to join again.
func (m *classicMember) generation(ctx context.Context) error {
	joined, err := m.join(ctx)
	if err != nil {
		return err
	}
	assignment, decided, err := m.sync(ctx, joined)
	if err != nil {
		return err
	}
	m.synced = joined.Generation
	partitions := assignment.Partitions[m.cfg.Topic]
	m.log.Info().Int32("generation", joined.Generation).Bool("leader", joined.Leader).Ints32("partitions", partitions).
		Msg("joined the consumer group")
	m.holdings.assign(partitions, true)
	return m.stay(ctx, joined, decided)
}

func (m *classicMember) join(ctx context.Context) (kafkawire.Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.RebalanceTimeout+replySlack)
	defer cancel()
	member, _ := m.identity.get()
	req := kafkawire.JoinRequest{
		GroupMember: member, Strategy: Strategy,
		SessionTimeout: m.session, RebalanceTimeout: m.cfg.RebalanceTimeout,
		Subscription: kafkawire.Subscription{
			Topics: m.topics(), Owned: map[string][]int32{m.cfg.Topic: m.holdings.report()}, Generation: m.synced,
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

// missed says whether the group has had a generation without this member. It puts members out for that, but not static
// ones: what was assigned to them then may have been given to others since. A coordinator that assigns knows who has
// what, and its generations make larger steps.
func missed(before int32, joined kafkawire.Joined) bool {
	return before != neverJoined && joined.Generation != before && joined.Generation != before+1 && !joined.Coordinated
}

// topics is the subscription. A member that is about to leave wants nothing any more, but still owns what drains.
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

// sync learns what is assigned to this member. The leader decides that for all, and remembers it.
func (m *classicMember) sync(ctx context.Context, joined kafkawire.Joined) (kafkawire.Assignment, decision, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.RebalanceTimeout+replySlack)
	defer cancel()
	var all map[string]kafkawire.Assignment
	var mine decision
	if len(joined.Members) > 0 {
		topics := map[string]bool{}
		for _, peer := range joined.Members {
			for _, topic := range peer.Subscription.Topics {
				topics[topic] = true
			}
		}
		counts, err := m.wire.PartitionCounts(ctx, slices.Sorted(maps.Keys(topics)))
		if err != nil {
			return kafkawire.Assignment{}, decision{}, err
		}
		all, mine.partitions = assign(joined.Members, counts)
		mine.pending = pending(all, mine.partitions)
	}
	member, _ := m.identity.get()
	assignment, err := m.wire.SyncGroup(ctx, member, Strategy, all)
	return assignment, mine, err
}

// stay sends heartbeats until it is time to join again: because others come or go, because partitions have been given
// back for which the group waits, or because the leader sees that partitions are with no member.
func (m *classicMember) stay(ctx context.Context, joined kafkawire.Joined, mine decision) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	orphaned := make(chan struct{})
	if joined.Leader {
		watching.Go(func() { m.watch(ctx, mine, orphaned) })
	}
	began := time.Now()
	var missed missedBeats
	for {
		if m.holdings.outdated() {
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
		case <-m.holdings.released:
		case <-beat.C:
			if err := m.beat(ctx, &missed); err != nil {
				return err
			}
			m.confirmUnassigned(ctx, joined)
		}
		beat.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// confirmUnassigned tells the owner that it gets nothing, once that is certain.
func (m *classicMember) confirmUnassigned(ctx context.Context, joined kafkawire.Joined) {
	if !m.holdings.unassigned() {
		return
	}
	none, err := m.targetsNone(ctx, joined)
	if err != nil {
		m.log.Debug().Err(err).Msg("asking who has the partitions failed; the next heartbeat asks again")
	}
	if none {
		m.holdings.assign(nil, false)
	}
}

// targetsNone says whether this member is to have nothing: an empty assignment may only mean that others have not given
// back yet what it is to have.
func (m *classicMember) targetsNone(ctx context.Context, joined kafkawire.Joined) (bool, error) {
	if joined.Coordinated {
		return m.member.targetsNone(ctx, joined.ID)
	}
	assigned, err := m.wire.AssignedPartitions(ctx, m.cfg.Group)
	if err != nil {
		return false, err
	}
	counts, err := m.wire.PartitionCounts(ctx, []string{m.cfg.Topic})
	return err == nil && assigned[m.cfg.Topic] == counts[m.cfg.Topic], err
}

// beat sends a heartbeat. It returns only errors that are about the membership: that the coordinator cannot be reached,
// or moves, changes nothing for the partitions. If that lasts it is told, as an instance with nothing to write or to
// commit would say nothing else of a Kafka that is gone.
func (m *classicMember) beat(ctx context.Context, missed *missedBeats) error {
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
	switch {
	case err == nil:
		*missed = missedBeats{}
	case !errors.Is(ctx.Err(), context.Canceled): // else it was cut short
		m.wire.Reset()
		if missed.n++; wait.Report(missed.n) {
			missed.retry.report(&m.log, err, fixClassic(err))
		}
	}
	return nil
}

// missedBeats are heartbeats without an answer, one after the other.
type missedBeats struct {
	retry retry
	n     int
}

// watch closes orphaned when there are partitions that no member has: a topic has another number of them than it had
// when they were assigned (a static leader that came back to its group has assigned nothing, KIP-814: it looks at who
// has what), or one that was to be given back is with no member.
//
// A member that has given it back joins again without it. But if a static member stops between the two and comes back
// under its name, the coordinator hands it what was assigned to it (KIP-345), in the same generation: it has nothing to
// give back, and the others have not heard of anything. While a member still drains, joining again changes nothing.
func (m *classicMember) watch(ctx context.Context, mine decision, orphaned chan<- struct{}) {
	for checks := 1; wait.Sleep(ctx, watchInterval); checks++ {
		if mine.pending && checks >= stuckChecks {
			m.log.Info().Msg("partitions that were to move are with no member for long; they are assigned again")
			close(orphaned)
			return
		}
		var err error
		if mine.partitions == nil {
			mine.partitions, err = m.wire.AssignedPartitions(ctx, m.cfg.Group)
		}
		var counts map[string]int32
		if err == nil {
			counts, err = m.wire.PartitionCounts(ctx, slices.Sorted(maps.Keys(mine.partitions)))
		}
		if err != nil {
			m.wire.Reset()
			continue
		}
		for topic, n := range counts {
			if n != mine.partitions[topic] {
				m.log.Info().Str("topic", topic).Int32("partitions", n).Int32("before", mine.partitions[topic]).
					Msg("the number of partitions has changed")
				close(orphaned)
				return
			}
		}
	}
}
