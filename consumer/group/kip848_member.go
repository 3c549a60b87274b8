package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// kip848Member takes part in the group, on one goroutine: one heartbeat after another.
type kip848Member struct {
	*KIP848
	identity *identity
	holdings *holdings
	hurry    wait.Signal // a commit has met a newer epoch than this member knows
	topic    kafkawire.TopicID

	assigned []int32 // as last heard; nil: nothing yet
	reported []int32 // what the coordinator knows that this member owns
	inDoubt  bool    // an answer may be lost, and an assignment with it: the next heartbeat reports everything
	interval time.Duration
	changed  time.Time // when something last did
}

// participate returns when ctx ends, or with an error that trying again does not cure.
func (m *kip848Member) participate(ctx context.Context) error {
	var failing retry
	for ctx.Err() == nil {
		err := m.beat(ctx)
		pause := m.untilNext()
		if m.inDoubt = err != nil; m.inDoubt {
			pause = failing.backoff()
		} else {
			failing = retry{}
		}
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, kafka.FencedInstanceID), errors.Is(err, kafkawire.ErrFencedMemberEpoch) && m.atRest(ctx):
			m.lose(err)
			return m.fenced(kafka.FencedInstanceID)
		case errors.Is(err, kafka.UnknownMemberId), errors.Is(err, kafkawire.ErrFencedMemberEpoch):
			if !m.lose(err) {
				failing.report(&m.log, err, fixKIP848(err))
			}
			m.rejoin(ctx)
		case errors.Is(err, kafkawire.ErrUnreleasedInstanceID):
			if err := m.fencePrevious(ctx, err); err != nil {
				m.report(&failing, err)
			} else {
				pause = 0
			}
		default:
			m.report(&failing, err)
		}
		m.await(ctx, pause)
	}
	return nil
}

func (m *kip848Member) report(failing *retry, err error) {
	failing.report(&m.log, err, fixKIP848(err))
	m.wire.Reset()
}

// untilNext is how long to wait for the next heartbeat.
func (m *kip848Member) untilNext() time.Duration {
	if time.Since(m.changed) < quickFor {
		return min(m.interval, quickBeat)
	}
	return min(m.interval, calmBeat)
}

// await returns when ctx ends, d is over, partitions have been given back, or a commit needs a newer epoch.
func (m *kip848Member) await(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-m.holdings.released:
	case <-m.hurry:
	}
}

// beat sends a heartbeat and does what its answer says.
func (m *kip848Member) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	member, _ := m.identity.get()
	beat := kafkawire.ConsumerHeartbeat{GroupMember: member}
	owned := m.holdings.report() // nothing, when joining
	if member.Generation == kafkawire.EpochJoining || m.inDoubt || !slices.Equal(owned, m.reported) {
		m.changed = time.Now()
		beat.Report = &kafkawire.ConsumerReport{Topics: []string{m.cfg.Topic}, RebalanceTimeout: m.cfg.RebalanceTimeout}
		if len(owned) > 0 {
			beat.Report.Owned = map[kafkawire.TopicID][]int32{m.topic: owned}
		}
	}
	answer, err := m.wire.ConsumerHeartbeat(ctx, beat)
	if err != nil {
		return err
	}
	m.reported, m.interval = owned, answer.Interval
	if answer.Epoch != member.Generation {
		m.changed = time.Now()
		m.identity.set(member.ID, answer.Epoch)
	}
	if answer.Assigned != nil {
		if err := m.assign(ctx, answer); err != nil {
			return err
		}
	}
	return m.confirmUnassigned(ctx)
}

// assign takes what the coordinator assigns, and gives back what it does not assign any more.
func (m *kip848Member) assign(ctx context.Context, answer kafkawire.ConsumerAssignment) error {
	if _, known := answer.Assigned[m.topic]; !known && len(answer.Assigned) > 0 {
		id, err := m.wire.TopicID(ctx, m.cfg.Topic)
		if err != nil {
			return err
		}
		if _, known := answer.Assigned[id]; !known {
			return fmt.Errorf("partitions of another topic than %s are assigned: %w", m.cfg.Topic,
				kafka.UnknownTopicOrPartition)
		}
		if m.topic != (kafkawire.TopicID{}) {
			m.log.Warn().Str("event", "partitions_lost").Str("topic", m.cfg.Topic).
				Msg("the topic was deleted and made again; what was held of the former one is dropped uncommitted")
			m.loseAll()
		}
		m.topic = id
	}
	partitions := slices.Sorted(slices.Values(answer.Assigned[m.topic]))
	if !slices.Equal(partitions, m.assigned) || m.assigned == nil {
		m.changed = time.Now()
		m.log.Info().Int32("generation", answer.Epoch).Ints32("partitions", partitions).Msg("joined the consumer group")
	}
	m.assigned = append([]int32{}, partitions...)
	m.holdings.assign(partitions, true)
	return nil
}

// confirmUnassigned tells the owner that it gets nothing, once that is certain: an empty assignment may only mean that
// others have not given back yet what this member is to have.
func (m *kip848Member) confirmUnassigned(ctx context.Context) error {
	if !m.holdings.unassigned() {
		return nil
	}
	member, _ := m.identity.get()
	none, err := m.targetsNone(ctx, member.ID)
	if none {
		m.holdings.assign(nil, false)
	}
	return err
}

// lose is loseAll because the group has gone on without this member. It says whether there was anything.
func (m *kip848Member) lose(why error) bool {
	had := m.loseAll()
	if had {
		m.logLost(why)
	}
	return had
}

// loseAll revokes all partitions without a commit. It says whether there were any.
func (m *kip848Member) loseAll() bool {
	m.reported, m.assigned = nil, nil
	return m.holdings.lose(m.newLease())
}

func (m *kip848Member) newLease() *memberLease {
	return newLease(commits{
		wire: m.wire, send: (*kafkawire.Client).CommitMemberOffsets, topic: m.cfg.Topic,
		outdated: []error{kafkawire.ErrStaleMemberEpoch}, timeout: newerEpochDeadline, hurry: m.hurry.Set,
	}, m.identity)
}

// rejoin makes this another member. Under the id that it had, a commit from before might still be accepted; and what
// that id still has in the group, if it is known there, is let go.
func (m *kip848Member) rejoin(ctx context.Context) {
	if err := m.depart(ctx); err != nil {
		m.log.Debug().Err(err).Msg("leaving the consumer group before joining it again failed")
	}
	m.identity.set(uuid.NewString(), kafkawire.EpochJoining)
}

// depart leaves the group; a static member's partitions wait for its next start, unless that is not to come.
func (m *kip848Member) depart(ctx context.Context) error {
	member, _ := m.identity.get()
	member.Generation = kafkawire.EpochLeaving
	if m.cfg.stays() {
		member.Generation = kafkawire.EpochResting
	}
	_, err := m.wire.ConsumerHeartbeat(ctx, kafkawire.ConsumerHeartbeat{GroupMember: member})
	if errors.Is(err, kafka.UnknownMemberId) { // it has left
		return nil
	}
	return err
}

// atRest says whether another instance has put this member to rest: it is about to join under the same instance id and
// has not done so yet.
func (m *kip848Member) atRest(ctx context.Context) bool {
	group, err := m.wire.DescribeConsumerGroup(ctx, m.cfg.Group)
	member, _ := m.identity.get()
	if err != nil || m.cfg.InstanceID == "" {
		return false
	}
	return slices.ContainsFunc(group.Members, func(peer kafkawire.ConsumerGroupMember) bool {
		return peer.InstanceID == m.cfg.InstanceID && (peer.ID != member.ID || peer.Epoch == kafkawire.EpochResting)
	})
}

// fencePrevious has the previous incarnation of this instance, which died without leaving, let go of the instance id.
// Were it another instance that is alive, that one would be told by FencedInstanceID. It returns why if no member has
// the id.
func (m *kip848Member) fencePrevious(ctx context.Context, why error) error {
	group, err := m.wire.DescribeConsumerGroup(ctx, m.cfg.Group)
	if err != nil {
		return err
	}
	previous, _ := m.identity.get()
	for _, peer := range group.Members {
		if previous.InstanceID == "" || peer.InstanceID != previous.InstanceID {
			continue
		}
		previous.ID, previous.Generation = peer.ID, kafkawire.EpochResting
		if _, err := m.wire.ConsumerHeartbeat(ctx, kafkawire.ConsumerHeartbeat{GroupMember: previous}); err != nil {
			return fmt.Errorf("fencing member %s: %w", peer.ID, err)
		}
		m.log.Info().Str("member", peer.ID).Msg("fenced a previous incarnation of this instance")
		return nil
	}
	return why
}
