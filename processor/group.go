package processor

import (
	"slices"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"

	"github.com/google/uuid"
)

// group is the requests of one contract that share a call. It may grow until the call is sent, never after: no answer is
// older than its question.
type group struct {
	contract    int64
	requests    []*inflight.Request
	codes       []string // the union of what they ask for
	correlation string
	limit       int // requests
}

func newGroup(contract int64, limit int) *group {
	return &group{contract: contract, limit: limit, correlation: uuid.NewString()}
}

// join adds a request if there is room for it and its codes.
func (g *group) join(req *inflight.Request) bool {
	if len(g.requests) == 0 {
		g.codes = req.Request.BalanceCodes // not copied: it is cloned when somebody joins
		g.requests = append(g.requests, req)
		return true
	}
	if len(g.requests) >= g.limit {
		return false
	}
	union := slices.Clone(g.codes)
	for _, code := range req.Request.BalanceCodes {
		if !slices.Contains(union, code) {
			union = append(union, code)
		}
	}
	if len(union) > schemas.MaxBalanceCodes {
		return false
	}
	g.codes = union
	g.requests = append(g.requests, req)
	return true
}

func (g *group) shared() bool { return len(g.requests) > 1 }

// keep drops the requests that keep refuses, and their codes.
func (g *group) keep(keep func(*inflight.Request) bool) {
	all, i := g.requests, 0
	kept := make([]*inflight.Request, 0, len(all))
	defer func() {
		kept = append(kept, all[i:]...) // if keep panicked: those it has refused by then are settled and must stay out
		if len(kept) == len(all) {
			return
		}
		g.requests, g.codes = nil, nil
		for _, req := range kept {
			g.join(req)
		}
	}()
	for ; i < len(all); i++ {
		if keep(all[i]) {
			kept = append(kept, all[i])
		}
	}
}

// deadline is the earliest of the group; zero: there is none.
func (g *group) deadline() time.Time {
	var earliest time.Time
	for _, req := range g.requests {
		if d := req.Request.Deadline; !d.IsZero() && (earliest.IsZero() || d.Before(earliest)) {
			earliest = d
		}
	}
	return earliest
}

// result picks a request's own codes out of the answer to the group; shared says that there may be others.
func (g *group) result(req *inflight.Request, answer cmsclient.Answer, shared bool) *schemas.Result {
	r := &schemas.Result{
		RequestID: req.Request.ID, ContractID: g.contract, Outcome: schemas.OutcomeComplete,
		Balances: answer.Balances, RetrievedAt: answer.RetrievedAt,
		CorrelationID: g.correlation, CMSCorrelationID: answer.CMSCorrelationID, Source: req.Record.Position, Log: req.Record.Log,
	}
	if shared {
		r.Balances = nil
		for _, b := range answer.Balances {
			if slices.Contains(req.Request.BalanceCodes, b.Code) {
				r.Balances = append(r.Balances, b)
			}
		}
	}
	for _, code := range req.Request.BalanceCodes {
		if !slices.ContainsFunc(r.Balances, func(b schemas.Balance) bool { return b.Code == code }) {
			r.MissingBalanceCodes = append(r.MissingBalanceCodes, code)
			r.Outcome = schemas.OutcomePartial
		}
	}
	return r
}
