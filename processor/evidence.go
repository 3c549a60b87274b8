package processor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"balanceq/cmsclient"
	"balanceq/schemas"

	"github.com/google/uuid"
)

// evidence tells a request that the CMS fails on from a CMS that fails. A failed attempt counts against a request only if
// the CMS answered a call that was sent since the attempt before: while nobody is answered it is an outage, and no outage
// may turn into dead letters.
//
// Where there is no other traffic to tell by, vouch makes some: it asks again what the CMS has answered before.
type evidence struct {
	latest  atomic.Int64 // when the latest call that the CMS answered was sent, Unix nanoseconds
	vouches atomic.Bool  // somebody is asking at the moment: one is enough

	mu         sync.Mutex
	known      [2]question // that the CMS has answered; of two contracts, as one of them may be the one in trouble
	remembered time.Time
}

// question is what to ask again; contract 0 is none.
type question struct {
	contract int64
	code     string
}

// isAnswer says whether a failed call was answered all the same: the CMS itself judged the request.
func isAnswer(c cmsclient.Class) bool {
	return c == cmsclient.ContractNotFound || c == cmsclient.Rejected
}

// answered notes that the CMS answered a call sent at that time. What counts is when it was sent: answers to calls from
// before an outage, or from before a key expired, may come in long after the first call has failed, and prove nothing about
// those made since.
func (e *evidence) answered(sent time.Time) {
	for at := sent.UnixNano(); ; {
		if last := e.latest.Load(); last >= at || e.latest.CompareAndSwap(last, at) {
			return
		}
	}
}

// since says whether the CMS has answered a call that was sent after t.
func (e *evidence) since(t time.Time) bool { return e.latest.Load() > t.UnixNano() }

// count notes a failed attempt. A 429 says nothing about a request and never counts.
func (e *evidence) count(inq *schemas.Inquiry, class cmsclient.Class, now time.Time) {
	if class != cmsclient.Throttled && (inq.Counted == 0 || e.since(inq.LastFailure)) {
		inq.Counted++
	}
	if inq.FirstFailure.IsZero() {
		inq.FirstFailure = now
	}
	inq.LastFailure = now
}

// rememberInterval keeps remembering off the hot path; TryLock does the rest.
const rememberInterval = time.Second

// remember keeps a question that was answered.
func (e *evidence) remember(contract int64, codes []string) {
	if !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	if e.known[0].contract == contract || (e.known[1].contract != 0 && time.Since(e.remembered) < rememberInterval) {
		return
	}
	e.known[1] = e.known[0]
	e.known[0] = question{contract, codes[0]}
	e.remembered = time.Now()
}

// other returns a known question about another contract.
func (e *evidence) other(contract int64) (question, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, q := range e.known {
		if q.contract != 0 && q.contract != contract {
			return q, true
		}
	}
	return question{}, false
}

// vouch sees to it that the group's next attempt can count: if nobody was answered since its last one failed, it asks the
// CMS a question that was answered before. Without this, a request that always fails would be held for ever once the window
// of its partition is full and nothing else is under way. The breaker counts this call like any other.
func (p *Processor) vouch(ctx context.Context, g *group) {
	e := &p.evidence
	q, ok := e.other(g.contract)
	if !ok || e.since(g.requests[0].LastFailure) || !e.vouches.CompareAndSwap(false, true) {
		return
	}
	defer e.vouches.Store(false)
	call, err := p.cms.Admit(ctx)
	if err != nil {
		return
	}
	defer call.Release()
	sent := time.Now()
	_, err = call.Get(ctx, cmsclient.Query{ContractID: q.contract, Codes: []string{q.code}, CorrelationID: uuid.NewString()})
	var cms *cmsclient.Error
	if err == nil || (errors.As(err, &cms) && isAnswer(cms.Class)) {
		e.answered(sent)
	}
}
