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
func (p *Processor) answer(ctx context.Context, h handling, q *query) (alone bool) {
	defer p.recover(ctx, h, q)
	var backoff *cmsclient.Backoff
	admit := p.cms.Admit
	for {
		call, err := admit(ctx)
		if err != nil {
			return false
		}
		answer, sent, err := p.ask(ctx, h, q, call)
		if len(q.requests) == 0 {
			return false
		}
		if errors.Is(err, errNotAsked) {
			continue
		}
		if err == nil {
			p.applyAnswer(ctx, h, q, answer, sent)
			return false
		}
		if ctx.Err() != nil {
			return false
		}
		next := p.applyFailure(ctx, h, q, err, sent)
		if next == askAlone {
			return true
		}
		// What failed in an outage is no retry when it is over: the budget is for a CMS that works and fails now and then.
		if admit = p.cms.Admit; next == retry {
			admit = p.cms.AdmitRetry
		}
		if len(q.requests) == 0 {
			return false
		}
		if backoff == nil {
			backoff = cmsclient.NewBackoff(p.cfg.BackoffInitial, p.cfg.BackoffMax)
		}
		if !p.pause(ctx, h, backoff.Next(retryAfter(err)), q.deadline()) {
			return false
		}
		p.probe(ctx, q.ContractID, q.requests[0].LastFailure)
	}
}

// errNotAsked says that a call was given back because some of its requests were rejected instead.
var errNotAsked = errors.New("nothing was asked: the permit for it was given back")

// ask makes one call, unless some requests of the query may not be asked for: then it rejects those. sent is when
// the call was made.
func (p *Processor) ask(
	ctx context.Context, h handling, q *query, call *cmsclient.Call,
) (_ cmsclient.Answer, sent time.Time, _ error) {
	// Also when something panics: a permit that is not ended keeps others waiting, a half-open breaker's all of them.
	defer call.Release()
	// What waits in the lane now joins this call; it has not been sent yet.
	h.take(q)
	h.progress.Step(StepAsking)
	if len(q.requests) == 0 {
		return cmsclient.Answer{}, time.Time{}, nil
	}
	now := time.Now()
	if slices.ContainsFunc(q.requests, func(req *inflight.Request) bool {
		rejected, _, _ := p.rejects(req, now)
		return rejected
	}) {
		call.Release() // a dead letter may have to wait for hours, and no other call must wait for this permit meanwhile
		p.reject(ctx, h, q, now)
		h.progress.Step(StepAsking)
		return cmsclient.Answer{}, time.Time{}, errNotAsked
	}
	for _, req := range q.requests {
		req.Attempts++
	}
	p.saved.Add(uint64(len(q.requests) - 1)) //nolint:gosec // there is one at least
	sent = time.Now()
	answer, err := call.Get(ctx, q.Query)
	return answer, sent, err
}

// applyAnswer completes all requests of the query with their results.
func (p *Processor) applyAnswer(ctx context.Context, h handling, q *query, answer cmsclient.Answer, sent time.Time) {
	p.outages.answered(sent)
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
func (p *Processor) applyFailure(ctx context.Context, h handling, q *query, err error, sent time.Time) (next action) {
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
		p.outages.answered(sent)
	}
	share, gaveUp := p.refused(ctx, q, cms.Class, sent)
	now := time.Now()
	closed := p.cms.Status().Breaker == cmsclient.BreakerClosed
	shared := q.shared()
	next = noVerdict
	q.filter(func(req *inflight.Request) bool {
		p.outages.count(req, cms.Class, now)
		act, reason := decide(failure{
			class: cms.Class, counted: req.Counted, maxAttempts: p.cfg.MaxAttempts, breakerClosed: closed, shared: shared,
			chance: chance(share, req.Counted), gaveUp: gaveUp,
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
			p.deadLetter(ctx, h, req, d)
			return false
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
		return true, schemas.ReasonExpired,
			fmt.Sprintf("deadline: %s passed before the CMS could be asked", deadline.UTC().Format(time.RFC3339Nano))
	}
	return false, "", ""
}

// reject dead-letters the requests of the query that may not be asked for, and leaves out those that are not owned any
// more.
func (p *Processor) reject(ctx context.Context, h handling, q *query, now time.Time) {
	q.filter(func(req *inflight.Request) bool {
		rejected, reason, detail := p.rejects(req, now)
		if reason != "" {
			p.deadLetter(ctx, h, req, p.newDeadLetter(req, reason, detail, q))
		}
		return !rejected
	})
}
