package producer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// layout is the partitions of the topics that transactions write to.
type layout map[string]*topic

// load queues the messages of the outcomes and returns the queues with something to send.
func (l layout) load(p portion) []*queue {
	var queues []*queue
	for _, o := range p.outcomes {
		for i := range o.messages {
			m := &o.messages[i]
			q := l.queueFor(m)
			if len(q.pending) == 0 {
				queues = append(queues, q)
			}
			q.pending = append(q.pending, m.entry)
		}
	}
	return queues
}

func (l layout) queueFor(m *addressed) *queue {
	t := l[m.topic]
	if m.partition == Keyed {
		return t.queueOf(m.entry.message.Key)
	}
	return t.queues[int(m.partition)%len(t.queues)]
}

// restart empties the queues and has them begin with the first sequence of an epoch.
func (l layout) restart(epoch kafkawire.ProducerID, batchBytes int) {
	for _, topic := range l {
		for _, q := range topic.queues {
			*q = *newQueue(q.topic, q.partition, batchBytes)
			q.id = epoch
		}
	}
}

// partitions are all of them, by topic.
func (l layout) partitions() map[string][]int32 {
	all := map[string][]int32{}
	for name, topic := range l {
		for _, q := range topic.queues {
			all[name] = append(all[name], q.partition)
		}
	}
	return all
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

// send writes the queues' messages until the brokers have all of them. A partition that has no leader, or too few
// replicas, keeps those that have taken theirs no longer than transientTimeout.
func (c *committer) send(ctx context.Context, queues []*queue, size int) error {
	timeout := c.pace.timeout(size, kafkawire.TryTimeout)
	var since time.Time // since when only such partitions are left
	again := func(err error) bool {
		if !c.othersWait(err) {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		return kafkawire.Passes(err) && !errors.Is(err, errMoved) &&
			(since.IsZero() || time.Since(since) < transientTimeout)
	}
	for len(queues) > 0 {
		err := c.retry().DoIf(ctx, timeout, again, func(ctx context.Context) error { return c.produce(ctx, queues) })
		if err != nil {
			return err
		}
		queues = unsent(queues)
	}
	return nil
}

// produce sends one batch of every queue, in one request a leader, as much as a request may hold. Batches that fail
// stay as they are; the next call sends the same bytes. The error names every partition that was refused, but those
// that will pass only if there is no other.
func (c *committer) produce(ctx context.Context, queues []*queue) error {
	if err := c.refreshLayout(ctx); err != nil {
		return err
	}
	var failed refusals
	leaders := map[int32][]*queue{}
	sizes := map[int32]int{}
	limit := min(maxRequestBytes, c.pace.limit)
	for _, q := range unsent(queues) {
		if q.leader == noLeader {
			failed.add(&kafkawire.PartitionError{Topic: q.topic, Partition: q.partition, Err: kafka.LeaderNotAvailable})
			continue
		}
		if sizes[q.leader] >= limit {
			continue
		}
		if len(q.entries) == 0 {
			q.cut(limit)
			q.batch.Bytes = q.batch.Bytes[:0]
		}
		if len(q.batch.Bytes) == 0 {
			q.encodeWith(kafkawire.AppendTransactionalBatch, time.Now())
		}
		if sizes[q.leader] > 0 && sizes[q.leader]+len(q.batch.Bytes) > limit {
			continue
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
			err := c.wire.ProduceTransactional(ctx, c.txn, leader, batches)
			mu.Lock()
			defer mu.Unlock()
			errs[leader] = err
		})
	}
	sending.Wait()
	for leader, queues := range leaders {
		for _, q := range queues {
			failed.add(c.sent(q, errs[leader]))
		}
	}
	return failed.err()
}

// refusals are why some partitions of one transaction do not take what is written to them.
type refusals []error

func (r *refusals) add(err error) {
	if err != nil {
		*r = append(*r, err)
	}
}

// err returns those that will not pass, or else one that will.
func (r refusals) err() error {
	if lasting := slices.DeleteFunc(slices.Clone(r), kafkawire.Transient); len(lasting) > 0 {
		return errors.Join(lasting...)
	}
	return errors.Join(r...)
}

// sent acts on the answer to a queue's batch. callErr is the failure of the whole request.
func (c *committer) sent(q *queue, callErr error) error {
	err := callErr
	if err == nil {
		err = q.batch.Err
	}
	switch {
	case err == nil || errors.Is(err, kafka.DuplicateSequenceNumber):
		c.answered = true
		c.obs.Wrote(len(q.entries))
		q.sequence = kafkawire.NextSequence(q.sequence, len(q.entries))
		clear(q.entries)
		q.entries = q.entries[:0]
		return nil
	case recordLevel(err) && (!kafkawire.TooLarge(err) || len(q.entries) == 1) && c.reshape(q, err):
		return nil // in another form, in the same transaction
	case recordLevel(err) && len(q.entries) > 1:
		q.split() // the rest of the transaction sends smaller ones
		return nil
	case recordLevel(err):
		if c.move(q, err) {
			return errMoved
		}
		err = c.refused(q, err)
	}
	c.noteLoss(err)
	c.obs.WriteFailed(q.topic, q.partition, err)
	return &kafkawire.PartitionError{Topic: q.topic, Partition: q.partition, Err: err}
}

// refreshLayout reads partitions and leaders of the topics. A topic that it may not read any more, or that is gone,
// keeps the layout that it had: what is written to it is refused then, and that concerns nothing else.
func (c *committer) refreshLayout(ctx context.Context) error {
	for name, topic := range c.layout {
		leaders, partitions, err := c.wire.Leaders(ctx, name)
		if len(topic.queues) > 0 && isAnswer(err) {
			continue
		}
		if err != nil {
			c.wire.Reset()
			return err
		}
		for _, q := range topic.grow(partitions, c.cfg.BatchBytes) {
			q.id = c.txn.Producer
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
