package processor

import (
	"context"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// Step is what a handler does.
type Step int

// The steps. A handler begins with the first.
const (
	StepWaiting    Step = iota // it waits for permission to call the CMS, and has not called it yet
	StepAsking                 // it calls the CMS, or waits before it calls again
	StepCompleting             // it hands an outcome over
	StepAside                  // it waits for what may take long, and has given its worker to others
)

// Progress hears how far one call of Handle is, from that goroutine alone. Its methods must not block.
type Progress interface {
	// Took says that these requests are out of the lane and in the handler's hands.
	Took(reqs []*inflight.Request)
	// Step says what the handler does from now on.
	Step(s Step)
	// Completed says that the outcome of a request is handed over.
	Completed(req *inflight.Request)
	// End says that the handler returns.
	End()
}

// unheard is the Progress where there is none to hear of it.
type unheard struct{}

func (unheard) Took([]*inflight.Request)    {}
func (unheard) Step(Step)                   {}
func (unheard) Completed(*inflight.Request) {}
func (unheard) End()                        {}

// handling is one call of Handle: a lane, and who hears how far it is.
type handling struct {
	lane     Lane
	progress Progress
	replies  *Replies
}

func (p *Processor) begin(lane Lane) handling {
	if p.cfg.Progress == nil {
		return handling{lane, unheard{}, &p.cfg.Replies}
	}
	return handling{lane, p.cfg.Progress(lane.Contract()), &p.cfg.Replies}
}

// take lets requests that wait in the lane join a group.
func (h *handling) take(q *query) {
	before := len(q.requests)
	if before == q.limit {
		return
	}
	if h.lane.Take(q.limit-before, q.join); len(q.requests) > before {
		h.progress.Took(q.requests[before:])
	}
}

// stepAside runs wait and gives the handler's worker to others meanwhile.
func (h *handling) stepAside(ctx context.Context, wait func()) {
	h.progress.Step(StepAside)
	defer h.progress.Step(StepAsking)
	h.lane.StepAside(ctx, wait)
}

// complete hands an outcome over.
func (h *handling) complete(ctx context.Context, req *inflight.Request, out schemas.Outcome) {
	h.progress.Step(StepCompleting)
	h.replies.address(req, &out)
	req.Complete(ctx, out)
	h.progress.Completed(req)
	if req.Span != nil {
		endSpan(req, out)
	}
}

func endSpan(req *inflight.Request, out schemas.Outcome) {
	errorType := ""
	switch {
	case !req.Owned():
		errorType = inflight.ErrorRevoked
	case out.DeadLetter != nil:
		errorType = string(out.DeadLetter.Reason)
	}
	req.Span.End(errorType)
}
