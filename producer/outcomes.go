package producer

import (
	"context"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// Outcomes writes what became of records: results to one topic, dead letters to another, and copies of results where
// their requests want one.
type Outcomes struct {
	Producer    *Producer
	Results     string   // topic
	DeadLetters string   // topic
	Replies     []string // topics for copies
	// ReplyDropped hears of a copy that fits its topic in no form, and so is not written; nil: it is not told.
	ReplyDropped func()
	SchemaID     uint32 // of results, in a schema registry: they are framed with it; 0: they are JSON alone
	Origin       schemas.Origin
}

// Topics are the topics that the Producer has to be made for.
func (o Outcomes) Topics() []string { return append([]string{o.Results, o.DeadLetters}, o.Replies...) }

// Write queues the outcome of one request: its result, its dead letter, or both, and the copy of the result, and
// acknowledges the request once for each of them that is in the log. On an error at least one of them was not queued,
// so the request is not acknowledged in full.
//
// A dead letter goes to the partition of its source's number, so that those of one partition stay together and in
// order.
func (o Outcomes) Write(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	if out.DeadLetter != nil {
		if err := o.Producer.write(ctx, o.DeadLetters, req.Record.Partition, o.letter(req, out.DeadLetter)); err != nil {
			return err
		}
	}
	if out.Result == nil {
		return nil
	}
	e := o.result(req, out.Result, out.Reply == nil)
	if err := o.Producer.write(ctx, o.Results, Keyed, e); err != nil || out.Reply == nil {
		return err
	}
	return o.Producer.write(ctx, out.Reply.Topic, out.Reply.Partition, e.copied())
}

func (o Outcomes) letter(req *inflight.Request, d *schemas.DeadLetter) entry {
	if req.Span != nil {
		d.Trace = req.Span.Send(o.DeadLetters)
	}
	e := newEntry(d.Message(o.Origin), req)
	e.source = source{req: req, letter: d}
	return e
}

// result belongs to the request's trace, which is passed on where it is not sampled here. once says that one frees the
// message: its queue, if it goes to no other, or the outbox.
func (o Outcomes) result(req *inflight.Request, r *schemas.Result, once bool) entry {
	r.SchemaID, r.Trace = o.SchemaID, req.Request.Trace
	if req.Span != nil {
		r.Trace = req.Span.Send(o.Results)
	}
	room := new(schemas.Room)
	if once {
		room, _ = rooms.Get().(*schemas.Room) // it holds nothing else
	}
	e := newEntry(r.MessageIn(room, req.Record.Key), req)
	e.source = source{req: req, result: true}
	if once {
		e.room = room
	}
	return e
}

// address is what Write does, for messages that are not sent yet. They are freed together.
func (o Outcomes) address(req *inflight.Request, out schemas.Outcome) []addressed {
	messages := make([]addressed, 0, out.Messages())
	if out.DeadLetter != nil {
		messages = append(messages, addressed{o.DeadLetters, req.Record.Partition, o.letter(req, out.DeadLetter)})
	}
	if out.Result != nil {
		e := o.result(req, out.Result, true)
		messages = append(messages, addressed{o.Results, Keyed, e})
		if out.Reply != nil {
			messages = append(messages, addressed{out.Reply.Topic, out.Reply.Partition, e.copied()})
		}
	}
	return messages
}
