package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// Config says which group to join, and as which member.
type Config struct {
	Group string
	Topic string
	// InstanceID makes the member static (KIP-345): one that comes back under the same id within the session timeout finds
	// its partitions as they were, and no other member stops for it. "": dynamic. No two members may have the same.
	InstanceID string
	// LeaveOnStop has a static member leave when it stops, for an instance that is not to come back: its partitions are
	// free at once. Without it, they wait for it until the session is over. A dynamic member always leaves.
	LeaveOnStop bool
	// RebalanceTimeout is how long the group waits for a member that drains what it is to give back.
	RebalanceTimeout time.Duration
}

// stays says whether the partitions wait for the member's next start when it stops.
func (c Config) stays() bool { return c.InstanceID != "" && !c.LeaveOnStop }

// member is what both kinds of member have in common.
type member struct {
	cfg  Config
	wire *kafkawire.Client
	log  zerolog.Logger
}

func newMember(cfg Config, wire *kafkawire.Client, log zerolog.Logger) member {
	return member{cfg: cfg, wire: wire, log: log.With().Str("group", cfg.Group).Logger()}
}

const (
	leaveTimeout = 5 * time.Second        // a member that does not get through is gone by the end of the session anyway
	firstBackoff = 100 * time.Millisecond // after a request that was refused; doubles
	lastBackoff  = 2 * time.Second        // so that a broker that comes back is noticed soon
	quickFor     = 15 * time.Second       // how long heartbeats are frequent after a change: few drains are longer
	usualOutage  = 5 * time.Second        // how long failures are normal: a new group, a broker's start
)

// run has participate stay in the group until ctx ends. Stopping comes in this order: the partitions are given back
// while the member is still in the group, heartbeats, commits and all; then whatever is on its way is cut short.
// participate must return when its context ends.
func (m *member) run(ctx context.Context, h *holdings, participate func(context.Context) error) error {
	participating, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	stop := context.AfterFunc(ctx, func() {
		h.stop()
		leave()
	})
	defer stop()
	err := participate(participating)
	h.stop()
	return err
}

// leave repeats a request that leaves the group until it has got through, for a while.
func (m *member) leave(ctx context.Context, send func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	for {
		err := send(ctx)
		if err == nil {
			return
		}
		m.wire.Reset()
		if !kafkawire.Transient(err) || !wait.Sleep(ctx, firstBackoff) {
			m.log.Warn().Str("event", "group_leave_failed").Err(err).
				Msg("leaving the consumer group failed; its partitions are free when the session is over")
			return
		}
	}
}

// targetsNone says of a group in which the coordinator assigns whether the member with that id is to have no partition.
func (m *member) targetsNone(ctx context.Context, id string) (bool, error) {
	group, err := m.wire.DescribeConsumerGroup(ctx, m.cfg.Group)
	if err != nil || !group.Assigned {
		return false, err
	}
	return slices.ContainsFunc(group.Members, func(peer kafkawire.ConsumerGroupMember) bool {
		return peer.ID == id && peer.Target == 0
	}), nil
}

// fenced says what FencedInstanceID means to people.
func (m *member) fenced(err error) error {
	return fmt.Errorf("consumer group %s: another instance uses the same instance id %q and has fenced "+
		"this one; give each instance an id of its own: %w", m.cfg.Group, m.cfg.InstanceID, err)
}

// logLost tells that the group has taken everything away.
func (m *member) logLost(why error) {
	m.log.Warn().Str("event", "partitions_lost").Err(why).
		Msg("the consumer group has gone on without this instance; what it held is dropped uncommitted and read again")
}

// retry paces requests that keep failing. The zero value is that of a request that was answered.
type retry struct {
	since time.Time // of the first failure
	wait  time.Duration
}

// backoff returns how long to wait before the next try.
func (r *retry) backoff() time.Duration {
	r.wait = min(max(2*r.wait, firstBackoff), lastBackoff)
	return r.wait
}

// report logs err, with what people can do about it: at debug level for as long as such a failure is normal.
func (r *retry) report(log *zerolog.Logger, err error, fix string) {
	if r.since.IsZero() {
		r.since = time.Now()
	}
	event := log.Debug()
	if !kafkawire.Transient(err) && !joinsAgain(err) || time.Since(r.since) > usualOutage {
		event = log.Warn().Str("event", "group_failing")
	}
	if fix = cmp.Or(fix, kafkawire.Fix(err)); fix != "" {
		event.Str("fix", fix)
	}
	event.Err(err).Msg("the consumer group does not answer as it should; trying again")
}

// joinsAgain says whether err sends a member back to where it begins. That is normal for one that holds nothing yet: a
// coordinator that has just loaded the group knows no member that another one let in before.
func joinsAgain(err error) bool {
	return errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.IllegalGeneration) ||
		errors.Is(err, kafkawire.ErrFencedMemberEpoch)
}

// identity is which member this is in the group. Generations change while partitions stay, so every commit asks for it.
type identity struct {
	mu      sync.Mutex
	member  kafkawire.GroupMember
	changed chan struct{} // closed with the next change
}

func newIdentity(member kafkawire.GroupMember) *identity {
	return &identity{member: member, changed: make(chan struct{})}
}

func (i *identity) get() (kafkawire.GroupMember, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.member, i.changed
}

func (i *identity) set(id string, generation int32) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.member.ID, i.member.Generation = id, generation
	close(i.changed)
	i.changed = make(chan struct{})
}
