package producer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/balanceq/balanceq/kafkawire"
)

// errMoved says that a result became a dead letter: the transaction begins again, with the partition of that.
var errMoved = errors.New(
	"a result is larger than its topic takes: what is written instead is part of the next transaction")

// maxCorrupt is how often a batch whose checksum is found to be wrong is encoded again within one epoch.
const maxCorrupt = 3

// reshape gives the messages of a refused batch another form, in the queue and in the outbox, for the next transaction.
// It returns false where there is none for any of them.
func (c *committer) reshape(q *queue, err error) bool {
	if corrupt(err) {
		q.failures++ // of this epoch
		q.batch.Bytes = q.batch.Bytes[:0]
		return q.failures <= maxCorrupt
	}
	_, topic, changed := q.reform(&c.outcomes, err)
	if !changed || topic != q.topic {
		return false
	}
	c.obs.WriteFailed(q.topic, q.partition, err)
	for i := range q.entries {
		c.outbox.change(topic, q.entries[i].req, func(_ *pending, m *addressed) { m.entry = q.entries[i] })
	}
	return true
}

// move makes the one message of a batch one of another topic, if the refusal calls for that, or leaves it out where it
// need not be written. The transaction cannot go on: it was not told of that topic's partition.
func (c *committer) move(q *queue, err error) bool {
	next, topic, changed := q.reform(&c.outcomes, err)
	if !changed || topic == q.topic {
		return false
	}
	c.obs.WriteFailed(q.topic, q.partition, err)
	bytes := q.bytes()
	moved := c.outbox.change(q.topic, q.entries[0].req, func(p *pending, m *addressed) {
		if topic == "" {
			p.messages = slices.DeleteFunc(p.messages, func(other addressed) bool { return other.topic == q.topic })
			return
		}
		*m = addressed{topic, p.Partition, next}
	})
	if moved { // otherwise it was given back meanwhile
		tellMoved(c.log, &c.outcomes, q, bytes, err)
	}
	return true
}

// refused says whose outcome the queue's batch of one message is. There is no form left for it; when it is tried again,
// that is as it was at first, for somebody may have raised a limit.
func (c *committer) refused(q *queue, err error) error {
	e := &q.entries[0]
	var size int
	found := c.outbox.change(q.topic, e.req, func(_ *pending, m *addressed) {
		m.entry = m.entry.asIs(c.outcomes.Origin)
		size = m.entry.size
	})
	if !found {
		return err
	}
	if kafkawire.TooLarge(err) {
		err = fmt.Errorf("a message of %d bytes is larger than the topic allows: %w", size, err)
	}
	return &recordError{e.req.Record.Position, err}
}
