package producer

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/kafkawire"
)

// repeat sends the batch again after a pause, for ever: dropping it would lose records, skipping it would reorder them.
// What repeating cannot cure is sent in another form. Where there is none, the partition waits for people, alone.
// Meanwhile the buffer fills, Write blocks and consumption stands still.
func (p *Producer) repeat(q *queue, err error) {
	q.failures++
	pause := min(minBackoff<<min(q.failures-1, 10), maxBackoff)
	held := false
	switch remedy := kafkawire.RemedyOf(err); {
	case remedy == kafkawire.Renew:
		// The batch may be in the log already or not; and there is no way to tell any more. A new id sends it again: repeated
		// beats lost.
		q.hasID = false
	case remedy == kafkawire.Repeat:
		q.inDoubt = true
	case corrupt(err):
		q.batch.Bytes = q.batch.Bytes[:0]
	case remedy == kafkawire.Encode || remedy == kafkawire.Reshape:
		held = !p.reshape(q, err)
		pause = 0
	case remedy == kafkawire.Operator:
		held = true
	}
	if held {
		pause = operatorBackoff
	}
	p.logFailure(q, err, held)
	p.noteFailing(q, err, held)
	q.batch.Err = nil
	p.obs.WriteFailed(q.topic, q.partition, err)
	p.retryAfter(q, pause)
}

// reshape gives the batch under way another form. It returns false when there is none left.
//
// Whether a batch is in the log, brokers tell by its sequence numbers. So the same messages under the same numbers are
// safe in any form: if an earlier try is in the log and its answer was lost, this one is a duplicate. Where the
// messages become fewer and such a try is possible, the numbers would be another batch's, and brokers would drop it: a
// new producer id then.
func (p *Producer) reshape(q *queue, err error) bool {
	if kafkawire.TooLarge(err) && len(q.entries) > 1 {
		p.mu.Lock()
		defer p.mu.Unlock()
		q.split()
		q.hasID = q.hasID && !q.inDoubt
		return true
	}
	before := q.bytes()
	next, topic, changed := q.reform(&p.cfg.Outcomes, err)
	if changed && topic != q.topic {
		p.move(q, next, topic, err)
		return true
	}
	if !changed { // from the start: an operator may have raised a limit
		for i := range q.entries {
			q.entries[i] = q.entries[i].asIs(p.cfg.Outcomes.Origin)
		}
		q.batch.Bytes = q.batch.Bytes[:0]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grow(q, q.bytes()-before)
	p.advance()
	return changed
}

// tellMoved says that the one message of a batch becomes one of another topic, or none.
func tellMoved(log zerolog.Logger, o *Outcomes, q *queue, bytes int, err error) {
	e := &q.entries[0]
	var line *zerolog.Event
	text := "a result is larger than its topic takes, compressed too: its request becomes a dead letter"
	if e.reply {
		line = log.Warn().Str("event", "reply_too_large")
		if o.ReplyDropped != nil {
			o.ReplyDropped()
		}
		text = "a result is larger than the reply topic takes, compressed too: only the results topic has it"
	} else {
		line = log.Warn().Str("event", "result_too_large")
	}
	line.Err(err).Str("topic", q.topic).Int32("partition", q.partition).
		Stringer("request", e.req.Record.Position).Int("bytes", bytes).Str("fix", kafkawire.Fix(err)).
		Msg(text)
}

// move hands the one message of the batch on to another topic, or leaves it out where the producer was not made for
// that.
func (p *Producer) move(q *queue, next entry, topic string, err error) {
	e := &q.entries[0]
	tellMoved(p.log, &p.cfg.Outcomes, q, e.size, err)
	p.mu.Lock()
	to := p.topics[topic]
	p.grow(q, -e.size)
	if to != nil {
		// Later outcomes of the same source partition may be there already: its dead letters have no order among contracts.
		p.enqueue(message{to, e.req.Record.Partition, next})
	}
	p.advance()
	if p.buffered == 0 {
		p.empty.Broadcast()
	}
	p.mu.Unlock()
	if to == nil {
		e.ack.Acknowledged()
	}
	clear(q.entries)
	q.entries = q.entries[:0]
	q.hasID = q.hasID && !q.inDoubt
}

// grow notes that what is in a queue takes so many bytes more, or less. It requires mu.
func (p *Producer) grow(q *queue, bytes int) {
	p.buffered += bytes
	if q.held {
		p.held += bytes
	}
}

// hold notes whether a queue waits for an operator. It requires mu, and what guards the batch under way.
func (p *Producer) hold(q *queue, held bool) {
	if q.held == held {
		return
	}
	all := q.bytes()
	for i := range q.pending {
		all += q.pending[i].size
	}
	if q.held = held; held {
		p.held += all
		p.advance()
	} else {
		p.held -= all // there may be more than fits then; Write waits until it is acknowledged
	}
}

// bytes are those of the batch under way.
func (q *queue) bytes() (n int) {
	for i := range q.entries {
		n += q.entries[i].size
	}
	return n
}

// noteFailing notes for Status why a batch is being repeated.
func (p *Producer) noteFailing(q *queue, err error, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q.heard = time.Now()
	p.hold(q, held)
	if len(q.entries) == 0 && len(q.pending) == 0 { // its message has gone elsewhere
		delete(p.failing, q)
		return
	}
	f, known := p.failing[q]
	if !known {
		f.since = q.heard
	}
	f.err = fmt.Errorf("to %s/%d: %w", q.topic, q.partition, err)
	if fix := kafkawire.Fix(err); fix != "" {
		f.err = fmt.Errorf("%w; %s", f.err, fix)
	}
	p.failing[q] = f
}

// logFailure logs failures of a batch at every doubling, so that an outage does not fill the disk.
func (p *Producer) logFailure(q *queue, err error, held bool) {
	if !kafkawire.Report(q.failures, err) {
		return
	}
	failure := p.log.With().Err(err).Str("topic", q.topic).Int32("partition", q.partition).Int("tries", q.failures)
	if fix := kafkawire.Fix(err); fix != "" {
		failure = failure.Str("fix", fix)
	}
	log := failure.Logger()
	switch remedy := kafkawire.RemedyOf(err); {
	case held:
		log.Warn().Str("event", "write_held").Int("bytes", q.bytes()).
			Msg("Kafka refuses what is written, and sending it again does not help: this partition waits for the fix, " +
				"the others go on")
	case remedy == kafkawire.Encode || remedy == kafkawire.Reshape:
		log.Warn().Str("event", "write_reshaped").Msg("Kafka refuses a batch; it is sent in another form")
	default:
		log.Warn().Str("event", "write_failing").
			Msg("writing failed; the same batch is sent again until it is acknowledged")
	}
}
