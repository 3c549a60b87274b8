package producer

import (
	"context"

	"github.com/balanceq/balanceq/schemas"
)

// Outcomes writes what became of records: results to one topic, dead letters to another.
type Outcomes struct {
	Producer    *Producer
	Results     string // topic
	DeadLetters string // topic
	Origin      schemas.Origin
}

// Topics are the topics that the Producer has to be made for.
func (o Outcomes) Topics() []string { return []string{o.Results, o.DeadLetters} }

// Write queues the outcome of one record: its result, its dead letter, or both. ack is called once for each of them. On an
// error at least one of them was not queued, so the record is not acknowledged in full.
//
// A dead letter goes to the partition of its source's number, so that those of one partition stay together and in order.
func (o Outcomes) Write(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome, ack Ack) error {
	if out.DeadLetter != nil {
		if err := o.Producer.write(ctx, o.DeadLetters, inq.Record.Partition, o.letter(inq, out.DeadLetter, ack)); err != nil {
			return err
		}
	}
	if out.Result != nil {
		return o.Producer.write(ctx, o.Results, Keyed, o.result(inq, out.Result, ack))
	}
	return nil
}

func (o Outcomes) letter(inq *schemas.Inquiry, d *schemas.DeadLetter, ack Ack) entry {
	e := newEntry(d.Message(o.Origin), ack)
	e.source = source{inq: inq, letter: d}
	return e
}

func (o Outcomes) result(inq *schemas.Inquiry, r *schemas.Result, ack Ack) entry {
	e := newEntry(r.Message(inq.Record.Key), ack)
	e.source = source{inq: inq, result: r}
	return e
}
