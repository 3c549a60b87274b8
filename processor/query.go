package processor

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// query is one question to the CMS and the requests of the contract that it is for; its Codes are the union of theirs.
// It may grow until the call is sent, never after: no answer is older than its question.
type query struct {
	cmsclient.Query
	requests []*inflight.Request
	limit    int // of requests
	room     [1]*inflight.Request
	waiting  inflight.Moment    // since when it waits for leave to be asked
	next     action             // after its last call
	sent     time.Time          // right before its call
	backoff  *cmsclient.Backoff // nil: no call for it has failed
}

func (p *Processor) newQuery(contract int64) *query {
	if p.cfg.Coalesce {
		return newQuery(contract, maxTaken)
	}
	return newQuery(contract, 1)
}

func newQuery(contract int64, limit int) *query {
	q := &query{Query: cmsclient.Query{ContractID: contract, CorrelationID: uuid.NewString()}, limit: limit}
	q.requests = q.room[:0]
	return q
}

// join adds a request if there is room for it and its codes.
func (q *query) join(req *inflight.Request) bool {
	if len(q.requests) == 0 {
		q.Codes = req.Request.BalanceCodes // not copied: it is cloned when another one joins
		q.requests = append(q.requests, req)
		return true
	}
	if len(q.requests) >= q.limit {
		return false
	}
	union := slices.Clone(q.Codes)
	for _, code := range req.Request.BalanceCodes {
		if !slices.Contains(union, code) {
			union = append(union, code)
		}
	}
	if len(union) > schemas.MaxBalanceCodes {
		return false
	}
	q.Codes = union
	q.requests = append(q.requests, req)
	return true
}

func (q *query) shared() bool { return len(q.requests) > 1 }

// filter leaves out the requests that stay refuses, and their codes.
func (q *query) filter(stay func(*inflight.Request) bool) {
	all, i := q.requests, 0
	rest := make([]*inflight.Request, 0, len(all))
	defer func() {
		rest = append(rest, all[i:]...) // if stay panicked: those it has refused by then are completed and must be left out
		if len(rest) == len(all) {
			return
		}
		q.requests, q.Codes = nil, nil
		for _, req := range rest {
			q.join(req)
		}
	}()
	for ; i < len(all); i++ {
		if stay(all[i]) {
			rest = append(rest, all[i])
		}
	}
}

// deadline is the earliest of the requests; zero: there is none.
func (q *query) deadline() time.Time {
	var earliest time.Time
	for _, req := range q.requests {
		if d := req.Request.Deadline; !d.IsZero() && (earliest.IsZero() || d.Before(earliest)) {
			earliest = d
		}
	}
	return earliest
}

// follow has the next call belong to the trace of the first request that is sampled. Where none is, the first trace
// that a request brings is passed on.
func (q *query) follow() {
	q.Traceparent, q.Attempt = "", nil
	for _, req := range q.requests {
		if req.Span != nil {
			q.Attempt = func() (string, func(int, string)) { return req.Span.Call(q.requests, req.Attempts-1) }
			return
		}
	}
	for _, req := range q.requests {
		if parent := req.Request.Trace.Parent; parent != nil {
			q.Traceparent = string(parent)
			return
		}
	}
}

// result picks a request's own codes out of the answer to the query; shared says that there may be others.
func (q *query) result(req *inflight.Request, answer cmsclient.Answer, shared bool) *schemas.Result {
	r := &schemas.Result{
		RequestID: req.Request.ID, ContractID: q.ContractID, Outcome: schemas.OutcomeComplete,
		Balances: answer.Balances, RetrievedAt: answer.RetrievedAt,
		CorrelationID: q.CorrelationID, CMSCorrelationID: answer.CMSCorrelationID, Source: req.Record.Position,
		Log: req.Record.Log,
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
