package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"balanceq/kafkawire"

	"github.com/segmentio/kafka-go"
)

// takeOver begins a new epoch of the transactional id: the transaction before is over then, one way or the other, requests
// that are still on their way are refused, and sequences start at 0. The group's offsets say which way: outcomes below them
// are in the log.
func (t *Transactions) takeOver(ctx context.Context) error {
	last, err := t.lastEnd(ctx)
	if err != nil {
		return err
	}
	err = t.retry(ctx, func(ctx context.Context) (err error) {
		t.txn, err = t.wire.InitTransactional(ctx, t.cfg.ID, t.cfg.Timeout)
		return err
	})
	if err != nil {
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
// somebody does, they have been answered.
func (t *Transactions) settleDoubt(ctx context.Context) error {
	clear(t.stored)
	var partitions []int32
	seen := map[int32]bool{}
	t.mu.Lock()
	for _, k := range t.kept {
		if !seen[k.Partition] && k.place.Live() { // others commit those that are not
			seen[k.Partition] = true
			partitions = append(partitions, k.Partition)
		}
	}
	t.mu.Unlock()
	if len(partitions) == 0 {
		return nil
	}
	err := t.retry(ctx, func(ctx context.Context) error {
		committed, err := t.wire.CommittedOffsets(ctx, t.cfg.Group, t.cfg.Topic, partitions)
		for partition, c := range committed {
			t.stored[partition] = c
		}
		return err
	})
	if err != nil {
		return err
	}
	t.drop(t.stored)
	return nil
}

// fill puts outcomes and offsets into a transaction, which it thereby begins.
func (t *Transactions) fill(ctx context.Context, member func() kafkawire.Member, offsets Offsets) error {
	if err := t.retry(ctx, t.layout); err != nil {
		return err
	}
	queues := t.load(offsets)
	if len(queues) > 0 {
		partitions := map[string][]int32{}
		for _, q := range queues {
			partitions[q.topic] = append(partitions[q.topic], q.partition)
		}
		if err := t.retry(ctx, func(ctx context.Context) error { return t.wire.AddPartitions(ctx, t.txn, partitions) }); err != nil {
			return err
		}
	}
	for len(queues) > 0 {
		if err := t.retry(ctx, func(ctx context.Context) error { return t.produce(ctx, queues) }); err != nil {
			return err
		}
		queues = unsent(queues)
	}
	if err := t.retry(ctx, func(ctx context.Context) error { return t.wire.AddOffsets(ctx, t.txn, t.cfg.Group) }); err != nil {
		return err
	}
	began := time.Now()
	return t.retryIf(ctx, func(err error) bool {
		return passes(err) || rebalancing(err) && time.Since(began) < rebalancePatience
	}, func(ctx context.Context) error {
		return t.wire.CommitTransactionOffsets(ctx, t.txn, member(), t.cfg.Topic, offsets)
	})
}

// rebalancing says that the group is between two generations, or has entered one that the member has not heard of. It passes
// for those who keep their place; for those who have lost it, it does not.
func rebalancing(err error) bool {
	return errors.Is(err, kafka.RebalanceInProgress) || errors.Is(err, kafka.IllegalGeneration)
}

// load queues the messages of all outcomes below the offsets and returns the queues with something to send.
func (t *Transactions) load(offsets Offsets) []*queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	var queues []*queue
	for _, k := range t.kept {
		if offset, ok := offsets[k.Partition]; !ok || k.Offset >= offset.Offset {
			continue
		}
		for i := range k.messages {
			m := &k.messages[i]
			q := t.topics[m.topic].queueFor(m)
			if len(q.pending) == 0 {
				queues = append(queues, q)
			}
			q.pending = append(q.pending, m.entry)
		}
	}
	return queues
}

func (t *topic) queueFor(m *addressed) *queue {
	if m.partition == Keyed {
		return t.queueOf(m.entry.record.Key)
	}
	return t.queues[int(m.partition)%len(t.queues)]
}

// unsent returns the queues that are not empty.
func unsent(queues []*queue) []*queue {
	var rest []*queue
	for _, q := range queues {
		if len(q.entries) > 0 || len(q.pending) > 0 {
			rest = append(rest, q)
		}
	}
	return rest
}

// produce sends one batch of every queue, in one request a leader, as much as a request may hold. Batches that fail are kept
// as they are; the next call sends the same bytes.
func (t *Transactions) produce(ctx context.Context, queues []*queue) error {
	if err := t.layout(ctx); err != nil {
		return err
	}
	var failed error
	leaders := map[int32][]*queue{}
	sizes := map[int32]int{}
	for _, q := range unsent(queues) {
		if q.leader == noLeader {
			failed = fmt.Errorf("writing to %s/%d: %w", q.topic, q.partition, kafka.LeaderNotAvailable)
			continue
		}
		if sizes[q.leader] >= maxRequestBytes {
			continue
		}
		if len(q.entries) == 0 {
			q.cut()
			q.encodeTransactional(time.Now())
		}
		sizes[q.leader] += len(q.batch.Bytes)
		leaders[q.leader] = append(leaders[q.leader], q)
	}
	errs := make(map[int32]error, len(leaders))
	var mu sync.Mutex
	var sending sync.WaitGroup
	for leader, queues := range leaders {
		sending.Go(func() {
			batches := make([]*kafkawire.Batch, len(queues))
			for i, q := range queues {
				batches[i] = &q.batch
			}
			err := t.wire.ProduceTransactional(ctx, t.txn, leader, batches)
			mu.Lock()
			defer mu.Unlock()
			errs[leader] = err
		})
	}
	sending.Wait()
	for leader, queues := range leaders {
		for _, q := range queues {
			err := t.sent(q, errs[leader])
			if err != nil && (failed == nil || kafkawire.Transient(failed)) {
				failed = err
			}
		}
	}
	return failed
}

// encodeTransactional makes the bytes of the batch under way: once, as every repetition must be identical.
func (q *queue) encodeTransactional(now time.Time) {
	q.records = q.records[:0]
	for i := range q.entries {
		q.records = append(q.records, q.entries[i].record)
	}
	bytes := kafkawire.AppendTransactionalBatch(q.batch.Bytes[:0], q.id, q.sequence, q.records, now)
	q.batch = kafkawire.Batch{Topic: q.topic, Partition: q.partition, Bytes: bytes}
	clear(q.records)
}

// sent acts on the answer to a queue's batch. callErr is the failure of the whole request.
func (t *Transactions) sent(q *queue, callErr error) error {
	err := callErr
	if err == nil {
		err = q.batch.Err
	}
	switch {
	case err == nil || errors.Is(err, kafka.DuplicateSequenceNumber):
		q.sequence = kafkawire.NextSequence(q.sequence, len(q.entries))
		clear(q.entries)
		q.entries = q.entries[:0]
		return nil
	case kafkawire.TooLarge(err) && len(q.entries) > 1:
		q.split() // the rest of the transaction sends smaller ones
		return nil
	case kafkawire.TooLarge(err):
		err = t.tooLarge(q, err)
	}
	t.suspect(err)
	t.obs.WriteFailed(q.topic, q.partition, err)
	return fmt.Errorf("writing to %s/%d: %w", q.topic, q.partition, err)
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

// layout reads partitions and leaders of the topics.
func (t *Transactions) layout(ctx context.Context) error {
	for name, topic := range t.topics {
		leaders, partitions, err := t.wire.Leaders(ctx, name)
		if err != nil {
			t.wire.Reset()
			return err
		}
		for n := len(topic.queues); n < partitions; n++ {
			q := newQueue(name, int32(n), t.cfg.BatchBytes)
			q.id = t.txn.Producer
			topic.ids = append(topic.ids, n)
			topic.queues = append(topic.queues, q)
		}
		for _, q := range topic.queues {
			q.leader = noLeader
			if leader, ok := leaders[q.partition]; ok {
				q.leader = leader
			}
		}
	}
	return nil
}
