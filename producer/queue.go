package producer

import (
	"time"

	"balanceq/kafkawire"
	"balanceq/schemas"
)

// entry is one message on its way.
type entry struct {
	record kafkawire.Record
	size   int
	ack    Ack
	at     time.Time // when it was written
}

func newEntry(m schemas.Message, ack Ack) entry {
	r := kafkawire.Record{Key: m.Key, Value: m.Value, Headers: m.Headers, Time: m.Time}
	return entry{record: r, size: kafkawire.RecordSize(&r), ack: ack, at: time.Now()}
}

// queue is one partition: its messages in order, and the one batch that may be on the wire.
//
// Fields above the line belong to Producer.mu; those below to the sender that has taken the queue (queued or sending is
// set, so there is one at a time).
type queue struct {
	topic     string
	partition int32
	leader    int32 // noLeader: unknown at the moment
	pending   []entry
	busy      bool      // a sender has it in its ready list or on the wire
	oldest    time.Time // while there is something to write: when the first message of it was written
	heard     time.Time // while there is something to write: when the brokers last took or refused some of it, or it began

	batch    kafkawire.Batch
	entries  []entry // of the batch; empty: no batch is under way
	records  []kafkawire.Record
	id       kafkawire.ProducerID
	hasID    bool
	sequence int32
	limit    int // bytes of a batch; halved when the topic takes no more
	failures int // of the batch under way
}

const noLeader = -1

// idle says whether there is nothing to write. It requires Producer.mu.
func (q *queue) idle() bool { return !q.busy && len(q.pending) == 0 }

func newQueue(topic string, partition int32, limit int) *queue {
	return &queue{topic: topic, partition: partition, leader: noLeader, limit: limit}
}

// cut moves as many pending messages as a batch of so many bytes may hold into the batch under way. It requires Producer.mu.
func (q *queue) cut(limit int) {
	limit = min(limit, q.limit)
	size, n := 0, 0
	for n < len(q.pending) && (n == 0 || size+q.pending[n].size <= limit) {
		size += q.pending[n].size
		n++
	}
	q.entries = append(q.entries[:0], q.pending[:n]...)
	rest := copy(q.pending, q.pending[n:])
	clear(q.pending[rest:])
	q.pending = q.pending[:rest]
}

// encode makes the bytes of the batch under way: once, as every repetition must be identical.
func (q *queue) encode(now time.Time) {
	q.records = q.records[:0]
	for i := range q.entries {
		q.records = append(q.records, q.entries[i].record)
	}
	q.batch = kafkawire.Batch{Topic: q.topic, Partition: q.partition, Bytes: q.batch.Bytes[:0]}
	q.batch.Bytes = kafkawire.AppendBatch(q.batch.Bytes, q.id, q.sequence, q.records, now)
	clear(q.records)
}

// split gives a batch of several records that was too large back, and halves what the next one may hold. The broker has
// appended none of it, so the sequence stands. It requires Producer.mu.
func (q *queue) split() {
	total := 0
	for i := range q.entries {
		total += q.entries[i].size
	}
	q.limit = max(total/2, 1)
	q.pending = append(append(make([]entry, 0, len(q.entries)+len(q.pending)), q.entries...), q.pending...)
	q.entries = q.entries[:0]
}
