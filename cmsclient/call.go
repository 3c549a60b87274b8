package cmsclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

// Call is the permission to make one call, and the call. It belongs to one goroutine.
type Call struct {
	attempt
	hedged *hedged // nil: the attempt is the only one
	err    error   // why nothing was sent
}

var errEnded = errors.New("getting balances: the call has ended, or was not prepared: ask for another one with Admit")

// Get is Prepare, Wait and Answer.
func (call *Call) Get(ctx context.Context, q Query) (Answer, error) {
	defer call.Release()
	call.Prepare(ctx, q)
	call.Wait()
	return call.Answer(ctx)
}

// Prepare begins an HTTP attempt: its time runs, and the request is ready on a connection. What fails, Answer says. (A
// call that is hedged is sent.)
func (call *Call) Prepare(ctx context.Context, q Query) {
	if !call.permit.valid() {
		call.err = errEnded
		return
	}
	if err := q.validate(); err != nil {
		call.Release()
		call.err = fmt.Errorf("getting balances: %w", err)
		return
	}
	if call.client.cfg.HedgeAfter > 0 {
		call.hedged = call.client.hedge(ctx, call.permit, q)
		call.permit = permit{}
		return
	}
	call.query = q
	call.prepare(ctx)
}

// Wait sends the request, and returns when an answer begins or none will, which may take as long as the attempt may.
func (call *Call) Wait() {
	call.exchange.wait()
}

// Answer reads the answer, under Prepare's ctx, and ends the call. Where calls are hedged, it waits, and makes another
// attempt beside one that is slow. (A kept connection that died when it was taken costs no attempt: the request is sent
// again on another one, signed again where calls are signed.)
//
// The error is an *Error, or ctx's error when the caller's own ctx ended first, or says that the query cannot be asked
// at all; nothing was sent then.
func (call *Call) Answer(ctx context.Context) (Answer, error) {
	if h := call.hedged; h != nil {
		call.hedged = nil
		return h.answer()
	}
	if !call.exchange.begun {
		return Answer{}, cmp.Or(call.err, errEnded)
	}
	return call.answer(ctx)
}

// Release ends a call that was not made, or whose answer is not wanted any more; the breaker counts nothing. After
// Answer or Release it does nothing, so it can be deferred right after Admit.
func (call *Call) Release() {
	if h := call.hedged; h != nil {
		call.hedged = nil
		h.end()
	}
	if call.permit.valid() {
		call.exchange.giveUp()
		call.end(0, errNotSent)
	}
}

// attempt is one HTTP attempt. It goes in steps: thousands may wait for their answers at the same time, and what the
// other steps need is not on the stack meanwhile.
type attempt struct {
	client   *Client
	permit   permit // not valid: it has ended
	query    Query
	exchange exchange
	began    time.Time
	ended    func(status int, class string) // Query.Attempt's; may be nil
	cancel   context.CancelFunc             // ends the time that Config.Transport has; nil: that is not used
}

// prepare begins the attempt's own time limit.
func (a *attempt) prepare(ctx context.Context) {
	a.began = time.Now()
	if a.query.Attempt != nil {
		a.query.Traceparent, a.ended = a.query.Attempt()
	}
	if a.client.cfg.Transport != nil {
		a.send(ctx)
		return
	}
	a.begin(a.until(ctx))
}

// send has Config.Transport, which knows contexts only, and may keep the request, send it.
func (a *attempt) send(ctx context.Context) {
	c := a.client
	ctx, a.cancel = context.WithTimeout(ctx, c.cfg.Timeout)
	c.sending.prepare(&a.exchange, c.request(ctx, &a.query, c.newOutgoing()))
}

// until is ctx with the attempt's time limit.
func (a *attempt) until(ctx context.Context) context.Context {
	return http1.Until(ctx, a.began.Add(a.client.cfg.Timeout))
}

// begin prepares the request. What it consists of is there only meanwhile.
func (a *attempt) begin(ctx context.Context) {
	c := a.client
	out, ok := c.requests.Get().(*outgoing)
	if !ok {
		out = c.newOutgoing()
	}
	defer c.requests.Put(out)
	c.sending.prepare(&a.exchange, c.request(ctx, &a.query, out))
}

// response returns the answer when its header is there. What met a connection that had ended while it was idle is sent
// again, once, and signed again: a nonce may be used only once (RFC 5849 §3.3).
func (a *attempt) response(ctx context.Context, room *http1.Room) (*http.Response, error) {
	resp, err := a.exchange.response(room)
	if _, stale := errors.AsType[*http1.StaleError](err); stale && ctx.Err() == nil {
		a.begin(http1.OnNewConnection(a.until(ctx)))
		a.exchange.wait()
		return a.exchange.response(room)
	}
	return resp, err
}

// answer ends the attempt, also when something panics: a permit that never ends would make others wait, a half-open
// breaker's all of them.
func (a *attempt) answer(ctx context.Context) (answer Answer, err error) {
	status := 0
	err = errNotSent
	defer func() { a.end(status, err) }()
	answer, status, err = a.read(ctx)
	if e, ok := errors.AsType[*Error](err); ok {
		e.CorrelationID = a.query.CorrelationID
	}
	a.client.obs.called(callClass(status, err), time.Since(a.began))
	return answer, err
}

func (a *attempt) end(status int, err error) {
	defer a.client.admission.finish(a.permit, err)
	a.permit = permit{}
	if a.cancel != nil {
		a.cancel()
	}
	if a.ended != nil {
		a.ended(status, callClass(status, err))
	}
}

// read reads the answer. The status is 0 when none came.
func (a *attempt) read(ctx context.Context) (_ Answer, status int, _ error) {
	c := a.client
	b, ok := c.bodies.Get().(*body)
	if !ok {
		b = newBody()
	}
	defer func() {
		if b.reset() {
			c.bodies.Put(b)
		}
	}()
	resp, err := a.response(ctx, &b.room)
	if err != nil {
		return Answer{}, 0, c.incomplete(ctx, nil, err)
	}
	defer func() { _ = resp.Body.Close() }() // reading it has told everything
	answer := Answer{RetrievedAt: time.Now(), CMSCorrelationID: cmsCorrelationID(resp.Header)}

	readErr := b.read(resp.Body, c.cfg.MaxResponseBytes)
	if readErr == nil {
		if err := b.plain(resp.Header, c.cfg.MaxResponseBytes); err != nil {
			return Answer{}, resp.StatusCode, c.coded(resp, err)
		}
		if balances, ok := plainBalances(b.buffer.Bytes(), a.query.Codes); ok && resp.StatusCode/100 == 2 {
			answer.Balances = balances
			return answer, resp.StatusCode, nil
		}
		if err := c.decrypt(b); err != nil {
			return Answer{}, resp.StatusCode, c.undecrypted(resp, err)
		}
	}
	if resp.StatusCode/100 == 2 {
		answer.Balances, err = c.decode(ctx, resp, b, a.query.Codes, readErr)
	} else {
		err = c.refused(ctx, resp, b, readErr)
	}
	if err != nil {
		return Answer{}, resp.StatusCode, err
	}
	return answer, resp.StatusCode, nil
}
