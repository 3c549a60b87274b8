package producer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

const (
	abortTimeout     = time.Second     // of aborting at once; otherwise the next initProducer does it
	rebalanceTimeout = 3 * time.Second // with a group between generations; the next owner of the partitions waits as long
)

// commit is Transactions.Commit. This file is the algorithm, from top to bottom:
//
//	initProducer    InitProducerId   a new epoch, then endAgain and resolveInDoubt; only after a transaction without a
//	                                 definite end, or one that the brokers may have left open
//	gather                           which outcomes and offsets one transaction holds
//	begin           AddPartitionsToTxn, AddOffsetsToTxn; ListOffsets, whether the one before has ended everywhere
//	send            Produce          until the brokers have every batch
//	addOffsets      TxnOffsetCommit
//	end             EndTxn           or abort
//	resolveInDoubt  OffsetFetch      were outcomes committed whose EndTxn was not answered?
//
// It is the protocol of KIP-98 with the group's fencing of KIP-447, in the versions before KIP-890: a request whose
// answer was lost may arrive late and count for the next transaction of the same epoch. So after every loss there is a
// new epoch.
//
// What is refused for good is held and tried again by itself (hold.go). How a transaction begins is in commit_begin.go,
// how a batch is sent and in which form in commit_send.go and commit_form.go, what it means to be fenced in fencing.go.
func (c *committer) commit(
	ctx context.Context, member func() kafkawire.Member, asked Offsets,
) (committed Offsets, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fencings.shared != nil {
		return nil, c.fencings.shared
	}
	if !wait.Sleep(ctx, c.pause) {
		return nil, ctx.Err()
	}
	committed, err = c.transactions(ctx, member, asked)
	for errors.Is(err, errMoved) || errors.Is(err, errLeftOpen) {
		var more Offsets
		more, err = c.transactions(ctx, member, asked)
		maps.Copy(committed, more)
	}
	for partition, offset := range asked {
		if c.isStored(partition, offset) {
			committed[partition] = offset
		}
	}
	c.pause = min(max(2*c.pause, minBackoff), maxBackoff)
	if c.ready { // nothing was aborted
		c.pause = 0
	}
	c.failing.note(err)
	return committed, err
}

func (c *committer) isStored(partition int32, offset kafkawire.OffsetAndMetadata) bool {
	stored, known := c.stored[partition]
	return known && stored == offset
}

// transactions makes one of what is not held, and then tries something that is: alone, as what is aborted stays in the
// logs.
func (c *committer) transactions(ctx context.Context, member func() kafkawire.Member, asked Offsets) (Offsets, error) {
	committed := Offsets{}
	began := time.Now()
	first, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if !c.ready {
		if err := c.initProducer(first); err != nil { // before holds are looked at: a record may be another owner's meanwhile
			return committed, c.explainFencing(err, began)
		}
	}
	p := c.gather(asked)
	if err := c.transact(first, member, p); err != nil {
		held := c.hold(err)
		if held == nil && (first.Err() != nil || time.Since(began) >= c.cfg.Timeout) {
			c.pace.late(p.size)
		}
		return committed, cmp.Or(held, c.explainFencing(err, began))
	}
	maps.Copy(committed, p.offsets)
	h, again := c.dueHold(first, asked)
	if !c.ready || h == nil {
		return committed, p.held
	}
	began = time.Now()
	second, cancel := context.WithTimeout(ctx, h.timeout(c.cfg.Timeout))
	defer cancel()
	if err := c.transact(second, member, again); err != nil {
		held := c.hold(err)
		if held == nil {
			h.postpone()
			if second.Err() != nil && !kafkawire.Fenced(err) {
				held = h.err // the brokers have said nothing about it in its time: it is held for the reason that is known
			}
		}
		return committed, cmp.Or(held, c.explainFencing(err, began))
	}
	maps.Copy(committed, again.offsets)
	return committed, p.held
}

// gather returns as much of what is asked for as one transaction should hold, without what is held.
func (c *committer) gather(asked Offsets) portion {
	p := portion{offsets: Offsets{}}
	var from []*prefix
	var held *hold
	for partition, offset := range asked {
		if c.isStored(partition, offset) {
			continue
		}
		all := c.outbox.below(partition, offset.Offset)
		free, why := c.holds.free(partition, all)
		if why != nil && (held == nil || why.since.Before(held.since)) {
			held = why
			p.held = why.err
		}
		switch {
		case len(free) > 0:
			from = append(from, &prefix{partition: partition, outcomes: free, asked: len(all)})
		case why == nil:
			p.offsets[partition] = offset
		}
	}
	p.take(from, c.pace.limit)
	for _, f := range from {
		switch {
		case f.taken == f.asked:
			p.offsets[f.partition] = asked[f.partition]
		case f.taken > 0:
			p.offsets[f.partition] = f.outcomes[f.taken-1].req.CommitOffset()
		}
	}
	return p
}

// transact makes one transaction. c must be ready.
func (c *committer) transact(ctx context.Context, member func() kafkawire.Member, p portion) error {
	if len(p.offsets) == 0 {
		return nil
	}
	began := time.Now()
	c.ready = false // until all of it has a definite answer
	queues, err := c.begin(ctx, p)
	if err != nil {
		c.epochs.LeaveOpen() // nothing is in it yet, and to abort it might abort the one before
		return err
	}
	if err := c.fill(ctx, member, queues, p); err != nil {
		c.abort(ctx)
		return err
	}
	if err := c.end(ctx); err != nil {
		c.doubt = maps.Clone(p.offsets)
		return err
	}
	c.ready = !c.answerLost
	c.epochs.Committed()
	c.pace.took(p.size, time.Since(began))
	c.holds.cured(p)
	maps.Copy(c.stored, p.offsets)
	c.outbox.removeCommitted(p.offsets)
	return nil
}

// fill puts outcomes and offsets into a transaction that has begun.
func (c *committer) fill(
	ctx context.Context, member func() kafkawire.Member, queues []*queue, p portion,
) error {
	if err := c.send(ctx, queues, p.size); err != nil {
		return err
	}
	return c.addOffsets(ctx, member, p.offsets)
}

// addOffsets puts the group's offsets into the transaction. The group may be between two generations, or have entered
// one that the member has not heard of: that passes for a member that stays, so it is waited for.
func (c *committer) addOffsets(ctx context.Context, member func() kafkawire.Member, offsets Offsets) error {
	began := time.Now()
	again := func(err error) bool {
		rebalancing := errors.Is(err, kafka.RebalanceInProgress) || errors.Is(err, kafka.IllegalGeneration)
		return kafkawire.Passes(err) || rebalancing && time.Since(began) < rebalanceTimeout
	}
	return c.retry().DoIf(ctx, kafkawire.TryTimeout, again, func(ctx context.Context) error {
		return c.wire.CommitTransactionOffsets(ctx, c.txn, member(), c.cfg.Topic, offsets)
	})
}

// end commits the transaction. From here on only the same decision may be repeated: if it gets no definite answer, the
// transaction is in doubt.
func (c *committer) end(ctx context.Context) error {
	return c.retry().Do(ctx, func(ctx context.Context) error { return c.wire.EndTransaction(ctx, c.txn, true) })
}

// abort ends a transaction that failed, so that readers need not wait for its timeout. What comes of it does not
// matter: the next initProducer aborts it as well.
func (c *committer) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	err := c.retry().Do(ctx, func(ctx context.Context) error { return c.wire.EndTransaction(ctx, c.txn, false) })
	if err != nil {
		c.log.Debug().Err(err).Str("transactional-id", c.cfg.ID).Msg("aborting a transaction failed")
	}
}

// initProducer begins a new epoch of the transactional id: the transaction before is over then, one way or the other,
// requests that are still on their way are refused, and sequences start at 0.
func (c *committer) initProducer(ctx context.Context) error {
	var err error
	if c.txn, err = c.epochs.Begin(ctx, c.retry()); err != nil {
		return err
	}
	c.layout.restart(c.txn.Producer, c.cfg.BatchBytes)
	if err := c.endAgain(ctx); err != nil {
		return err
	}
	if err := c.resolveInDoubt(ctx); err != nil {
		return err
	}
	c.ready, c.answerLost, c.doubt = true, false, nil
	c.log.Debug().Str("transactional-id", c.cfg.ID).Int64("producer", c.txn.Producer.ID).
		Int16("epoch", c.txn.Producer.Epoch).Msg("began an epoch of the transactional id")
	return nil
}

// resolveInDoubt removes the outcomes that are in the log after all: those that the group's offsets cover, which were
// part of the same transaction. Only this instance commits offsets of the partitions that it owns, and where another
// one does, it has answered them. What is stored may be about a log that is no more: the topic was made again, or its
// log has lost its end. Such an offset lies beyond outcomes of new records and says nothing about them.
func (c *committer) resolveInDoubt(ctx context.Context) error {
	clear(c.stored)
	owned := c.outbox.owned() // the new owners commit the others
	if len(owned) == 0 {
		return nil
	}
	err := c.retry().Do(ctx, func(ctx context.Context) error {
		committed, err := c.wire.CommittedOffsets(ctx, c.cfg.Group, c.cfg.Topic, owned)
		maps.Copy(c.stored, committed)
		return err
	})
	if err != nil {
		return err
	}
	c.outbox.removeCommitted(c.outbox.covered(c.stored))
	return nil
}
