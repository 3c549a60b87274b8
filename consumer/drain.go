package consumer

import (
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// quietDrain is how long a drain waits without any progress while the gate names a cause, or for handlers that have
// stepped aside: what is on the wire ends by then, and what waits for the CMS, or for an operator, would wait for
// longer than any of that.
const quietDrain = time.Second

// Release implements group.Owner: it stops intake, lets everything that a handler has taken finish within the budget,
// and commits. What waits in its lane is the next owner's: oldest first, it lies behind what was taken, and where it
// does not, the commit names what is finished behind it. So giving back takes a call and not as many as wait for one.
func (c *Consumer) Release(ids []int32) {
	parts := c.drainStart(ids)
	began := time.Now()
	deadline := time.NewTimer(c.cfg.DrainTimeout)
	defer deadline.Stop()
	lost := lossOf(parts)
	for drained(parts) > 0 {
		quiet := time.NewTimer(quietDrain)
		over := false
		select {
		case <-lost: // the new owner answers them by now
			over = true
		case <-c.progress:
		case <-deadline.C:
			over = true
		case <-quiet.C:
			cause, _ := c.gate.Waiting()
			over = cause != "" || busy(parts) <= 0
		}
		quiet.Stop()
		if over {
			break
		}
	}
	c.commitAndRevoke(c.work, parts, began.Add(c.cfg.DrainTimeout))
	unfinished, left := 0, 0
	for _, p := range parts {
		u, l := p.forfeit()
		unfinished, left = unfinished+u, left+l
	}
	c.mu.Lock()
	for _, p := range parts {
		if c.partitions[p.id] == p {
			delete(c.partitions, p.id)
		}
	}
	c.sorted = nil
	c.joined = len(c.partitions) > 0
	c.room.divide(len(c.partitions))
	c.mu.Unlock()
	c.wakePartitions() // for what was given back, and since each has a larger share
	took := time.Since(began)
	c.obs.Drained(took)
	if wait.Over(lost) {
		c.obs.Rebalanced(RebalanceLost)
	} else {
		c.obs.Rebalanced(RebalanceRevoked)
	}
	c.log.Info().Ints32("partitions", ids).Int64("took_ms", took.Milliseconds()).
		Int("unfinished", unfinished).Int("left", left).Msg("gave partitions back")
}

// drainStart stops fetching and dispatching the partitions and returns those that are held.
func (c *Consumer) drainStart(ids []int32) []*partition {
	var parts []*partition
	c.forget(ids)
	c.mu.Lock() // until all are marked: replace must not put a partition to work that is being given back
	for _, id := range ids {
		p := c.partitions[id]
		if p == nil {
			continue
		}
		parts = append(parts, p)
		p.mu.Lock()
		p.draining = true
		p.mu.Unlock()
		p.stop()
	}
	c.mu.Unlock()
	c.fetcher.poke()
	for _, p := range parts {
		<-p.stopped
		p.released.Store(true)
	}
	c.lanes.leave()
	return parts
}

// lossOf returns a channel that is closed when partitions that are released together are lost. They came by one
// membership, and what is lost is lost together.
func lossOf(parts []*partition) <-chan struct{} {
	if len(parts) == 0 {
		return nil
	}
	return parts[0].lease.Lost()
}

// drained returns how many started records are unfinished.
func drained(parts []*partition) int {
	n := 0
	for _, p := range parts {
		n += p.unfinished()
	}
	return n
}

// busy returns how many of them somebody works on.
func busy(parts []*partition) int {
	n := 0
	for _, p := range parts {
		n += p.busy()
	}
	return n
}
