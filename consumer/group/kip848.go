package group

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// KIP848 is membership by the consumer group protocol of Kafka 4 (group.protocol=consumer in Kafka's own clients),
// where the coordinator assigns the partitions: moves are quick, and members need no assignment strategy in common.
//
// A member that dies is missed only after the brokers' group.consumer.session.timeout.ms, 45 s by default. A static one
// that comes back before that fences its previous incarnation at once.
//
// Ask kafkawire.Client.OffersConsumerProtocol first: older brokers cut the connection.
type KIP848 struct{ member }

// NewKIP848 does not connect yet. The client may be the one that commits, as in NewClassic.
func NewKIP848(cfg Config, wire *kafkawire.Client, log zerolog.Logger) *KIP848 {
	return &KIP848{newMember(cfg, wire, log)}
}

const (
	// A member hears of what it is to give back, and of what it gets, in the answer to a heartbeat and in no other way. At
	// the brokers' default of 5 s, a member that joins would wait for that long, twice. They do not mind more: without
	// news a heartbeat costs them no write.
	calmBeat  = time.Second
	quickBeat = 200 * time.Millisecond // just after something has changed: the next change follows

	heartbeatTimeout   = 5 * time.Second
	newerEpochDeadline = 15 * time.Second // of a commit that waits until this member hears of a newer epoch
)

// Join joins the group and stays in it until ctx ends, then has owner give the partitions back and leaves. It calls
// owner from goroutines of its own, never two calls for the same partition at a time. It returns an error only if
// another instance has fenced this one under the same InstanceID; everything else is tried again until ctx ends.
func (k *KIP848) Join(ctx context.Context, owner Owner) error {
	m := &kip848Member{KIP848: k, hurry: wait.NewSignal()}
	m.identity = newIdentity(kafkawire.GroupMember{
		Member:     kafkawire.Member{Group: k.cfg.Group, ID: uuid.NewString(), Generation: kafkawire.EpochJoining},
		InstanceID: k.cfg.InstanceID,
	})
	m.holdings = newHoldings(owner, m.newLease())
	err := k.run(ctx, m.holdings, m.participate)
	if err == nil {
		k.leave(ctx, m.depart)
	}
	return err
}

// fixKIP848 is what people can do about an error; "": wait.
func fixKIP848(err error) string {
	switch {
	case errors.Is(err, kafka.GroupIdNotFound): // a group of another type than the request's, too
		return "the group has members of another protocol: stop them, set the group protocol to theirs, " +
			"or choose another group"
	case errors.Is(err, kafkawire.ErrUnsupportedAssignor), errors.Is(err, kafka.UnsupportedVersion):
		return "the brokers do not take part: set the group protocol to classic"
	case errors.Is(err, kafka.InvalidGroupId):
		return "give the group a valid name; the group protocol does not matter"
	case errors.Is(err, kafka.GroupAuthorizationFailed):
		return "allow READ on the group to this user, with either group protocol"
	case errors.Is(err, kafka.TopicAuthorizationFailed):
		return "allow DESCRIBE and READ on the topic to this user, with either group protocol"
	case errors.Is(err, kafka.GroupMaxSizeReached):
		return "raise the brokers' group.consumer.max.size, run fewer instances, or set the group protocol to classic"
	}
	return ""
}
