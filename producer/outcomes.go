package producer

import (
	"context"

	"balanceq/schemas"
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
		if err := o.Producer.Write(ctx, o.DeadLetters, inq.Record.Partition, out.DeadLetter.Message(o.Origin), ack); err != nil {
			return err
		}
	}
	if out.Result != nil {
		return o.Producer.Write(ctx, o.Results, Keyed, out.Result.Message(inq.Record.Key), ack)
	}
	return nil
}
