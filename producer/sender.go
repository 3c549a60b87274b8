package producer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// sender writes to one leader: one request at a time, carrying a batch of every queue that has something to say.
type sender struct {
	leader int32
	ready  []*queue // in the order in which they became ready; guarded by Producer.mu
	wake   wait.Signal
	pace   pace // of its requests; belongs to send
}

// produceTimeout is how long a request may take; one that is large for its line gets more. A third of it is what the
// next requests are sized for.
const produceTimeout = 15 * time.Second

// schedule hands a queue with something to send to its leader's sender. It requires mu.
func (p *Producer) schedule(q *queue) {
	if q.busy || q.leader == noLeader || (len(q.pending) == 0 && len(q.entries) == 0) {
		return
	}
	q.busy = true
	s := p.senders[q.leader]
	if s == nil {
		s = &sender{leader: q.leader, wake: wait.NewSignal(),
			pace: pace{limit: maxRequestBytes, most: maxRequestBytes, aim: p.timeout / 3}}
		p.senders[q.leader] = s
		p.wg.Go(func() { p.send(s) })
	}
	s.ready = append(s.ready, q)
	s.wake.Set()
}

// send is the loop of one sender.
func (p *Producer) send(s *sender) {
	var queues []*queue
	var batches []*kafkawire.Batch
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-s.wake:
		}
		for {
			var size int
			queues, size = p.take(s, queues[:0])
			if len(queues) == 0 {
				break
			}
			batches = batches[:0]
			for _, q := range queues {
				if p.prepare(q) {
					batches = append(batches, &q.batch)
				}
			}
			var err error
			if len(batches) > 0 {
				err = p.produce(s, batches, size)
			}
			if p.ctx.Err() != nil {
				return
			}
			p.complete(queues, err)
		}
	}
}

// produce makes one request and learns from it how large the next ones should be.
func (p *Producer) produce(s *sender, batches []*kafkawire.Batch, size int) error {
	ctx, cancel := context.WithTimeout(p.ctx, s.pace.timeout(size, p.timeout))
	defer cancel()
	began := time.Now()
	err := p.wire.Produce(ctx, s.leader, batches)
	switch {
	case err == nil:
		s.pace.took(size, time.Since(began))
	case ctx.Err() != nil:
		s.pace.late(size)
	}
	return err
}

// take collects ready queues up to the size of a request, which it returns, and cuts a batch for each that has none
// under way. One that does not fit any more is the first of the next request.
func (p *Producer) take(s *sender, into []*queue) ([]*queue, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size, n := 0, 0
	for ; n < len(s.ready); n++ {
		q := s.ready[n]
		if len(q.entries) == 0 {
			q.cut(s.pace.limit)
			q.batch.Bytes = q.batch.Bytes[:0]
		}
		batch := 0
		for i := range q.entries {
			batch += q.entries[i].size
		}
		if n > 0 && size+batch > s.pace.limit {
			break
		}
		size += batch
		into = append(into, q)
	}
	s.ready = append(s.ready[:0], s.ready[n:]...)
	return into, size
}

// prepare makes sure that the batch under way is encoded. It fails when no producer id can be had; the queue's Err says
// why.
func (p *Producer) prepare(q *queue) bool {
	if !q.hasID {
		id, err := p.producerID(q)
		if err != nil {
			q.batch.Err = err
			return false
		}
		q.id, q.hasID, q.hadID, q.sequence = id, true, true, 0
		q.batch.Bytes = q.batch.Bytes[:0]
	}
	if len(q.batch.Bytes) == 0 {
		q.encode(time.Now())
	}
	return true
}

// producerID returns the id that all queues begin with, as sequences count by partition: the first result of each need
// not wait for one of its own. A queue that cannot go on with it gets another, for itself.
func (p *Producer) producerID(q *queue) (kafkawire.ProducerID, error) {
	if q.hadID {
		return p.wire.NewProducerID(p.ctx)
	}
	return p.firstID.get(p.ctx, p.wire)
}

// sharedID is a producer id that is asked for once, and again as long as there is no answer.
type sharedID struct {
	mu    sync.Mutex
	id    kafkawire.ProducerID
	known bool
}

func (s *sharedID) get(ctx context.Context, wire *kafkawire.Client) (_ kafkawire.ProducerID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		s.id, err = wire.NewProducerID(ctx)
		s.known = err == nil
	}
	return s.id, err
}

// complete acts on the answer to each queue's batch. callErr is the failure of the whole request: then it is not known
// what was applied, and everything is sent again as it was.
func (p *Producer) complete(queues []*queue, callErr error) {
	reset := callErr != nil
	for _, q := range queues {
		err := q.batch.Err
		if err == nil {
			err = callErr
		}
		// DUPLICATE_SEQUENCE_NUMBER: an earlier try did reach the log.
		if err == nil || errors.Is(err, kafka.DuplicateSequenceNumber) {
			p.acknowledge(q)
			continue
		}
		reset = true
		p.repeat(q, err)
	}
	if reset {
		p.wire.Reset()
	}
}

// acknowledge ends the batch under way and lets the queue go on.
func (p *Producer) acknowledge(q *queue) {
	size := 0
	p.obs.Wrote(len(q.entries))
	for i := range q.entries {
		size += q.entries[i].size
		q.entries[i].ack.Acknowledged()
		q.entries[i].free()
	}
	q.sequence = kafkawire.NextSequence(q.sequence, len(q.entries))
	if q.failures >= kafkawire.ReportAfter {
		p.log.Info().Str("topic", q.topic).Int32("partition", q.partition).Int("tries", q.failures+1).
			Msg("writing works again")
	}
	q.failures = 0
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold(q, false)
	clear(q.entries)
	q.entries = q.entries[:0]
	delete(p.failing, q)
	p.buffered -= size
	p.advance()
	if p.buffered == 0 {
		p.empty.Broadcast()
	}
	q.busy = false
	q.heard = time.Now()
	if len(q.pending) > 0 {
		q.oldest = q.pending[0].at
	}
	p.schedule(q)
}

// retryAfter brings the queue back to its (perhaps new) leader's sender after a pause; while there is no leader it
// keeps looking for one.
func (p *Producer) retryAfter(q *queue, pause time.Duration) {
	p.wg.Go(func() {
		for wait.Sleep(p.ctx, pause) {
			p.refreshOrLog()
			p.mu.Lock()
			if q.leader != noLeader {
				q.busy = false
				p.schedule(q)
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			pause = min(max(2*pause, minBackoff), maxBackoff)
		}
	})
}

// layoutInterval is how long a new partition or an unknown leader may go unnoticed.
const layoutInterval = 5 * time.Second

// watchLayout notices added partitions and leaders that were unknown.
func (p *Producer) watchLayout() {
	tick := time.NewTicker(layoutInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
			p.refreshOrLog()
		}
	}
}

func (p *Producer) refreshOrLog() {
	if err := p.refresh(p.ctx); err != nil && p.ctx.Err() == nil {
		p.log.Debug().Err(err).Msg("reading the layout of the topics failed")
	}
}

// refresh reads partitions and leaders of the topics.
func (p *Producer) refresh(ctx context.Context) error {
	for _, name := range p.cfg.Topics {
		leaders, partitions, err := p.wire.Leaders(ctx, name)
		if err != nil {
			p.wire.Reset()
			return err
		}
		p.mu.Lock()
		t := p.topics[name]
		t.grow(partitions, p.cfg.BatchBytes)
		for _, q := range t.queues {
			leader, ok := leaders[q.partition]
			if !ok {
				leader = noLeader
			}
			if q.leader != leader {
				q.leader = leader
				q.heard = time.Now() // there was no broker to ask before
				p.schedule(q)
			}
		}
		p.mu.Unlock()
	}
	return nil
}
