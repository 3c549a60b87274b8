package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"balanceq/kafkawire"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"
)

// GroupConfig says which group to join and how patient it is.
type GroupConfig struct {
	Group            string
	Topic            string
	SessionTimeout   time.Duration // a member that is not heard of for this long is dead; brokers refuse less than 6 s
	RebalanceTimeout time.Duration // how long the group waits for members that drain
}

// Group is membership by kafka-go's ConsumerGroup: the classic protocol, eager, so every change stops all members once.
// Its generations make the seam: kafka-go rejoins only after the functions started on a generation have returned, and
// commits are still accepted until then.
//
// It must not share a group with members of other client libraries: kafka-go's subscription format is not read by them.
type Group struct {
	cfg  GroupConfig
	wire *kafkawire.Client // for commits
	log  zerolog.Logger
}

var _ Membership = (*Group)(nil)

// NewGroup does not connect yet.
func NewGroup(cfg GroupConfig, wire *kafkawire.Client, log zerolog.Logger) *Group {
	return &Group{cfg: cfg, wire: wire, log: log}
}

const (
	heartbeatsPerSession = 5
	joinBackoff          = 500 * time.Millisecond // kafka-go's default of 5 s would be felt on every coordinator move
	coordinatorTimeout   = 10 * time.Second       // one connection carries heartbeats and commits; less than this cuts slow commits
	partitionWatch       = 5 * time.Second        // how soon added partitions are noticed
)

// Join implements Membership.
func (g *Group) Join(ctx context.Context, owner Owner) error {
	// kafka-go reports normal life as errors; what matters comes back from Next or ends a generation, and is logged there.
	heard := kafka.LoggerFunc(func(format string, args ...any) { g.log.Debug().Msgf("kafka-go: "+format, args...) })
	cg, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: g.cfg.Group, Brokers: g.wire.Settings().Brokers, Topics: []string{g.cfg.Topic}, Dialer: g.wire.Settings().Dialer(),
		GroupBalancers:    []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}, kafka.RangeGroupBalancer{}},
		HeartbeatInterval: g.cfg.SessionTimeout / heartbeatsPerSession, SessionTimeout: g.cfg.SessionTimeout,
		RebalanceTimeout: g.cfg.RebalanceTimeout, JoinGroupBackoff: joinBackoff, Timeout: coordinatorTimeout,
		WatchPartitionChanges: true, PartitionWatchInterval: partitionWatch,
		Logger: heard, ErrorLogger: heard,
	})
	if err != nil {
		return fmt.Errorf("joining consumer group %s: %w", g.cfg.Group, err)
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- cg.Close() })
	defer stop()
	var trouble time.Time // since when joining fails; zero: it works
	// Closed when the function of the latest generation has returned. kafka-go waits for that itself, except when the
	// generation ended before its function was started (a slow log is enough): then the next one could be granted the same
	// partitions before they were given back.
	over := make(chan struct{})
	close(over)
	for {
		// Somebody must sit in Next all the time, or the member stays out of the group. Close ends it.
		generation, err := cg.Next(context.WithoutCancel(ctx))
		if errors.Is(err, kafka.ErrGroupClosed) {
			err = <-closed
			<-over
			return g.left(err)
		}
		if err != nil {
			g.refused(err, &trouble)
			continue
		}
		trouble = time.Time{}
		partitions := g.assigned(generation)
		g.log.Info().Str("group", g.cfg.Group).Int32("generation", generation.ID).Ints32("partitions", partitions).Msg("joined the consumer group")
		before, now := over, make(chan struct{})
		over = now
		generation.Start(func(held context.Context) {
			defer close(now)
			<-before
			owner.Grant(held, &generationEpoch{
				wire: g.wire, topic: g.cfg.Topic,
				member: kafkawire.Member{Group: g.cfg.Group, ID: generation.MemberID, Generation: generation.ID},
			}, partitions)
			<-held.Done()
			owner.Release(partitions)
		})
	}
}

// normalTrouble is how long joining may fail without anything being wrong: the first use of a group, a coordinator that
// moves, a broker that starts.
const normalTrouble = 5 * time.Second

func (g *Group) refused(err error, since *time.Time) {
	if since.IsZero() {
		*since = time.Now()
	}
	event := g.log.Debug()
	if !kafkawire.Transient(err) || time.Since(*since) > normalTrouble {
		event = g.log.Warn()
	}
	event.Err(err).Str("group", g.cfg.Group).Msg("joining the consumer group failed; trying again")
}

func (g *Group) left(err error) error {
	if err != nil && !errors.Is(err, kafka.ErrGroupClosed) {
		return fmt.Errorf("leaving consumer group %s: %w", g.cfg.Group, err)
	}
	return nil
}

func (g *Group) assigned(generation *kafka.Generation) []int32 {
	partitions := make([]int32, 0, len(generation.Assignments[g.cfg.Topic]))
	for _, a := range generation.Assignments[g.cfg.Topic] {
		partitions = append(partitions, int32(a.ID)) // never a.Offset: it comes from an OffsetFetch that hides open transactions
	}
	return partitions
}

// generationEpoch commits under one generation of the group.
type generationEpoch struct {
	wire   *kafkawire.Client
	member kafkawire.Member
	topic  string
}

// commitTimeout is how long one try may take; the next tick tries again.
const commitTimeout = 5 * time.Second

// Commit implements Epoch. It does not go through the generation: kafka-go keeps to the connection that the generation
// began with, so that nothing could be committed any more once a broker has restarted, and everything answered since would
// be answered again.
func (e *generationEpoch) Commit(ctx context.Context, offsets map[int32]int64) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := e.wire.CommitOffsets(ctx, e.member, e.topic, offsets)
	if err != nil {
		e.wire.Reset()
	}
	return err
}
