// Package clienttest has a client for tests of programs that ask: a function answers, and there is no broker. Requests
// and answers are encoded, checked and decoded as on their way through Kafka.
package clienttest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/client/internal/link"
	"github.com/balanceq/balanceq/schemas"
)

// Answer is what a function answers with: balances, or a refusal.
type Answer struct {
	Balances []schemas.Balance // codes that were asked for and are not here are missing from the result
	// Refused, if set, makes it a *client.RefusedError with that reason and Detail.
	Refused schemas.Reason
	Detail  string
	// Never leaves the request without an answer: the caller has a *client.UnknownError when its context ends.
	Never bool
}

// New returns a client whose requests are answered by a function, each on a goroutine of its own. The request's ID is
// that of the caller. Close it as any other.
func New(answer func(client.Request) Answer) *client.Client {
	c, err := client.Over(client.Config{DeadLetters: topic}, func(_ client.Config, take link.Take) (link.Link, error) {
		l := &fake{answer: answer, take: take}
		l.ctx, l.stop = context.WithCancel(context.Background())
		return l, nil
	})
	if err != nil { // cannot be: the function above returns none
		panic(err)
	}
	return c
}

const topic = "clienttest"

// fake is a topic in memory, and who answers to it.
type fake struct {
	answer func(client.Request) Answer
	take   link.Take
	ctx    context.Context //nolint:containedctx // ends with Close; answers come after Write has returned
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	flushed bool
	offset  int64
}

// Write implements link.Link.
func (f *fake) Write(ctx context.Context, m schemas.Message, ack link.Ack) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flushed {
		return errors.New("the link is closed")
	}
	rec := &schemas.Record{Position: schemas.Position{Topic: topic, Offset: f.offset}, Key: m.Key, Value: m.Value,
		Headers: m.Headers, Time: m.Time}
	f.offset++
	ack.Acknowledged()
	f.wg.Go(func() { f.handle(rec) })
	return nil
}

// handle does what the service does with a record.
func (f *fake) handle(rec *schemas.Record) {
	asked, err := schemas.DecodeRequest(rec)
	if err != nil {
		f.refuse(rec, &schemas.DeadLetter{Record: rec, Reason: schemas.ReasonInvalidRequest, Detail: err.Error(),
			RequestID: asked.ID})
		return
	}
	id, _ := rec.Header(client.HeaderCallerID)
	a := f.answer(client.Request{ContractID: asked.ContractID, BalanceCodes: asked.BalanceCodes, ID: string(id),
		Deadline: asked.Deadline})
	switch {
	case f.ctx.Err() != nil || a.Never:
	case a.Refused != "":
		f.refuse(rec, &schemas.DeadLetter{Record: rec, Reason: a.Refused, Detail: a.Detail, RequestID: asked.ID, Attempts: 1})
	default:
		result := resultOf(rec, asked, a.Balances)
		f.take.Result(&schemas.Record{Key: rec.Key, Value: result.Message(rec.Key).Value})
	}
}

func (f *fake) refuse(rec *schemas.Record, d *schemas.DeadLetter) {
	m := d.Message(schemas.Origin{Group: topic})
	f.take.DeadLetter(&schemas.Record{Key: rec.Key, Value: m.Value, Headers: m.Headers})
}

func resultOf(rec *schemas.Record, q schemas.Request, balances []schemas.Balance) *schemas.Result {
	r := &schemas.Result{RequestID: q.ID, ContractID: q.ContractID, Outcome: schemas.OutcomeComplete,
		RetrievedAt: time.Now(), CorrelationID: q.ID, Source: rec.Position}
	for i, code := range q.BalanceCodes {
		found := false
		for _, b := range balances {
			if b.Code == code {
				if b.ID == "" {
					b.ID = strconv.Itoa(i + 1)
				}
				r.Balances, found = append(r.Balances, b), true
			}
		}
		if !found {
			r.MissingBalanceCodes = append(r.MissingBalanceCodes, code)
		}
	}
	if len(r.MissingBalanceCodes) > 0 {
		r.Outcome = schemas.OutcomePartial
	}
	return r
}

// Flush implements link.Link.
func (f *fake) Flush(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushed = true
	return nil
}

// Close implements link.Link. It waits for the functions that still answer.
func (f *fake) Close() {
	f.stop()
	f.wg.Wait()
}
