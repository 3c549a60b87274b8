package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// commitLoop commits what has moved, until ctx ends: at once if nothing was committed for CommitInterval, else when
// that is over.
func (c *Consumer) commitLoop(ctx context.Context) {
	tick := time.NewTicker(c.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.moved:
		case <-tick.C: // what lies above the offset may have changed
		}
		some, more := c.commit(ctx, c.held())
		for more && ctx.Err() == nil {
			_, more = c.commit(ctx, c.held()) // what is held may have changed: Release comes in between
		}
		if !some {
			continue
		}
		tick.Reset(c.cfg.CommitInterval)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// commit stores the offsets of the given partitions, one call a lease, and says whether any have moved, and whether
// there is more that can be committed at once.
func (c *Consumer) commit(ctx context.Context, parts []*partition) (some, more bool) {
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	return c.commitLocked(ctx, parts)
}

// commitAndRevoke commits partitions for the last time. It is one step: between the two, a commit that waits for the
// mutex would take the partitions along once more, and be on its way when their next owner has already moved on. What
// takes more than one commit is given up after deadline; its requests are answered again. Only what has moved is
// committed: the topic may have been deleted and made again since, and offsets are committed by its name.
func (c *Consumer) commitAndRevoke(ctx context.Context, parts []*partition, deadline time.Time) {
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	_, more := c.commitLocked(ctx, parts)
	for more && time.Now().Before(deadline) {
		_, more = c.commitLocked(ctx, parts)
	}
	for _, p := range parts {
		p.revoke()
	}
	c.delivery.Revoked()
}

// commitLocked requires commitMu.
func (c *Consumer) commitLocked(ctx context.Context, parts []*partition) (some, more bool) {
	asked := map[group.Lease]Offsets{}
	committing := map[int32]*partition{}
	for _, p := range parts {
		// Given back between held() and here: Release has committed it already, and its next owner may have moved on.
		if p.revoked.Load() {
			continue
		}
		if wait.Over(p.lease.Lost()) {
			continue // the group would refuse it
		}
		offset, ok := p.toCommit(c.noteLimit)
		if !ok {
			continue
		}
		if asked[p.lease] == nil {
			asked[p.lease] = Offsets{}
		}
		asked[p.lease][p.id] = offset
		committing[p.id] = p
	}
	for lease, o := range asked {
		for id, offset := range c.commitUnder(ctx, lease, o) {
			committing[id].noteCommitted(offset)
			more = more || offset.Offset < o[id].Offset
		}
	}
	return len(asked) > 0, more
}

// commitUnder makes one commit and returns what is committed. It requires commitMu.
func (c *Consumer) commitUnder(ctx context.Context, lease group.Lease, o Offsets) Offsets {
	began := time.Now()
	committed, err := c.delivery.Commit(ctx, lease, o)
	c.obs.Committed(time.Since(began), err)
	if err == nil || len(committed) > 0 {
		c.lastCommit.Store(&began)
	}
	if errors.Is(err, kafka.OffsetMetadataTooLarge) && c.noteLimit > 0 {
		refused := c.noteLimit
		c.noteLimit = 0
		if refused > minNote {
			c.noteLimit = minNote // the topic's id may still fit
		}
		c.log.Warn().Str("event", "commit_metadata_refused").Err(err).Str("group", c.cfg.Group).Int("needed", refused).
			Msg("the brokers' offset.metadata.max.bytes is too small to name answered requests behind one that waits; " +
				"a crash repeats them until it is raised and this service restarted")
	}
	switch {
	case errors.Is(err, kafkawire.ErrSharedID):
		c.fail(err) // which tells people
	case err != nil:
		// Not fatal: the offsets go out again with the next commit, and if the group has forgotten this member it says
		// so to the membership as well.
		if c.refused++; wait.Report(c.refused) {
			c.log.Warn().Str("event", "commit_failing").Err(err).Str("group", c.cfg.Group).Int("tries", c.refused).
				Int("committed", len(committed)).Msg("committing offsets failed; trying again")
		}
	case c.refused > 0:
		c.log.Info().Str("group", c.cfg.Group).Int("tries", c.refused+1).Msg("committing offsets works again")
		c.refused = 0
	}
	return committed
}
