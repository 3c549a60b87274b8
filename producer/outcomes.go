package producer

import (
	"context"

	"github.com/balanceq/balanceq/inflight"
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

// Write queues the outcome of one request: its result, its dead letter, or both, and acknowledges the request once for
// each of them that is in the log. On an error at least one of them was not queued, so the request is not acknowledged
// in full.
//
// A dead letter goes to the partition of its source's number, so that those of one partition stay together and in
// order.
func (o Outcomes) Write(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	if out.DeadLetter != nil {
		if err := o.Producer.write(ctx, o.DeadLetters, req.Record.Partition, o.letter(req, out.DeadLetter)); err != nil {
			return err
		}
	}
	if out.Result != nil {
		return o.Producer.write(ctx, o.Results, Keyed, o.result(req, out.Result))
	}
	return nil
}

func (o Outcomes) letter(req *inflight.Request, d *schemas.DeadLetter) entry {
	e := newEntry(d.Message(o.Origin), req)
	e.source = source{req: req, letter: d}
	return e
}

func (o Outcomes) result(req *inflight.Request, r *schemas.Result) entry {
	e := newEntry(r.Message(req.Record.Key), req)
	e.source = source{req: req, result: r}
	return e
}

// address is what Write does, for messages that are not sent yet.
func (o Outcomes) address(req *inflight.Request, out schemas.Outcome) []addressed {
	var messages []addressed
	if out.DeadLetter != nil {
		messages = append(messages, addressed{o.DeadLetters, req.Record.Partition, o.letter(req, out.DeadLetter)})
	}
	if out.Result != nil {
		messages = append(messages, addressed{o.Results, Keyed, o.result(req, out.Result)})
	}
	return messages
}
