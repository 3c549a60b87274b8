package processor

import (
	"context"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

// newDeadLetter describes why a request is given up. g may be nil.
func (p *Processor) newDeadLetter(inq *schemas.Inquiry, reason schemas.Reason, detail string, g *group) *schemas.DeadLetter {
	d := &schemas.DeadLetter{
		Record: inq.Record, Reason: reason, Detail: detail, RequestID: inq.Request.ID,
		Attempts: inq.Attempts, FirstFailure: inq.FirstFailure, LastFailure: inq.LastFailure,
	}
	if g != nil && inq.Attempts > 0 {
		d.CorrelationID = g.correlation
	}
	return d
}

// failedWith notes what the CMS said last.
func failedWith(d *schemas.DeadLetter, cms *cmsclient.Error) {
	d.HTTPStatus, d.CMSReasonCode, d.CMSCorrelationID = cms.Status, cms.ReasonCode, cms.CMSCorrelationID
}

// bury hands in a dead letter as soon as that may be, or never, if ctx ends before.
//
// The check and the time stamp stand side by side: the breaker may still open between them and the write, but then the
// stamp is older than the opening.
func (p *Processor) bury(ctx context.Context, lane Lane, inq *schemas.Inquiry, d *schemas.DeadLetter) {
	if !p.mayBury(ctx, lane, inq, d.Reason) {
		return
	}
	d.DecidedAt = time.Now()
	out := schemas.Outcome{DeadLetter: d}
	if p.cfg.PublishFailures {
		out.Result = &schemas.Result{
			RequestID: d.RequestID, ContractID: inq.Request.ContractID, Outcome: schemas.OutcomeFailed, Reason: d.Reason,
			MissingBalanceCodes: inq.Request.BalanceCodes, RetrievedAt: d.DecidedAt, CorrelationID: d.CorrelationID,
			CMSCorrelationID: d.CMSCorrelationID, Source: inq.Record.Position, Log: inq.Record.Log,
		}
	}
	p.announce(inq, d)
	lane.Settle(ctx, inq, out)
}

// mayBury waits for the two things that keep dead letters back. It is false when ctx ended, or when the request came to be
// somebody else's meanwhile. It may take until an operator comes, so it holds no handler's place: good requests of others
// have their results meanwhile.
func (p *Processor) mayBury(ctx context.Context, lane Lane, inq *schemas.Inquiry, reason schemas.Reason) (may bool) {
	changed := p.buryingWaits(reason)
	if changed == nil {
		return true
	}
	lane.StepAside(ctx, func() { may = p.awaitBurying(ctx, lane, inq, reason, changed) })
	return may
}

// awaitBurying waits for changed, and for what else buryingWaits names then.
func (p *Processor) awaitBurying(
	ctx context.Context, lane Lane, inq *schemas.Inquiry, reason schemas.Reason, changed <-chan struct{},
) (may bool) {
	gone := lane.Gone(inq)
	for changed != nil {
		select {
		case <-changed:
		case <-ctx.Done():
		case <-gone:
		}
		if ctx.Err() != nil || ended(gone) {
			p.budget.leave(changed)
			return false
		}
		changed = p.buryingWaits(reason)
	}
	return true
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// buryingWaits returns nil when a dead letter is to be handed in now. Else the channel is closed when that may have changed:
//
//   - while the breaker is open the dead-letter topic stays silent, so that whoever finds a record there knows that it is
//     about that record and not about an outage;
//   - while the budget is spent it must not be filled any further before somebody has looked, with what spends it.
func (p *Processor) buryingWaits(reason schemas.Reason) (changed <-chan struct{}) {
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
func (p *Processor) announce(inq *schemas.Inquiry, d *schemas.DeadLetter) {
	event := p.log.Info()
	if d.Reason == schemas.ReasonInternalError {
		event = p.log.Error()
	}
	event.Stringer("record", inq.Record.Position).Str("request_id", schemas.Mask(d.RequestID)).Str("reason", string(d.Reason)).
		Str("detail", schemas.Mask(d.Detail)).Int("attempts", d.Attempts)
	if d.CorrelationID != "" {
		event.Str("correlation_id", d.CorrelationID)
	}
	if d.CMSCorrelationID != "" {
		event.Str("cms_correlation_id", schemas.Mask(d.CMSCorrelationID))
	}
	event.Msg("dead letter")
}
