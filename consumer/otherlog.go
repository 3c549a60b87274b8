package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// What was read may not be what the log holds now: its topic was deleted and made again (another id), or it has lost
// its tail (the leader epoch before the offset does not agree). Either way the partition is put to work afresh, as if
// it had been given back and granted again. What is in flight of the former log is dropped as after any revocation:
// outcomes that the producer has already may still be written (at-least-once), none is committed. So it never has to
// wait for the CMS or an operator.

// fence ends the partitions' work: nothing of theirs is committed from here on. They stay in Consumer.partitions until
// replace.
func (c *Consumer) fence(parts []*partition) {
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	c.fenceLocked(parts)
}

// fenceLocked requires commitMu.
func (c *Consumer) fenceLocked(parts []*partition) {
	for _, p := range parts {
		p.revoke()
		p.stop()
	}
	c.delivery.Revoked()
	c.fetcher.poke()
	c.progress.Set() // a drain has nothing to wait for any more
}

// replace puts a fenced partition to work again, unless it is being given back.
func (c *Consumer) replace(old *partition, from position) {
	c.mu.Lock()
	gone := c.partitions[old.id] != old || old.leaving()
	if !gone {
		c.begin(old.id, old.lease, from)
	}
	c.mu.Unlock()
	if !gone {
		old.forfeit()
	}
}

func (p *partition) leaving() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draining
}

// follow has the partitions go on in the log that the topic has now, if they were started on another one: where the
// group has committed for it, else at its beginning. If that cannot be told yet they stand still; call it again.
func (c *Consumer) follow(ctx context.Context) error {
	c.following.Lock()
	defer c.following.Unlock()
	log, err := c.identify(ctx)
	if err != nil {
		return err
	}
	old := map[int32]*partition{}
	for _, p := range c.held() {
		if p.log.replaced(log) {
			old[p.id] = p
		}
	}
	if len(old) == 0 {
		return nil
	}
	c.mu.Lock()
	for _, p := range old {
		c.former[p.log.topic] = true
	}
	c.mu.Unlock()
	c.fence(slices.Collect(maps.Values(old)))
	ids := slices.Sorted(maps.Keys(old))
	committed, err := c.wire.CommittedOffsets(ctx, c.cfg.Group, c.cfg.Topic, ids)
	var fresh []int32
	from := map[int32]position{}
	for id, o := range committed {
		if n := c.readNote(id, o); n.log != log {
			fresh = append(fresh, id)
		} else {
			from[id] = startAt(log, o, n)
		}
	}
	first, unresolved := c.beginnings(ctx, log, fresh)
	maps.Copy(from, first)
	c.logRecreated(old[ids[0]].log, log, slices.Sorted(maps.Keys(from)))
	for id, at := range from {
		p := old[id]
		p.mu.Lock()
		reached := p.tracker.next
		p.mu.Unlock()
		c.obs.OffsetJumped(id, reached, at.start)
		c.replace(p, at)
	}
	c.fetcher.poke()
	return errors.Join(err, unresolved) // of those that have no answer yet
}

// beginnings are positions at the beginnings of partitions, whatever was committed: it is about another log.
func (c *Consumer) beginnings(ctx context.Context, log logID, ids []int32) (map[int32]position, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return c.resolve(ctx, log, ids, kafkawire.Earliest)
}

func (c *Consumer) logRecreated(former, now logID, ids []int32) {
	if len(ids) == 0 {
		return
	}
	c.log.Error().Str("event", "topic_recreated").Str("topic", c.cfg.Topic).Ints32("partitions", ids).
		Stringer("former_id", former.topic).Stringer("id", now.topic).
		Msg("the topic was deleted and made again: what was read and committed is about the former one; " +
			"beginning at the beginning of the new one. Requests of the former one that had no answer yet get none")
}

// diverged goes on where the log parts from what was read: its tail was lost, and others may have written since. What
// was answered above is forgotten, as it is about records that are not there any more, and the committed offset moves
// back.
func (c *Consumer) diverged(p *partition, asked int64, end kafkawire.EpochEnd) error {
	p.mu.Lock()
	if p.draining || p.fetchNext != asked {
		p.mu.Unlock()
		return nil
	}
	to := p.epochs.divergence(asked, end)
	if to >= asked { // it says the same of the record in other words
		p.epochs = epochs{{From: asked, Epoch: end.Epoch}}
	}
	p.mu.Unlock()
	if to < asked {
		return c.moveBack(p, asked, to, "the log has lost its end (an unclean leader election, or a power cut before "+
			"records were on disk): the records from continuing_at up to offset that were read before are gone; "+
			"what is written there now is read")
	}
	return nil
}

// errInDoubt holds up a partition whose log has lost its end until the next commit.
var errInDoubt = fmt.Errorf("the log has lost its end; what is answered below that is known with the next commit: %w",
	kafka.UnstableOffsetCommit)

// moveBack goes on at an offset below the one that was asked for, and below what is unfinished under it. It returns
// errInDoubt while it is not known where that begins: what a transaction in doubt has answered after all would be
// answered again. The next fetch finds the same. The partition has something to commit then, so the doubt ends as soon
// as anything can be committed.
func (c *Consumer) moveBack(p *partition, asked, to int64, why string) error {
	c.following.Lock()
	defer c.following.Unlock()
	if p.revoked.Load() {
		return nil
	}
	c.commitMu.Lock()
	doubt := c.delivery.InDoubt(p.id)
	if !doubt {
		c.fenceLocked([]*partition{p})
	}
	c.commitMu.Unlock()
	if doubt {
		return errInDoubt
	}
	c.log.Error().Str("event", "log_truncated").Str("topic", c.cfg.Topic).Int32("partition", p.id).
		Int64("offset", asked).Int64("continuing_at", to).Msg(why)
	c.obs.OffsetJumped(p.id, asked, to)
	c.replace(p, p.before(to))
	c.fetcher.poke()
	return nil
}

// before is where a fenced partition goes on if the log is as it was read below to, and not from there on: behind what
// is answered below it. What is only pending is done again.
func (p *partition) before(to int64) position {
	p.mu.Lock()
	defer p.mu.Unlock()
	answered := p.answeredSoFar()
	from := position{log: p.log, start: min(answered.Next, to), epoch: p.epochs.at(to)}
	from.ahead = slices.Collect(below(answered.Above, to))
	from.committed = kafkawire.OffsetAndMetadata{Offset: kafkawire.NoOffset, Epoch: p.epochs.at(from.start)}
	return from
}

// forgetEpoch has the next fetch ask by offset alone.
func (p *partition) forgetEpoch(asked int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fetchNext == asked {
		p.epochs = epochs{{From: asked, Epoch: kafkawire.NoEpoch}}
	}
}
