package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/client/internal/link"
	"github.com/balanceq/balanceq/schemas"
)

// Client sends requests and waits for their answers. It is safe for concurrent use.
type Client struct {
	cfg     Config
	waiters *waiters
	link    link.Link
}

// Open connects, and returns when the answers to all that will be sent are being read. It fails when ctx ends before,
// when a topic does not exist, and when the brokers refuse this client.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return Over(cfg, func(cfg Config, take link.Take) (link.Link, error) { return openKafka(ctx, cfg, take) })
}

// Over is Open for package clienttest, over another link than Kafka.
func Over(cfg Config, open func(Config, link.Take) (link.Link, error)) (*Client, error) {
	cfg = cfg.withDefaults()
	c := &Client{cfg: cfg, waiters: newWaiters(cfg.MaxWaiting)}
	var err error
	c.link, err = open(cfg, link.Take{Wanted: c.waiters.wanted, Result: c.result, DeadLetter: c.deadLetter})
	if err != nil {
		return nil, fmt.Errorf("client: opening: %w", err)
	}
	return c, nil
}

// Ask sends a request and waits for its answer. Errors are those of Send, and of Ticket.Wait: *RefusedError is final,
// *UnknownError is not.
func (c *Client) Ask(ctx context.Context, r Request) (*Answer, error) {
	t, err := c.ask(ctx, &r)
	if err != nil {
		return nil, err
	}
	return t.answer, nil
}

// ask is Ask without the answer. It sends on a goroutine of its own: encoding and writing take a stack of 4 to 8 KiB,
// and the runtime does not give back the stack of who waits next. So ten thousand who wait have stacks of 2 KiB.
func (c *Client) ask(ctx context.Context, r *Request) (t *Ticket, err error) {
	sent := make(chan struct{})
	var panicked any // of Config.Propagate; it is its caller's, who may have a recover
	go func() {
		defer close(sent)
		defer func() { panicked = recover() }()
		err = errExited
		t, err = c.send(ctx, r)
	}()
	<-sent
	if panicked != nil {
		panic(panicked)
	}
	if err == nil {
		err = t.wait(ctx)
	}
	return t, err
}

// errExited is the error where runtime.Goexit was called.
var errExited = errors.New("client: the request was not sent: Config.Propagate did not return")

// Send sends a request and does not wait for its answer, but for room: while Config.MaxWaiting requests have no answer,
// or Kafka does not take them as fast as they come. After an error nothing was sent, and nothing will be: one of ctx,
// ErrClosed, or a *schemas.RequestError that names the member to correct.
func (c *Client) Send(ctx context.Context, r Request) (*Ticket, error) { return c.send(ctx, &r) }

func (c *Client) send(ctx context.Context, r *Request) (*Ticket, error) {
	e, err := c.encode(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.write(ctx, &e, r)
}

// SendEncoded is Send for a request that is encoded already. Nothing of it is checked or changed; what is no valid
// request is refused by the service.
func (c *Client) SendEncoded(ctx context.Context, e Encoded) (*Ticket, error) {
	if e.ID == "" {
		return nil, errors.New("client: ID: is empty; give the id that the request has, else its answer is not known")
	}
	return c.write(ctx, &e, &Request{ID: e.ID})
}

func (c *Client) write(ctx context.Context, e *Encoded, r *Request) (*Ticket, error) {
	t := &Ticket{client: c, request: *r, id: e.ID, key: string(e.Key), keyed: e.Key != nil, sent: time.Now(),
		done: make(chan struct{})}
	if err := ctx.Err(); err != nil { // neither the room nor the producer's buffer asks, where there is room
		return nil, notSent(err)
	}
	if err := c.waiters.add(ctx, t); err != nil {
		return nil, notSent(err)
	}
	m := schemas.Message{Key: e.Key, Value: e.Value, Headers: e.Headers, Time: t.sent}
	if err := c.link.Write(ctx, m, (*acknowledgement)(t)); err != nil {
		c.waiters.forget(t)
		if c.waiters.closed() {
			err = ErrClosed
		}
		return nil, notSent(err)
	}
	return t, nil
}

func notSent(err error) error {
	if errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("client: the request was not sent: %w", err)
}

// result takes a record of the results topic. What answers no request of this client, or repeats an answer, is dropped.
func (c *Client) result(rec *schemas.Record) {
	result, err := schemas.DecodeResult(rec.Value)
	if err != nil {
		return // of another writer
	}
	if result.Outcome == schemas.OutcomeFailed {
		if c.cfg.DeadLetters == "" { // else its dead letter says more
			c.refuse(result.RequestID, &RefusedError{Reason: result.Reason})
		}
		return
	}
	t := c.waiters.take(result.RequestID)
	if t == nil {
		return
	}
	a := &Answer{
		Request: t.request, Result: result, JSON: bytes.Clone(schemas.Unframe(rec.Value)), Took: time.Since(t.sent),
	}
	c.cfg.Observer.Answered(a.Took, "")
	t.complete(a, nil)
}

// deadLetter takes a record of the dead-letter topic. It repeats the request, so its id is there as it was sent, but
// where the record was too large; then the header has it.
func (c *Client) deadLetter(rec *schemas.Record) {
	info := schemas.ReadDeadLetter(rec)
	original := *rec
	original.Position = nowhere
	request, _ := schemas.DecodeRequest(&original) // its error is often why it is a dead letter
	id := request.ID
	if id == nowhere.String() {
		id = info.RequestID
	}
	c.refuse(id, &RefusedError{Reason: info.Reason, Detail: info.Detail, DeadLetter: rec})
}

func (c *Client) refuse(id string, refused *RefusedError) {
	t := c.waiters.take(id)
	if t == nil {
		return
	}
	refused.Request = t.request
	if refused.DeadLetter != nil {
		refused.DeadLetter = clone(refused.DeadLetter)
	}
	c.cfg.Observer.Answered(time.Since(t.sent), refused.Reason)
	t.complete(nil, refused)
}

// clone copies what would else keep a whole answer of the brokers in memory.
func clone(rec *schemas.Record) *schemas.Record {
	own := *rec
	own.Key, own.Value = bytes.Clone(rec.Key), bytes.Clone(rec.Value)
	own.Headers = make([]schemas.Header, len(rec.Headers))
	for i, h := range rec.Headers {
		own.Headers[i] = schemas.Header{Key: h.Key, Value: bytes.Clone(h.Value)}
	}
	return &own
}

// Close takes no more requests, waits until those under way have their answers or ctx ends, and closes the connections.
// Tickets whose last wait has ended in vain it does not wait for. What has no answer by then has an *UnknownError that
// wraps ErrClosed; Close's own error says how many those are. Further calls do nothing.
func (c *Client) Close(ctx context.Context) error {
	if !c.waiters.close() {
		return nil
	}
	select {
	case <-c.waiters.drained:
	case <-ctx.Done():
	}
	err := c.link.Flush(ctx)
	c.link.Close()
	left := c.waiters.rest()
	for _, t := range left {
		t.complete(nil, &UnknownError{t, ErrClosed})
	}
	if err == nil && ctx.Err() != nil && len(left) > 0 {
		err = fmt.Errorf("client: closed while %d requests had no answer: %w", len(left), ctx.Err())
	}
	return err
}
