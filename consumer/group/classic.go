package group

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// ClassicConfig says which group to join, and as which member.
type ClassicConfig struct {
	Config
	SessionTimeout time.Duration // a member that is not heard of for this long is dead; brokers refuse less than 6 s
}

// Classic is membership by the classic group protocol as Kafka's own clients speak it today: cooperative (KIP-429),
// sticky and, if wanted, static (KIP-345). A rebalance stops only the partitions that move, and heartbeats go on while
// they drain.
//
// All members of a group must use it: with others it shares no assignment strategy, and the group lets only the first
// in.
type Classic struct {
	member
	session time.Duration
}

// NewClassic does not connect yet. The client may be the one that commits: its connections carry one request at a time,
// but as many are made as there are requests.
func NewClassic(cfg ClassicConfig, wire *kafkawire.Client, log zerolog.Logger) *Classic {
	return &Classic{session: cfg.SessionTimeout, member: newMember(cfg.Config, wire, log)}
}

const (
	beatsPerSession  = 5
	longestHeartbeat = 3 * time.Second // Kafka's clients beat no slower, however long the session
	busyHeartbeat    = 8               // times as often after a rebalance: the next comes as partitions are given back
	replySlack       = 5 * time.Second // what a join or a sync may take beyond the rebalance timeout
	watchInterval    = 5 * time.Second // how soon added partitions are noticed
	stuckChecks      = 2               // so many of these after which a hand-over is stuck; few drains take longer
	neverJoined      = int32(-1)       // generation of a member that is in no group
)

// Join joins the group and stays in it until ctx ends, then has owner give the partitions back and leaves. It calls
// owner from goroutines of its own, never two calls for the same partition at a time. It returns an error only if
// another instance has fenced this one under the same InstanceID; everything else is tried again until ctx ends.
func (c *Classic) Join(ctx context.Context, owner Owner) error {
	m := &classicMember{Classic: c, synced: neverJoined, leaving: ctx.Done()}
	m.identity = newIdentity(kafkawire.GroupMember{
		Member: kafkawire.Member{Group: c.cfg.Group, Generation: neverJoined}, InstanceID: c.cfg.InstanceID,
	})
	m.holdings = newHoldings(owner, m.newLease())
	err := c.run(ctx, m.holdings, m.participate)
	member, _ := m.identity.get()
	// A static member whose first join was cut short has no id yet, but may be in the group: it leaves by its name.
	if known := member.ID != "" || m.asked && member.InstanceID != ""; err == nil && known && !c.cfg.stays() {
		c.leave(ctx, func(ctx context.Context) error { return c.wire.LeaveGroup(ctx, member, "the instance stops") })
	}
	return err
}

// fixClassic is what people can do about an error; "": wait.
func fixClassic(err error) string {
	switch {
	case errors.Is(err, kafka.InconsistentGroupProtocol):
		return "stop the members of this group that use another assignment strategy, or choose another group"
	case errors.Is(err, kafka.InvalidSessionTimeout):
		return "set a session timeout within the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms"
	}
	return ""
}
