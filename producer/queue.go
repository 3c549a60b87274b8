package producer

import (
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// entry is one message in its queue.
type entry struct {
	message schemas.Message
	size    int // of its record
	ack     Ack
	at      time.Time // when it was written
	source            // what it was made of; empty where only its bytes are known
	form    form
	room    *schemas.Room // that the message was made in, for this entry alone; nil: the collector has it
}

// rooms are for messages that wait to be acknowledged: a kilobyte each, a quarter of all that a request allocates.
var rooms = sync.Pool{New: func() any { return new(schemas.Room) }}

// free gives the message's memory back.
func (e *entry) free() {
	if e.room != nil && e.room.Reset() {
		rooms.Put(e.room)
	}
	e.room, e.message = nil, schemas.Message{}
}

func newEntry(m schemas.Message, ack Ack) entry {
	e := entry{ack: ack, at: time.Now()}
	e.set(m)
	return e
}

func (e *entry) set(m schemas.Message) {
	r := recordOf(&m)
	e.message, e.size = m, kafkawire.RecordSize(&r)
}

// copied is the entry for the topic that the request wants a copy in: the same message, the same id.
func (e entry) copied() entry {
	e.reply, e.room = true, nil
	return e
}

func recordOf(m *schemas.Message) kafkawire.Record {
	return kafkawire.Record{Key: m.Key, Value: m.Value, Headers: m.Headers, Time: m.Time}
}

// queue is one partition: its messages in order, and the one batch that may be on the wire.
//
// In a Producer, its mutex guards the first group of fields, and the second belongs to the sender that has the queue:
// from busy being set, under the mutex, until it is cleared, under the mutex, by the same sender or by the retry that
// it has left the queue to. While busy is not set, the mutex guards them all. In a committer there is one transaction
// at a time, whose goroutine has them all, but while it waits for the request that it has given them to; busy, oldest
// and heard are not used.
type queue struct {
	topic     string
	partition int32
	leader    int32 // noLeader: unknown at the moment
	pending   []entry
	held      bool      // it waits for an operator: what is in it takes no room in the buffer
	busy      bool      // a sender has it in its ready list or on the wire
	oldest    time.Time // while there is something to write: when the first message of it was written
	heard     time.Time // while there is something to write: when the brokers last took or refused some of it, or it began

	batch    kafkawire.Batch
	entries  []entry // of the batch; empty: no batch is under way
	records  []kafkawire.Record
	id       kafkawire.ProducerID
	hasID    bool
	hadID    bool // it has begun with the one that all begin with
	sequence int32
	limit    int       // bytes of a batch; halved when the topic takes no more
	failures int       // of the batch under way
	encoded  time.Time // when the batch under way was encoded
	inDoubt  bool      // an answer to the batch under way was lost: it may be in the log
}

const noLeader = -1

// idle says whether there is nothing to write. It requires Producer.mu.
func (q *queue) idle() bool { return !q.busy && len(q.pending) == 0 }

func newQueue(topic string, partition int32, limit int) *queue {
	return &queue{topic: topic, partition: partition, leader: noLeader, limit: limit}
}

// cut moves as many pending messages as a batch of so many bytes may hold into the batch under way. It requires what
// guards both groups.
func (q *queue) cut(limit int) {
	limit = min(limit, q.limit)
	size, n := 0, 0
	for n < len(q.pending) && (n == 0 || size+q.pending[n].size <= limit && !q.pending[n].form.compressed) {
		size += q.pending[n].size
		n++
		if q.pending[0].form.compressed { // alone
			break
		}
	}
	q.inDoubt = false
	q.entries = append(q.entries[:0], q.pending[:n]...)
	rest := copy(q.pending, q.pending[n:])
	clear(q.pending[rest:])
	q.pending = q.pending[:rest]
}

// encode makes the bytes of the batch under way. A repetition sends the same ones, as long as brokers take them.
func (q *queue) encode(now time.Time) { q.encodeWith(kafkawire.AppendBatch, now) }

type appendBatch = func([]byte, kafkawire.ProducerID, int32, []kafkawire.Record, time.Time) []byte

func (q *queue) encodeWith(appendBatch appendBatch, now time.Time) {
	q.records = q.records[:0]
	for i := range q.entries {
		q.records = append(q.records, recordOf(&q.entries[i].message))
	}
	const around = 64 // what stands around a batch's records
	room := slices.Grow(q.batch.Bytes[:0], q.bytes()+around)
	q.batch = kafkawire.Batch{Topic: q.topic, Partition: q.partition, Bytes: room}
	q.batch.Bytes = appendBatch(q.batch.Bytes, q.id, q.sequence, q.records, now)
	if len(q.entries) == 1 && q.entries[0].form.compressed {
		q.batch.Bytes = kafkawire.CompressBatch(nil, q.batch.Bytes)
	}
	q.encoded = now
	clear(q.records)
}

// reform gives every message of the batch under way the next form that the refusal calls for; those that have none stay
// as they are. The batch has the same messages under the same sequence afterwards, so that brokers recognise it if they
// have it. It returns false when nothing has changed; and a message of another topic where the only one of the batch is
// to be that instead.
func (q *queue) reform(o *Outcomes, err error) (moved entry, topic string, changed bool) {
	for i := range q.entries {
		next, topic, ok := o.reform(&q.entries[i], q.topic, len(q.batch.Bytes), q.encoded, err)
		switch {
		case ok && topic != q.topic: // too large, so it is alone
			return next, topic, true
		case ok:
			q.entries[i], changed = next, true
		}
	}
	if changed {
		q.batch.Bytes = q.batch.Bytes[:0]
	}
	return moved, q.topic, changed
}

// split gives a batch of several records that was too large back, and halves what the next one may hold. The broker has
// appended none of it, so the sequence stands. It requires what guards both groups.
func (q *queue) split() {
	total := 0
	for i := range q.entries {
		total += q.entries[i].size
	}
	q.limit = max(total/2, 1)
	q.pending = append(append(make([]entry, 0, len(q.entries)+len(q.pending)), q.entries...), q.pending...)
	q.entries = q.entries[:0]
}
