package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// answer asks the CMS until every request of the query is completed. It returns true when the requests that are left in
// the query have to be asked for one by one.
func (p *Processor) answer(ctx context.Context, h *handling, q *query) (alone bool) {
	defer p.recover(ctx, h, q)
	q.waiting = inflight.Now()
	for {
		call, err := p.admit(ctx, q)
		if err != nil {
			return false
		}
		p.ask(ctx, h, q, call)
		switch {
		case q.next == askAlone:
			return true
		case len(q.requests) == 0 || ctx.Err() != nil:
			return false
		}
	}
}

// admit waits until a call may be made. What failed in an outage is no retry when it is over: the budget is for a CMS
// that works and fails now and then.
func (p *Processor) admit(ctx context.Context, q *query) (*cmsclient.Call, error) {
	if q.next == retry {
		return p.cms.AdmitRetry(ctx)
	}
	return p.cms.Admit(ctx)
}

// ask makes one call. Thousands of handlers may wait for an answer at the same time, so what is done before and after
// is not on their stacks meanwhile.
func (p *Processor) ask(ctx context.Context, h *handling, q *query, call *cmsclient.Call) {
	// Also when something panics: a permit that is not ended keeps others waiting, a half-open breaker's all of them.
	defer call.Release()
	if p.gather(ctx, h, q, call) {
		prepare(ctx, q, call)
		call.Wait()
		p.end(ctx, h, q, call)
	}
}

// prepare has the call ready.
func prepare(ctx context.Context, q *query, call *cmsclient.Call) {
	q.sent = time.Now()
	call.Prepare(ctx, q.Query)
}

// gather has what is to be asked in the query, unless some of its requests may not be asked for: then it rejects those.
func (p *Processor) gather(ctx context.Context, h *handling, q *query, call *cmsclient.Call) (ready bool) {
	// What waits in the lane now joins this call; it has not been sent yet.
	h.take(q)
	h.progress.Step(StepAsking)
	if len(q.requests) == 0 {
		return false
	}
	now := time.Now()
	if slices.ContainsFunc(q.requests, func(req *inflight.Request) bool {
		rejected, _, _ := p.rejects(req, now)
		return rejected
	}) {
		call.Release() // a dead letter may have to wait for hours, and no other call must wait for this permit meanwhile
		p.reject(ctx, h, q, now)
		h.progress.Step(StepAsking)
		return false
	}
	for _, req := range q.requests {
		if req.Attempts++; req.Attempts == 1 {
			req.Stages.Waiting, req.Stages.Asked = max(q.waiting, req.Stages.Started), inflight.At(now)
		}
	}
	p.saved.Add(uint64(len(q.requests) - 1)) //nolint:gosec // there is one at least
	q.follow()
	return true
}

// end reads the answer and does what follows from it. Requests that it leaves in the query can be asked for once more
// when it returns, as q.next says.
func (p *Processor) end(ctx context.Context, h *handling, q *query, call *cmsclient.Call) {
	answer, err := call.Answer(ctx)
	switch {
	case err == nil:
		p.applyAnswer(ctx, h, q, answer)
		return
	case ctx.Err() != nil:
		return
	}
	q.next = p.applyFailure(ctx, h, q, err)
	if q.next == askAlone || len(q.requests) == 0 {
		return
	}
	if q.backoff == nil {
		q.backoff = cmsclient.NewBackoff(p.cfg.BackoffInitial, p.cfg.BackoffMax)
	}
	if p.pause(ctx, h, q.backoff.Next(retryAfter(err)), q.deadline()) {
		p.probe(ctx, q.ContractID, q.requests[0].LastFailure)
	}
}

// applyAnswer completes all requests of the query with their results.
func (p *Processor) applyAnswer(ctx context.Context, h *handling, q *query, answer cmsclient.Answer) {
	p.outages.answered(q.sent)
	p.outages.remember(q.ContractID, q.Codes)
	p.refusals.answer(q.ContractID, q.requests[0].Attempts == 1)
	all, shared := q.requests, q.shared()
	for i, req := range all {
		p.budget.answer(time.Now())
		h.complete(ctx, req, schemas.Outcome{Result: q.result(req, answer, shared)})
		q.requests = all[i+1:] // one by one: if something panics, those that are completed must not be dead-lettered too
	}
}

// applyFailure dead-letters those requests of the query that a failed call decides about, and leaves the others in it.
// It returns what to do with these.
func (p *Processor) applyFailure(ctx context.Context, h *handling, q *query, err error) (next action) {
	cms, ok := errors.AsType[*cmsclient.Error](err)
	if !ok {
		// The client refused to send it: a mistake of this program, which asking again would not fix.
		p.log.Error().Str("event", "request_unaskable").Err(err).Msg("the CMS client refused a request")
		q.filter(func(req *inflight.Request) bool {
			p.deadLetter(ctx, h, req, p.newDeadLetter(req, schemas.ReasonInternalError, err.Error(), q))
			return false
		})
		return next
	}
	if isAnswer(cms.Class) {
		p.outages.answered(q.sent)
	}
	others, gaveUp := p.refused(ctx, q, cms.Class, q.sent)
	now := time.Now()
	closed := p.cms.Status().Breaker == cmsclient.BreakerClosed
	shared := q.shared()
	next = noVerdict
	again := false // one of them has waited, so that the answer is old for those after it, too
	q.filter(func(req *inflight.Request) bool {
		if again {
			return true
		}
		p.outages.count(req, cms.Class, now)
		act, reason := decide(failure{
			class: cms.Class, counted: req.Counted, maxAttempts: p.cfg.MaxAttempts, breakerClosed: closed, shared: shared,
			chance: others.chance(req.Counted), gaveUp: gaveUp,
		})
		switch act {
		case noVerdict:
		case retry, askAlone:
			next = max(next, act)
		case deadLetter:
			d := p.newDeadLetter(req, reason, cms.Detail(), q)
			failedWith(d, cms)
			if isRefusal(cms.Class) {
				p.refusals.giveUp(q.ContractID, now)
			}
			again = p.giveUp(ctx, h, req, d)
			return again
		}
		return true
	})
	return next
}

// rejects says whether a request may not be asked for (any more), and why. Without a reason it is not owned any more.
func (p *Processor) rejects(req *inflight.Request,
	now time.Time) (rejected bool, reason schemas.Reason, detail string) {
	switch deadline := req.Request.Deadline; {
	case !req.Owned():
		return true, "", ""
	case p.cfg.RefuseCardNumbers && schemas.LooksLikeCardNumber(req.Request.ContractID):
		return true, schemas.ReasonInvalidRequest,
			"contractId: looks like a card number, which this service is configured to refuse; send the contract's CMS id"
	case !deadline.IsZero() && !now.Before(deadline):
		again := ""
		if req.Attempts > 0 {
			again = " again"
		}
		return true, schemas.ReasonExpired, fmt.Sprintf("deadline: %s passed %s before the CMS could be asked%s",
			deadline.UTC().Format(time.RFC3339Nano), now.Sub(deadline).Round(time.Millisecond), again)
	}
	return false, "", ""
}

// reject dead-letters the requests of the query that may not be asked for, and leaves out those that are not owned any
// more.
func (p *Processor) reject(ctx context.Context, h *handling, q *query, now time.Time) {
	q.filter(func(req *inflight.Request) bool {
		rejected, reason, detail := p.rejects(req, now)
		if reason != "" {
			p.deadLetter(ctx, h, req, p.newDeadLetter(req, reason, detail, q))
		} else if rejected && req.Span != nil {
			req.Span.End(inflight.ErrorRevoked)
		}
		return !rejected
	})
}
