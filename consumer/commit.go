package consumer

import (
	"context"
	"time"
)

// commitLoop commits what has moved, every CommitInterval, until ctx ends. Draining partitions are committed even when
// they have not moved: kafka-go sends no heartbeats while a generation ends, and the commit renews the session.
func (c *Consumer) commitLoop(ctx context.Context) {
	tick := time.NewTicker(c.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.commit(ctx, c.held(), false)
		}
	}
}

// commit stores the offsets of the given partitions, one call an epoch. force commits them even if they have not moved.
func (c *Consumer) commit(ctx context.Context, parts []*partition, force bool) {
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	c.commitLocked(ctx, parts, force)
}

// commitAndRevoke commits partitions for the last time. It is one step: between the two, a commit that waits for the mutex
// would take the partitions along once more, and be on its way when their next owner has already moved on.
func (c *Consumer) commitAndRevoke(ctx context.Context, parts []*partition) {
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	c.commitLocked(ctx, parts, true)
	for _, p := range parts {
		p.revoked.Store(true)
	}
}

// commitLocked requires commitMu.
func (c *Consumer) commitLocked(ctx context.Context, parts []*partition, force bool) {
	overdue := time.Since(time.Unix(0, c.lastCommit.Load())) > c.cfg.SessionTimeout/3
	offsets := map[Epoch]map[int32]int64{}
	committing := map[int32]*partition{}
	for _, p := range parts {
		// Given back between held() and here: Release has committed it already, and its next owner may have moved on.
		if p.revoked.Load() {
			continue
		}
		offset, ok := p.toCommit(force || overdue && p.isDraining())
		if !ok {
			continue
		}
		if offsets[p.epoch] == nil {
			offsets[p.epoch] = map[int32]int64{}
		}
		offsets[p.epoch][p.id] = offset
		committing[p.id] = p
	}
	for epoch, o := range offsets {
		began := time.Now()
		err := c.delivery.Commit(ctx, epoch, o)
		c.obs.Committed(time.Since(began), err)
		if err != nil {
			// Not fatal: the offsets go out again with the next commit, and if the group has forgotten us it says so to the
			// membership as well. Logged at every doubling.
			if c.refused++; c.refused&(c.refused-1) == 0 {
				c.log.Warn().Err(err).Str("group", c.cfg.Group).Int("tries", c.refused).Msg("committing offsets failed; trying again")
			}
			continue
		}
		c.refused = 0
		c.lastCommit.Store(began.UnixNano())
		for id, offset := range o {
			committing[id].noteCommitted(offset)
		}
	}
}

func (p *partition) isDraining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draining
}
