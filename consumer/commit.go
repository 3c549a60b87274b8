package consumer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// commitLoop commits what has moved, until ctx ends: at once if nothing was committed for CommitInterval, else when
// that is over. While nothing happens in any partition it sleeps.
func (c *Consumer) commitLoop(ctx context.Context) {
	tick := time.NewTicker(c.cfg.CommitInterval)
	defer tick.Stop()
	for ticking := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-c.moved:
		case <-tick.C: // what lies above the offset may have changed
		case <-c.stirred:
			if !ticking {
				ticking = true
				tick.Reset(c.cfg.CommitInterval)
			}
			continue
		}
		some, more := c.commit(ctx, c.held())
		for more && ctx.Err() == nil {
			_, more = c.commit(ctx, c.held()) // what is held may have changed: Release comes in between
		}
		if !some {
			if ticking && !c.stirring() { // what stirs from here on is told by the signal
				ticking = false
				tick.Stop()
			}
			continue
		}
		ticking = true
		tick.Reset(c.cfg.CommitInterval)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stirring says whether something has happened in a partition that is not committed, or not yet found to change
// nothing.
func (c *Consumer) stirring() bool {
	return slices.ContainsFunc(c.held(), (*partition).stirring)
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
		committed, err := c.commitUnder(ctx, lease, o)
		for id, offset := range committed {
			committing[id].noteCommitted(offset)
			more = more || offset.Offset < o[id].Offset
		}
		if _, refused := errors.AsType[refusedCommitError](err); refused {
			for id := range o {
				if _, ok := committed[id]; !ok {
					committing[id].commitRefused.Store(true)
				}
			}
		}
	}
	return len(asked) > 0, more
}

// commitUnder makes one commit and returns what is committed. It requires commitMu.
func (c *Consumer) commitUnder(ctx context.Context, lease group.Lease, o Offsets) (committed Offsets, err error) {
	began := time.Now()
	committed, err = c.delivery.Commit(ctx, lease, o)
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
			failure := c.log.Warn().Str("event", "commit_failing")
			if fix := kafkawire.Fix(err); fix != "" {
				failure.Str("fix", fix)
			}
			failure.Err(err).Str("group", c.cfg.Group).Int("tries", c.refused).Int("committed", len(committed)).
				Msg("committing offsets failed; trying again")
		}
	case c.refused > 0:
		c.log.Info().Str("group", c.cfg.Group).Int("tries", c.refused+1).Msg("committing offsets works again")
		c.refused = 0
	}
	return committed, err
}

// stir has the next commit look at the partition. It requires mu.
func (p *partition) stir() {
	if !p.changed {
		p.changed = true
		p.consumer.stirred.Set()
	}
}

// stirring says whether the next commit looks at it.
func (p *partition) stirring() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed || p.metadataFull.Load()
}

// toCommit returns what to commit, if it has changed. limit is how many characters the metadata may have, 0: none. It
// says which log the offset is about and which requests above it are answered.
//
// It also lets intake go on or wait: whatever finishes until the next commit would be repeated by a crash anyhow, so it
// is soon enough to look at each commit.
func (p *partition) toCommit(limit int) (o kafkawire.OffsetAndMetadata, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.changed && !p.metadataFull.Load() { // that ends with a smaller limit, too
		return o, false
	}
	o, all := p.note(p.tracker.next, p.answeredSoFar().Above, limit)
	// What lies between stretches that are named already must be started, or it could never join them.
	full := limit > minNote && (!all || len(o.Metadata) > limit/4*3) && len(p.tracker.ahead) == 0
	p.metadataFull.Store(full)
	p.changed = o.Offset != p.committed || o.Metadata != p.metadata // until that is committed
	if !p.changed {
		p.commitRefused.Store(false) // nothing is left that could be refused, or be taken
	}
	if !full {
		p.wake()
	}
	due := p.draining || time.Since(p.notedAt) >= time.Duration(len(o.Metadata))*time.Second/noteRate
	return o, o.Offset != p.committed || p.changed && due
}

// answeredSoFar requires mu. That a commit in doubt was made, its requests hear before one succeeds that says so here.
func (p *partition) answeredSoFar() Progress {
	committed := p.committed
	if committed == kafkawire.NoOffset {
		committed = p.began
	}
	committed = max(committed, p.durable)
	return p.consumer.delivery.Answered(Progress{Committed: committed, Next: p.tracker.next, Above: p.tracker.above()})
}

func (p *partition) noteCommitted(o kafkawire.OffsetAndMetadata) {
	p.mu.Lock()
	p.committed, p.metadata, p.notedAt = o.Offset, o.Metadata, time.Now()
	p.mu.Unlock()
	if p.commitRefused.Swap(false) {
		p.wake()
	}
}
