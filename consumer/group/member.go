package group

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/rs/zerolog"
)

// MemberConfig says which group to join, and as whom.
type MemberConfig struct {
	Group string
	Topic string
	// InstanceID makes the member static (KIP-345): who comes back under the same one within the session timeout finds its
	// partitions as they were, and nobody else stops for it. "": dynamic. No two members may have the same.
	InstanceID string
	// LeaveOnStop has a static member leave when it stops, for an instance that is not to come back: its partitions are
	// free at once. Without it, they wait for it until the session is over. A dynamic member always leaves.
	LeaveOnStop bool
	// RebalanceTimeout is how long the group waits for a member that drains what it is to give back.
	RebalanceTimeout time.Duration
}

// stays says whether the partitions wait for the member's next start when it stops.
func (c MemberConfig) stays() bool { return c.InstanceID != "" && !c.LeaveOnStop }

// place is what the kinds of membership have in common.
type place struct {
	cfg  MemberConfig
	wire *kafkawire.Client
	log  zerolog.Logger
}

func newPlace(cfg MemberConfig, wire *kafkawire.Client, log zerolog.Logger) place {
	return place{cfg: cfg, wire: wire, log: log.With().Str("group", cfg.Group).Logger()}
}

const (
	leaveTimeout = 5 * time.Second        // who does not get through is gone by the end of the session anyway
	firstPause   = 100 * time.Millisecond // after a request that was refused; doubles
	lastPause    = 2 * time.Second        // so that a broker that comes back is noticed soon
	quickFor     = 15 * time.Second       // how long heartbeats are frequent after a change: few drains are longer
	passing      = 5 * time.Second        // how long trouble is normal: a new group, a coordinator that moves, a broker that starts
)

// hold has keep hold the place until ctx ends. Stopping comes in this order: the partitions are given back while the place
// is kept, heartbeats, commits and all; then whatever is on its way is cut short. keep must return when its context ends.
func (p *place) hold(ctx context.Context, h *holdings, keep func(context.Context) error) error {
	kept, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	stop := context.AfterFunc(ctx, func() {
		h.stop()
		giveUp()
	})
	defer stop()
	err := keep(kept)
	h.stop()
	return err
}

// leave repeats a request by which the group is left until it has got through, for a while.
func (p *place) leave(ctx context.Context, send func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	for {
		err := send(ctx)
		if err == nil {
			return
		}
		p.wire.Reset()
		if !kafkawire.Transient(err) || !wait.Sleep(ctx, firstPause) {
			p.log.Warn().Err(err).Msg("leaving the consumer group failed; its partitions are free when the session is over")
			return
		}
	}
}

// surplus says of a group in which the coordinator deals whether a member is to have nothing.
func (p *place) surplus(ctx context.Context, id string) (bool, error) {
	group, err := p.wire.DescribeConsumerGroup(ctx, p.cfg.Group)
	return err == nil && group.Dealt && slices.ContainsFunc(group.Members, func(m kafkawire.ConsumerGroupMember) bool {
		return m.ID == id && m.Due == 0
	}), err
}

// replaced says what FencedInstanceID means to people.
func (p *place) replaced(err error) error {
	return fmt.Errorf("consumer group %s: another instance uses the same kafka.instance-id %q and has taken over; "+
		"give each instance an id of its own: %w", p.cfg.Group, p.cfg.InstanceID, err)
}

// dropped logs that the group has taken everything away.
func (p *place) dropped(why error) {
	p.log.Warn().Err(why).
		Msg("the consumer group has gone on without this instance; what it held is dropped uncommitted and read again")
}

// trouble is that the place cannot be had or kept for now.
type trouble struct {
	since time.Time // zero: there is none
	wait  time.Duration
}

// over is called when a request has been answered as it should.
func (t *trouble) over() { *t = trouble{} }

// next returns how long to wait before the next try.
func (t *trouble) next() time.Duration {
	t.wait = min(max(2*t.wait, firstPause), lastPause)
	return t.wait
}

// complain logs err, with what people can do about it: at debug level for as long as that is normal life.
func (t *trouble) complain(log *zerolog.Logger, err error, fix string) {
	if t.since.IsZero() {
		t.since = time.Now()
	}
	event := log.Debug()
	if !kafkawire.Transient(err) || time.Since(t.since) > passing {
		event = log.Warn()
	}
	if fix != "" {
		event.Str("fix", fix)
	}
	event.Err(err).Msg("the consumer group does not answer as it should; trying again")
}

// identity is who we are in the group. Generations change while partitions are kept, so whoever commits asks for it each
// time.
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
