package consumer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// starting is a granted partition of which it is not known yet where it starts. Consumer.mu guards it.
type starting struct {
	lease group.Lease
	since time.Time
	tries int
	err   error // of the last try
}

// position is where a partition starts.
type position struct {
	log       logID
	committed kafkawire.OffsetAndMetadata
	start     int64 // the committed offset, if there is one
	ahead     []Run // what is finished beyond it
	epoch     int32 // none of that was written under a later one
}

// Grant implements group.Owner: it looks up where to start and puts the partitions to work. It returns after the first
// look; partitions whose start is not known by then start later, each on its own.
func (c *Consumer) Grant(ctx context.Context, lease group.Lease, ids []int32) {
	c.mu.Lock()
	c.lease = lease
	c.mu.Unlock()
	if len(ids) == 0 {
		c.setJoined(true)
		c.log.Warn().Str("event", "no_partition").Str("topic", c.cfg.Topic).
			Msg("no partition is assigned to this instance: there are more instances than partitions")
		return
	}
	c.obs.Rebalanced(RebalanceAssigned)
	granted := make(map[int32]*starting, len(ids))
	c.mu.Lock()
	for _, id := range ids {
		granted[id] = &starting{lease: lease, since: time.Now()}
	}
	maps.Copy(c.starting, granted)
	c.mu.Unlock()
	if reset := c.startSome(ctx, granted); len(c.unstarted(granted)) > 0 {
		c.starts.Go(func() { c.startRest(c.work, granted, reset) })
	}
}

const (
	startBackoff     = 100 * time.Millisecond
	startQuickTries  = 10 // after which the pause is longer
	startLongBackoff = time.Second
)

// startRest asks until the start of each partition is known or it is asked back: a guess would lose or repeat records.
func (c *Consumer) startRest(ctx context.Context, granted map[int32]*starting, reset bool) {
	for tries := 1; ; tries++ {
		if reset {
			c.wire.Reset()
		}
		pause := startBackoff
		if tries > startQuickTries {
			pause = startLongBackoff
		}
		if !wait.Sleep(ctx, pause) || len(c.unstarted(granted)) == 0 {
			return
		}
		reset = c.startSome(ctx, granted)
	}
}

// startSome puts those of the granted partitions to work whose start is known now. reset says that the connections, or
// what is known of the leaders, may be to blame for the others.
//
// A partition may be asked back, and even be granted again, while the brokers are asked. Its entry in Consumer.starting
// is another one then, or none, and what was found out is dropped: the new grant asks for itself. A partition that has
// its entry when start takes the mutex is in Consumer.partitions when it gives it back, so Release finds it either here
// or there.
func (c *Consumer) startSome(ctx context.Context, granted map[int32]*starting) (reset bool) {
	from, fresh, failed := c.committedStarts(ctx, c.unstarted(granted))
	c.start(granted, from) // at once: the others may wait for a broker that does not answer
	if len(fresh) > 0 {
		from, unresolved := c.freshStarts(ctx, granted, fresh)
		maps.Copy(failed, unresolved)
		c.start(granted, from)
	}
	if ctx.Err() == nil {
		c.noteUnstarted(granted, failed)
	}
	for _, err := range failed {
		reset = reset || !errors.Is(err, kafka.UnstableOffsetCommit)
	}
	return reset
}

// unstarted returns the partitions of a grant that are still to be started, in ascending order.
func (c *Consumer) unstarted(granted map[int32]*starting) []int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []int32
	for id, s := range granted {
		if c.starting[id] == s {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (c *Consumer) start(granted map[int32]*starting, from map[int32]position) {
	c.mu.Lock()
	maps.DeleteFunc(from, func(id int32, _ position) bool { return c.starting[id] != granted[id] })
	c.room.divide(len(c.partitions) + len(from))
	for id, at := range from {
		delete(c.starting, id)
		c.begin(id, granted[id].lease, at)
		c.joined = true
	}
	c.mu.Unlock()
	if len(from) > 0 {
		c.fetcher.poke()
	}
}

// begin puts a partition to work. It requires mu.
func (c *Consumer) begin(id int32, lease group.Lease, from position) {
	p := newPartition(c, id, lease, from)
	run, stop := context.WithCancel(c.work)
	p.stop = stop
	c.partitions[id], c.sorted = p, nil
	c.stirred.Set() // its start may have to be committed
	go p.dispatch(run)
}

// forget removes partitions that are asked back before their start is known: nothing of them was started here.
func (c *Consumer) forget(ids []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.starting, id)
	}
}

func (c *Consumer) setJoined(joined bool) {
	c.mu.Lock()
	c.joined = joined
	c.mu.Unlock()
}

// hintTries is when to begin to log what passes by itself as a rule, a few seconds after the grant.
const hintTries = 16

// hintFrom is how many tries an error has before it is logged. The transaction of an instance that was killed is open
// until its timeout and up to ten seconds more, by when the brokers look (transaction.abort.timed.out.transaction.
// cleanup.interval.ms): that is how exactly-once goes on after a crash, and nothing to call somebody for.
func hintFrom(err error) int {
	if errors.Is(err, kafka.UnstableOffsetCommit) {
		return 2 * hintTries
	}
	return hintTries
}

// noteUnstarted records why partitions have not started, for the status, and logs it at every doubling of their tries:
// one line a reason.
func (c *Consumer) noteUnstarted(granted map[int32]*starting, failed map[int32]error) {
	due := map[string][]int32{}
	since := map[string]time.Time{}
	c.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(failed)) {
		s, err := granted[id], failed[id]
		if c.starting[id] != s {
			continue
		}
		s.err = err
		s.tries++
		if wait.Report(s.tries) && (s.tries >= hintFrom(err) || !kafkawire.Transient(err)) {
			why := unstartedReason(err)
			due[why] = append(due[why], id)
			since[why] = s.since
		}
	}
	c.mu.Unlock()
	for why, ids := range due {
		c.log.Error().Str("event", "start_unknown").Str("group", c.cfg.Group).Str("topic", c.cfg.Topic).
			Ints32("partitions", ids).Str("reason", why).Time("since", since[why]).Err(failed[ids[0]]).
			Msg("these partitions have not started: it is not known where to start; all others go on, trying again")
	}
}

// unstartedReason says why it is not known where a partition starts, to an operator who has to do something about it.
func unstartedReason(err error) string {
	switch {
	case errors.Is(err, kafka.UnstableOffsetCommit):
		return "an open transaction over its offset: it ends by itself within the transaction timeout of its producer, " +
			"or kafka-transactions.sh abort ends it"
	case errors.Is(err, errNotBegun):
		return err.Error()
	case errors.Is(err, kafka.LeaderNotAvailable):
		return "it has no leader: its replicas are offline"
	}
	return err.Error()
}

func (s *starting) status(id int32) StartStatus {
	status := StartStatus{Partition: id, Since: s.since, Tries: s.tries}
	if s.err != nil {
		status.Reason = unstartedReason(s.err)
	}
	return status
}

// committedStarts returns where the partitions start whose committed offset is known, those that have none, and why it
// is not known of the others. What was committed before the topic was made again says nothing about this one.
func (c *Consumer) committedStarts(ctx context.Context,
	ids []int32) (from map[int32]position, fresh []int32, failed map[int32]error) {
	log, err := c.identify(ctx)
	if err != nil {
		return nil, nil, kafkawire.Failures[position](ids, nil, err)
	}
	committed, err := c.wire.CommittedOffsets(ctx, c.cfg.Group, c.cfg.Topic, ids)
	failed = kafkawire.Failures(ids, committed, err)
	from = make(map[int32]position, len(committed))
	var recreated []int32
	var former logID
	for id, o := range committed {
		n := c.readNote(id, o)
		switch {
		case o.Offset == kafkawire.NoOffset:
			fresh = append(fresh, id)
		case n.log.replaced(log):
			recreated, former = append(recreated, id), n.log
		default:
			from[id] = startAt(log, o, n)
		}
	}
	if len(recreated) == 0 {
		return from, fresh, failed
	}
	first, err := c.beginnings(ctx, log, recreated)
	maps.Copy(failed, kafkawire.Failures(recreated, first, err))
	c.logRecreated(former, log, slices.Sorted(maps.Keys(first)))
	for id, at := range first {
		c.obs.OffsetJumped(id, committed[id].Offset, at.start)
		from[id] = at
	}
	return from, fresh, failed
}

// resolve returns positions at a time's offsets, as if nothing were committed, of those partitions whose leaders
// answer.
func (c *Consumer) resolve(ctx context.Context, log logID, ids []int32, at int64) (map[int32]position, error) {
	resolved, err := c.wire.ListOffsets(ctx, c.cfg.Topic, ids, at)
	from := make(map[int32]position, len(resolved))
	for id, start := range resolved {
		from[id] = position{log: log, start: start, epoch: kafkawire.NoEpoch,
			committed: kafkawire.OffsetAndMetadata{Offset: kafkawire.NoOffset, Epoch: kafkawire.NoEpoch}}
	}
	return from, err
}
