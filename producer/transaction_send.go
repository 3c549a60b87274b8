package producer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/kafkawire"

	"github.com/segmentio/kafka-go"
)

// load queues the messages of the outcomes and returns the queues with something to send.
func (t *Transactions) load(p portion) []*queue {
	var queues []*queue
	for _, k := range p.outcomes {
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
// as they are; the next call sends the same bytes. The error names every partition that was refused, but those that will
// pass only if there is no other.
func (t *Transactions) produce(ctx context.Context, queues []*queue) error {
	if err := t.layout(ctx); err != nil {
		return err
	}
	var failed refusals
	leaders := map[int32][]*queue{}
	sizes := map[int32]int{}
	limit := min(maxRequestBytes, t.pace.limit)
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
			err := t.wire.ProduceTransactional(ctx, t.txn, leader, batches)
			mu.Lock()
			defer mu.Unlock()
			errs[leader] = err
		})
	}
	sending.Wait()
	for leader, queues := range leaders {
		for _, q := range queues {
			failed.add(t.sent(q, errs[leader]))
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
func (t *Transactions) sent(q *queue, callErr error) error {
	err := callErr
	if err == nil {
		err = q.batch.Err
	}
	switch {
	case err == nil || errors.Is(err, kafka.DuplicateSequenceNumber):
		t.answered = true
		q.sequence = kafkawire.NextSequence(q.sequence, len(q.entries))
		clear(q.entries)
		q.entries = q.entries[:0]
		return nil
	case recordLevel(err) && (!kafkawire.TooLarge(err) || len(q.entries) == 1) && t.reshape(q, err):
		return nil // in another form, in the same transaction
	case recordLevel(err) && len(q.entries) > 1:
		q.split() // the rest of the transaction sends smaller ones
		return nil
	case recordLevel(err):
		if t.move(q, err) {
			return errMoved
		}
		err = t.refused(q, err)
	}
	t.suspect(err)
	t.obs.WriteFailed(q.topic, q.partition, err)
	return &kafkawire.PartitionError{Topic: q.topic, Partition: q.partition, Err: err}
}

// layout reads partitions and leaders of the topics. A topic that it may not read any more, or that is gone, keeps the layout
// that it had: what is written to it is refused then, and that concerns nothing else.
func (t *Transactions) layout(ctx context.Context) error {
	for name, topic := range t.topics {
		leaders, partitions, err := t.wire.Leaders(ctx, name)
		if len(topic.queues) > 0 && errors.As(err, new(kafka.Error)) {
			continue
		}
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
