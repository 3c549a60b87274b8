package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/kafkawire"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
)

// kip848Member keeps a place in the group, on one goroutine: one heartbeat after another.
type kip848Member struct {
	*KIP848
	identity *identity
	holdings *holdings
	hurry    chan struct{} // a commit has met a newer epoch than we know
	topic    kafkawire.TopicID

	assigned []int32 // as last heard; nil: nothing yet
	told     []int32 // what the coordinator knows that we have
	doubtful bool    // an answer may be lost, and an assignment with it: the next heartbeat reports everything
	interval time.Duration
	changed  time.Time // when something last did
}

// keepPlace returns when ctx ends, or with an error that trying again does not cure.
func (m *kip848Member) keepPlace(ctx context.Context) error {
	var t trouble
	for ctx.Err() == nil {
		err := m.beat(ctx)
		wait := m.untilNext()
		if m.doubtful = err != nil; m.doubtful {
			wait = t.next()
		} else {
			t.over()
		}
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, kafka.FencedInstanceID), errors.Is(err, kafkawire.FencedMemberEpoch) && m.atRest(ctx):
			m.lose(err)
			return m.replaced(kafka.FencedInstanceID)
		case errors.Is(err, kafka.UnknownMemberId), errors.Is(err, kafkawire.FencedMemberEpoch):
			m.lose(err)
			m.rejoin(ctx)
		case errors.Is(err, kafkawire.UnreleasedInstanceID):
			if err := m.takeOver(ctx, err); err != nil {
				m.complain(&t, err)
			} else {
				wait = 0
			}
		default:
			m.complain(&t, err)
		}
		m.await(ctx, wait)
	}
	return nil
}

func (m *kip848Member) complain(t *trouble, err error) {
	t.complain(&m.log, err, fixKIP848(err))
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
	case <-m.holdings.signal:
	case <-m.hurry:
	}
}

// beat sends a heartbeat and does what its answer says.
func (m *kip848Member) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	member, _ := m.identity.get()
	beat := kafkawire.ConsumerHeartbeat{GroupMember: member}
	owned := m.holdings.claim() // nothing, when joining
	if member.Generation == kafkawire.EpochJoining || m.doubtful || !slices.Equal(owned, m.told) {
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
	m.told, m.interval = owned, answer.Interval
	if answer.Epoch != member.Generation {
		m.changed = time.Now()
		m.identity.set(member.ID, answer.Epoch)
	}
	if answer.Assigned != nil {
		if err := m.assign(ctx, answer); err != nil {
			return err
		}
	}
	return m.settle(ctx)
}

// assign takes what the coordinator gives, and gives back what it does not give any more.
func (m *kip848Member) assign(ctx context.Context, answer kafkawire.ConsumerPlace) error {
	if _, known := answer.Assigned[m.topic]; !known && len(answer.Assigned) > 0 {
		id, err := m.wire.TopicID(ctx, m.cfg.Topic)
		if err != nil {
			return err
		}
		if _, known := answer.Assigned[id]; !known {
			return fmt.Errorf("partitions of another topic than %s are assigned: %w", m.cfg.Topic, kafka.UnknownTopicOrPartition)
		}
		if m.topic != (kafkawire.TopicID{}) {
			m.log.Warn().Str("topic", m.cfg.Topic).Msg("the topic was deleted and made again; what was held of the former one is dropped uncommitted")
			m.drop()
		}
		m.topic = id
	}
	partitions := slices.Sorted(slices.Values(answer.Assigned[m.topic]))
	if !slices.Equal(partitions, m.assigned) || m.assigned == nil {
		m.changed = time.Now()
		m.log.Info().Int32("generation", answer.Epoch).Ints32("partitions", partitions).Msg("joined the consumer group")
	}
	m.assigned = append([]int32{}, partitions...)
	m.holdings.assign(partitions, false)
	return nil
}

// settle tells the owner that it gets nothing, once that is certain: an empty assignment may only mean that others have
// not given back yet what we are to have.
func (m *kip848Member) settle(ctx context.Context) error {
	if !m.holdings.vacant() {
		return nil
	}
	member, _ := m.identity.get()
	nothing, err := m.surplus(ctx, member.ID)
	if nothing {
		m.holdings.assign(nil, true)
	}
	return err
}

// lose is drop because the group has gone on without us.
func (m *kip848Member) lose(why error) {
	m.dropped(why)
	m.drop()
}

// drop gives all partitions up without a commit.
func (m *kip848Member) drop() {
	m.told, m.assigned = nil, nil
	m.holdings.lose(m.newLease())
}

func (m *kip848Member) newLease() *memberLease {
	return newLease(commits{
		wire: m.wire, send: (*kafkawire.Client).CommitMemberOffsets, topic: m.cfg.Topic,
		outdated: []error{kafkawire.StaleMemberEpoch}, patience: commitPatience,
		hurry: func() {
			select {
			case m.hurry <- struct{}{}:
			default:
			}
		},
	}, m.identity)
}

// rejoin makes us another member. Under the id that we had, a commit from before might still be taken; and what it still
// has in the group, if it is known there, is let go.
func (m *kip848Member) rejoin(ctx context.Context) {
	if err := m.depart(ctx); err != nil {
		m.log.Debug().Err(err).Msg("leaving the consumer group before joining it anew failed")
	}
	m.identity.set(uuid.NewString(), kafkawire.EpochJoining)
}

// depart gives the place up; a static member's partitions wait for its next life, unless that is not to come.
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

// atRest says whether somebody else has put us to rest, who is about to take over and has not joined yet.
func (m *kip848Member) atRest(ctx context.Context) bool {
	group, err := m.wire.DescribeConsumerGroup(ctx, m.cfg.Group)
	member, _ := m.identity.get()
	return err == nil && m.cfg.InstanceID != "" && slices.ContainsFunc(group.Members, func(peer kafkawire.ConsumerGroupMember) bool {
		return peer.InstanceID == m.cfg.InstanceID && (peer.ID != member.ID || peer.Epoch == kafkawire.EpochResting)
	})
}

// takeOver has our former life, which died without a word, let go of our instance id. Were it somebody else who is alive,
// they would be told by FencedInstanceID. It returns why if there is nobody.
func (m *kip848Member) takeOver(ctx context.Context, why error) error {
	group, err := m.wire.DescribeConsumerGroup(ctx, m.cfg.Group)
	if err != nil {
		return err
	}
	former, _ := m.identity.get()
	for _, peer := range group.Members {
		if former.InstanceID == "" || peer.InstanceID != former.InstanceID {
			continue
		}
		former.ID, former.Generation = peer.ID, kafkawire.EpochResting
		if _, err := m.wire.ConsumerHeartbeat(ctx, kafkawire.ConsumerHeartbeat{GroupMember: former}); err != nil {
			return fmt.Errorf("taking over from member %s: %w", peer.ID, err)
		}
		m.log.Info().Str("member", peer.ID).Msg("took over from a former life of this instance")
		return nil
	}
	return why
}
