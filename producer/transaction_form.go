package producer

import (
	"errors"
	"slices"

	"github.com/balanceq/balanceq/kafkawire"
)

// errMoved says that a result became a dead letter: the transaction begins again, with the partition of that.
var errMoved = errors.New("a result is larger than its topic takes: its request becomes a dead letter, in the next transaction")

// maxCorrupt is how often a batch whose checksum is found to be wrong is encoded again within one epoch.
const maxCorrupt = 3

// reshape gives the messages of a refused batch another form, in the queue and in what is kept for the next transaction. It
// returns false where there is none for any of them.
func (t *Transactions) reshape(q *queue, err error) bool {
	if corrupt(err) {
		q.failures++ // of this epoch
		q.batch.Bytes = q.batch.Bytes[:0]
		return q.failures <= maxCorrupt
	}
	_, topic, changed := q.reform(&t.outcomes, err)
	if !changed || topic != q.topic {
		return false
	}
	t.obs.WriteFailed(q.topic, q.partition, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range q.entries {
		if k, m := t.origin(topic, &q.entries[i]); k != nil {
			t.exchange(k, m, q.entries[i])
		}
	}
	return true
}

// move makes the one message of a batch one of another topic, if the refusal calls for that, or leaves it out where it need not
// be written. The transaction cannot go on: it was not told of that topic's partition.
func (t *Transactions) move(q *queue, err error) bool {
	next, topic, changed := q.reform(&t.outcomes, err)
	if !changed || topic == q.topic {
		return false
	}
	t.obs.WriteFailed(q.topic, q.partition, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	k, m := t.origin(q.topic, &q.entries[0])
	if k == nil { // given back meanwhile
		return true
	}
	t.log.Warn().Str("event", "result_too_large").Err(err).Str("topic", q.topic).Int32("partition", q.partition).Stringer("request", k.Position).
		Int("bytes", m.entry.size).Str("fix", kafkawire.Fix(err)).Msg(movedText)
	if topic == "" {
		t.exchange(k, m, entry{})
		k.messages = slices.DeleteFunc(k.messages, func(other addressed) bool { return other.topic == q.topic })
		return true
	}
	t.exchange(k, m, next)
	m.topic, m.partition = topic, k.Partition
	return true
}

// origin finds what a message for the topic was loaded from. It requires mu.
func (t *Transactions) origin(topic string, e *entry) (*kept, *addressed) {
	for _, k := range t.kept.partitions[e.req.Record.Partition] {
		if k.req != e.req {
			continue
		}
		for i := range k.messages {
			if k.messages[i].topic == topic {
				return k, &k.messages[i]
			}
		}
	}
	return nil, nil
}

// exchange requires mu.
func (t *Transactions) exchange(k *kept, m *addressed, e entry) {
	t.kept.bytes += e.size - m.entry.size
	k.size += e.size - m.entry.size
	m.entry = e
}
