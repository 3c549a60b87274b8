package client

import (
	"container/list"
	"context"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// Ticket stands for a request that was sent. It takes one of Config.MaxWaiting places until the answer is there, or it
// is given up. One whose wait has ended without an answer keeps its place only until another request needs it.
type Ticket struct {
	client  *Client
	request Request
	id      string
	key     string
	keyed   bool // whether key is that of the answer
	sent    time.Time
	acked   atomic.Int64 // when, in Unix nanoseconds; 0: it is not

	done   chan struct{} // closed when answer and err are there
	answer *Answer
	err    error

	// Of waiters, under its lock.
	next  *Ticket // the next one with the same id
	waits int     // calls of Wait
	idle  *list.Element
	gone  bool // it has been there, and was removed
}

// ID is the request's id as the service knows it, in results, dead letters and logs.
func (t *Ticket) ID() string { return t.id }

// Request is what was sent. Of one that was sent as Encoded it has the id alone.
func (t *Ticket) Request() Request { return t.request }

// Acknowledged is when Kafka acknowledged the request, so that it is in the topic; zero: it has not.
func (t *Ticket) Acknowledged() time.Time {
	at := t.acked.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// Done is closed when Wait returns at once.
func (t *Ticket) Done() <-chan struct{} { return t.done }

// Wait returns the answer, or a *RefusedError. If ctx ends or the client is closed before it is there, it returns an
// *UnknownError; then Wait may be called again. Several may wait for the same ticket.
func (t *Ticket) Wait(ctx context.Context) (*Answer, error) {
	if err := t.wait(ctx); err != nil {
		return nil, err
	}
	return t.answer, nil
}

// wait is Wait without the answer. Its own frame is small, since thousands are on it.
func (t *Ticket) wait(ctx context.Context) error {
	if wait.Over(t.done) {
		return t.err
	}
	ended := ctx.Done()
	t.client.waiters.begin(t)
	select {
	case <-t.done:
		t.client.waiters.end(t)
		return t.err
	case <-ended:
		return t.endInVain(ctx)
	}
}

// endInVain ends a wait whose ctx has ended. An answer that came at the same moment is an answer.
func (t *Ticket) endInVain(ctx context.Context) error {
	t.client.waiters.end(t)
	if wait.Over(t.done) {
		return t.err
	}
	t.client.cfg.Observer.Unanswered()
	return &UnknownError{t, ctx.Err()}
}

// Forget gives the ticket up: Wait returns an *UnknownError with ErrForgotten, unless the answer is there already.
func (t *Ticket) Forget() {
	if t.client.waiters.forget(t) {
		t.complete(nil, &UnknownError{t, ErrForgotten})
	}
}

// complete ends all waits. It is called once, by the one that has removed the ticket from the waiters.
func (t *Ticket) complete(a *Answer, err error) {
	t.answer, t.err = a, err
	close(t.done)
}

// acknowledgement is a ticket as the sender of its request sees it.
type acknowledgement Ticket

// Acknowledged implements link.Ack.
func (a *acknowledgement) Acknowledged() {
	a.acked.Store(time.Now().UnixNano())
	a.client.cfg.Observer.Sent()
}
