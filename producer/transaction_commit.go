package producer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/segmentio/kafka-go"
)

// Commit makes the offsets permanent for the group of the member, and with them every outcome of records below them, or
// neither. It commits as much as one transaction can hold in time, and returns what is permanent now, on an error as well: of
// a partition an offset below the one asked for if the rest has to go into another transaction, none if its next outcome is
// held. Offsets that have not moved need no transaction.
//
// It takes cfg.Timeout at most, and as long again where something held is tried; before that it pauses where the last one
// failed: what was written then is in the brokers' logs, aborted. On an error the outcomes are kept for the next Commit. member
// is asked again with every try: the generation may change meanwhile.
func (t *Transactions) Commit(ctx context.Context, member func() kafkawire.Member, asked Offsets) (committed Offsets, err error) {
	t.committing.Lock()
	defer t.committing.Unlock()
	if t.rival != nil {
		return nil, t.rival
	}
	if !wait.Sleep(ctx, t.wait) {
		return nil, ctx.Err()
	}
	committed, err = t.commit(ctx, member, asked)
	for errors.Is(err, errMoved) {
		var more Offsets
		more, err = t.commit(ctx, member, asked)
		maps.Copy(committed, more)
	}
	for partition, offset := range asked {
		if at, known := t.stored[partition]; known && at == offset {
			committed[partition] = offset
		}
	}
	t.wait = min(max(2*t.wait, minBackoff), maxBackoff)
	if t.ready { // nothing was aborted
		t.wait = 0
	}
	t.note(err)
	return committed, err
}

// commit makes a transaction of what is not held, and then tries something that is: alone, as what is aborted stays in the
// logs.
func (t *Transactions) commit(ctx context.Context, member func() kafkawire.Member, asked Offsets) (Offsets, error) {
	committed := Offsets{}
	began := time.Now()
	first, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	if !t.ready {
		if err := t.takeOver(first); err != nil { // before holds are looked at: a record may be somebody else's meanwhile
			return committed, t.explain(err, began)
		}
	}
	p := t.gather(asked)
	if err := t.transact(first, member, p); err != nil {
		held := t.hold(err)
		if held == nil && (first.Err() != nil || time.Since(began) >= t.cfg.Timeout) {
			t.pace.late(p.size)
		}
		return committed, cmp.Or(held, t.explain(err, began))
	}
	maps.Copy(committed, p.offsets)
	h, again := t.due(first, asked)
	if !t.ready || h == nil {
		return committed, p.held
	}
	began = time.Now()
	second, cancel := context.WithTimeout(ctx, h.patience(t.cfg.Timeout))
	defer cancel()
	if err := t.transact(second, member, again); err != nil {
		held := t.hold(err)
		if held == nil {
			h.postpone()
		}
		return committed, cmp.Or(held, t.explain(err, began))
	}
	maps.Copy(committed, again.offsets)
	return committed, p.held
}

// explain says what it means that the transaction begun at began was fenced.
func (t *Transactions) explain(err error, began time.Time) error {
	if kafkawire.Fenced(err) {
		return t.takenOver(err, began)
	}
	return err
}

// gather returns as much of what is asked for as one transaction should hold, without what is held.
func (t *Transactions) gather(asked Offsets) portion {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := portion{offsets: Offsets{}}
	var from []*stretch
	var held *hold
	for partition, offset := range asked {
		if stored, known := t.stored[partition]; known && stored == offset {
			continue
		}
		all := t.kept.below(partition, offset.Offset)
		free, why := t.free(partition, all)
		if why != nil && (held == nil || why.since.Before(held.since)) {
			held = why
			p.held = why.err
		}
		switch {
		case len(free) > 0:
			from = append(from, &stretch{partition: partition, outcomes: free})
		case why == nil:
			p.offsets[partition] = offset
		}
	}
	p.take(from, t.pace.limit)
	for _, s := range from {
		offset := asked[s.partition]
		if s.taken < len(t.kept.below(s.partition, offset.Offset)) {
			if s.taken == 0 {
				continue
			}
			offset = s.outcomes[s.taken-1].req.CommitOffset()
		}
		p.offsets[s.partition] = offset
	}
	return p
}

// transact makes one transaction. t must be ready.
func (t *Transactions) transact(ctx context.Context, member func() kafkawire.Member, p portion) error {
	if len(p.offsets) == 0 {
		return nil
	}
	began := time.Now()
	t.ready = false // until all of it has a definite answer
	if err := t.fill(ctx, member, p); err != nil {
		t.abort(ctx)
		return err
	}
	// From here on only the same decision may be repeated. If it gets no definite answer, takeOver finds out.
	if err := t.retry(ctx, func(ctx context.Context) error { return t.wire.EndTransaction(ctx, t.txn, true) }); err != nil {
		return err
	}
	t.ready = !t.lost
	t.pace.took(p.size, time.Since(began))
	t.lift(p)
	maps.Copy(t.stored, p.offsets)
	t.drop(p.offsets)
	return nil
}

// fill begins a transaction and puts outcomes and offsets into it.
func (t *Transactions) fill(ctx context.Context, member func() kafkawire.Member, p portion) error {
	t.answered = false
	if err := t.retry(ctx, t.layout); err != nil {
		return err
	}
	queues := t.load(p)
	if len(queues) > 0 {
		partitions := map[string][]int32{}
		for _, q := range queues {
			partitions[q.topic] = append(partitions[q.topic], q.partition)
		}
		if err := t.retry(ctx, func(ctx context.Context) error { return t.wire.AddPartitions(ctx, t.txn, partitions) }); err != nil {
			t.answered = len(kafkawire.Leaves(err)) < len(queues)
			return err
		}
	}
	patience := t.pace.patience(p.size, tryTimeout)
	for len(queues) > 0 {
		produce := func(ctx context.Context) error { return t.produce(ctx, queues) }
		if err := t.retryIf(ctx, patience, passes, produce); err != nil {
			return err
		}
		queues = unsent(queues)
	}
	if err := t.retry(ctx, func(ctx context.Context) error { return t.wire.AddOffsets(ctx, t.txn, t.cfg.Group) }); err != nil {
		return err
	}
	began := time.Now()
	return t.retryIf(ctx, tryTimeout, func(err error) bool {
		return passes(err) || rebalancing(err) && time.Since(began) < rebalancePatience
	}, func(ctx context.Context) error {
		return t.wire.CommitTransactionOffsets(ctx, t.txn, member(), t.cfg.Topic, p.offsets)
	})
}

// rebalancing says that the group is between two generations, or has entered one that the member has not heard of. It passes
// for those who keep their place; for those who have lost it, it does not.
func rebalancing(err error) bool {
	return errors.Is(err, kafka.RebalanceInProgress) || errors.Is(err, kafka.IllegalGeneration)
}

// abort ends a transaction that failed, so that readers need not wait for its timeout. What comes of it does not matter: the
// next takeOver aborts it as well.
func (t *Transactions) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if err := t.retry(ctx, func(ctx context.Context) error { return t.wire.EndTransaction(ctx, t.txn, false) }); err != nil {
		t.log.Debug().Err(err).Str("transactional-id", t.cfg.ID).Msg("aborting a transaction failed")
	}
}

// takeOver begins a new epoch of the transactional id: the transaction before is over then, one way or the other, requests
// that are still on their way are refused, and sequences start at 0. The group's offsets say which way: outcomes below them
// are in the log.
func (t *Transactions) takeOver(ctx context.Context) error {
	var last kafkawire.Ending
	var err error
	if t.txn, last, err = t.retries().BeginEpoch(ctx, t.cfg.ID, t.cfg.Timeout); err != nil {
		return err
	}
	for _, topic := range t.topics {
		for _, q := range topic.queues {
			*q = *newQueue(q.topic, q.partition, t.cfg.BatchBytes)
			q.id = t.txn.Producer
		}
	}
	if err := t.sweep(ctx, last); err != nil {
		return err
	}
	if err := t.settleDoubt(ctx); err != nil {
		return err
	}
	t.ready, t.lost = true, false
	t.log.Debug().Str("transactional-id", t.cfg.ID).Int64("producer", t.txn.Producer.ID).Int16("epoch", t.txn.Producer.Epoch).
		Msg("took over the transactional id")
	return nil
}

// settleDoubt forgets the outcomes that are in the log after all. Nobody else commits offsets of our partitions, and where
// somebody does, they have been answered. An offset of a former topic of that name says nothing about them: it can still be
// stored when the topic was made again.
func (t *Transactions) settleDoubt(ctx context.Context) error {
	clear(t.stored)
	partitions := t.live() // others commit those that are not
	if len(partitions) == 0 {
		return nil
	}
	err := t.retry(ctx, func(ctx context.Context) error {
		committed, err := t.wire.CommittedOffsets(ctx, t.cfg.Group, t.cfg.Topic, partitions)
		maps.Copy(t.stored, committed)
		return err
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	maps.DeleteFunc(t.stored, func(partition int32, o kafkawire.OffsetAndMetadata) bool {
		all := t.kept.below(partition, math.MaxInt64)
		live := slices.IndexFunc(all, func(k *kept) bool { return k.req.Owned() })
		return live >= 0 && !all[live].req.SameLog(o)
	})
	t.mu.Unlock()
	t.drop(t.stored)
	return nil
}
