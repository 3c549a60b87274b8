package processor

import (
	"context"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/schemas"
)

// newDeadLetter describes why a request is given up. q may be nil.
func (p *Processor) newDeadLetter(req *inflight.Request, reason schemas.Reason, detail string,
	q *query) *schemas.DeadLetter {
	d := &schemas.DeadLetter{
		Record: &req.Record, Reason: reason, Detail: detail, RequestID: req.Request.ID,
		Attempts: req.Attempts, FirstFailure: req.FirstFailure, LastFailure: req.LastFailure,
	}
	if q != nil && req.Attempts > 0 {
		d.CorrelationID = q.CorrelationID
	}
	return d
}

// failedWith notes what the CMS said last.
func failedWith(d *schemas.DeadLetter, cms *cmsclient.Error) {
	d.HTTPStatus, d.CMSReasonCode, d.CMSCorrelationID = cms.Status, cms.ReasonCode, cms.CMSCorrelationID
}

// giveUp completes a request with the dead letter that an answer of the CMS has decided on. A verdict that has had to
// wait is not written: an outage, or what spent the budget, is over since, and may be why the CMS answered so. Then it
// returns true, and the request is to be asked for once more.
func (p *Processor) giveUp(
	ctx context.Context, h *handling, req *inflight.Request, d *schemas.DeadLetter,
) (again bool) {
	changed := p.deadLetterWaits(d.Reason)
	if changed == nil {
		p.writeDeadLetter(ctx, h, req, d)
		return false
	}
	h.stepAside(ctx, func() { again = p.awaitDeadLettering(ctx, req, changed) })
	if deadline := req.Request.Deadline; again && !deadline.IsZero() && !time.Now().Before(deadline) {
		p.deadLetter(ctx, h, req, d) // there is no better answer than that one any more
		return false
	}
	return again
}

// deadLetter completes a request with a dead letter as soon as that may be, or never, if ctx ends before, or if the
// request is not owned any more. It may take until an operator comes, so it holds no worker: good requests of others
// have their results meanwhile.
func (p *Processor) deadLetter(ctx context.Context, h *handling, req *inflight.Request, d *schemas.DeadLetter) {
	for changed := p.deadLetterWaits(d.Reason); changed != nil; changed = p.deadLetterWaits(d.Reason) {
		may := false
		h.stepAside(ctx, func() { may = p.awaitDeadLettering(ctx, req, changed) })
		if !may {
			return
		}
	}
	p.writeDeadLetter(ctx, h, req, d)
}

// awaitDeadLettering waits for changed. It returns false if ctx ended, or the request is not owned any more.
func (p *Processor) awaitDeadLettering(ctx context.Context, req *inflight.Request, changed <-chan struct{}) bool {
	revoked := req.Revoked()
	select {
	case <-changed:
	case <-ctx.Done():
	case <-revoked:
	}
	if ctx.Err() != nil || wait.Over(revoked) {
		p.budget.leave(changed)
		return false
	}
	return true
}

// writeDeadLetter hands a dead letter in. Its caller has just found that it may.
//
// The check and the time stamp stand side by side: the breaker may still open between them and the write, but then the
// stamp is older than the opening.
func (p *Processor) writeDeadLetter(ctx context.Context, h *handling, req *inflight.Request, d *schemas.DeadLetter) {
	d.DecidedAt = time.Now()
	if req.Span == nil && p.cfg.FollowDeadLetter != nil {
		req.Span = p.cfg.FollowDeadLetter(req)
	}
	out := schemas.Outcome{DeadLetter: d}
	if p.cfg.PublishFailures {
		out.Result = &schemas.Result{
			RequestID: d.RequestID, ContractID: req.Request.ContractID, Outcome: schemas.OutcomeFailed, Reason: d.Reason,
			MissingBalanceCodes: req.Request.BalanceCodes, RetrievedAt: d.DecidedAt, CorrelationID: d.CorrelationID,
			CMSCorrelationID: d.CMSCorrelationID, Source: req.Record.Position, Log: req.Record.Log,
		}
	}
	p.announce(req, d)
	h.complete(ctx, req, out)
}

// deadLetterWaits returns nil when a dead letter is to be handed in now. Else the channel is closed when that may have
// changed:
//
//   - while the breaker is open the dead-letter topic stays silent, so that a record that is found there is
//     about that record and not about an outage;
//   - while the budget is spent it must not be filled any further before an operator has looked, with what spends it.
func (p *Processor) deadLetterWaits(reason schemas.Reason) (changed <-chan struct{}) {
	for p.cms.BreakerOpen() {
		if _, changed := p.cms.Waiting(); p.cms.BreakerOpen() {
			return changed
		}
	}
	if !spends(reason) {
		return nil
	}
	return p.budget.take(time.Now(), reason)
}

// announce writes the log line of a dead letter. The correlation ids are there only if the CMS was asked.
func (p *Processor) announce(req *inflight.Request, d *schemas.DeadLetter) {
	event := p.log.Info()
	if d.Reason == schemas.ReasonInternalError {
		event = p.log.Error().Str("event", "internal_error")
	}
	event.Stringer("record", req.Record.Position).Str("request_id", schemas.Mask(d.RequestID)).
		Str("reason", string(d.Reason)).
		Str("detail", schemas.Mask(d.Detail)).Int("attempts", d.Attempts)
	if d.CorrelationID != "" {
		event.Str("correlation_id", d.CorrelationID)
	}
	if d.CMSCorrelationID != "" {
		event.Str("cms_correlation_id", schemas.Mask(d.CMSCorrelationID))
	}
	event.EmbedObject(req).Msg("dead letter")
}
