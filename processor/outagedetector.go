package processor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
)

// outageDetector tells a request that the CMS fails on from a CMS that fails. A failed attempt counts against a request
// only if the CMS answered a call that was sent since the attempt before: while no call is answered it is an outage,
// and no outage may turn into dead letters.
//
// Where there is no other traffic to tell by, Processor.probe makes some: it asks again what the CMS has answered
// before.
//
// Times are compared by their monotonic readings, as the time since start: a step of the clock must change no decision.
type outageDetector struct {
	start   time.Time
	latest  atomic.Int64                  // when the latest call that the CMS answered was sent, nanoseconds since start
	news    atomic.Pointer[chan struct{}] // closed when latest has changed; nil: no await is under way
	probing atomic.Bool                   // a probe is under way: one is enough

	mu         sync.Mutex
	known      [2]question // that the CMS has answered; of two contracts, as one of them may be the one that fails
	remembered time.Time
}

// question is what a probe asks; contract 0 is none.
type question struct {
	contract int64
	code     string
}

// isAnswer says whether a failed call was answered all the same: the CMS itself has looked at the request.
func isAnswer(c cmsclient.Class) bool {
	return c == cmsclient.ContractNotFound || c == cmsclient.Rejected
}

// answered notes that the CMS answered a call sent at that time. What counts is when it was sent: answers to calls from
// before an outage, or from before a key expired, may come in long after the first call has failed, and prove nothing
// about those made since.
func (d *outageDetector) answered(sent time.Time) {
	for at := int64(sent.Sub(d.start)); ; {
		last := d.latest.Load()
		if last >= at {
			return
		}
		if d.latest.CompareAndSwap(last, at) {
			break
		}
	}
	if news := d.news.Load(); news != nil && d.news.CompareAndSwap(news, nil) {
		close(*news)
	}
}

// since says whether the CMS has answered a call that was sent after t.
func (d *outageDetector) since(t time.Time) bool { return d.latest.Load() > int64(t.Sub(d.start)) }

// await waits until the CMS has answered a later call than before, but not for longer than limit. It returns at once if
// a call sent after t was answered.
func (d *outageDetector) await(ctx context.Context, t time.Time, limit time.Duration) {
	news := d.next()
	// Looked at after next: an answer that came before it closes nothing of this one.
	if d.since(t) {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-news:
	}
}

// next returns a channel that the next change of latest closes.
func (d *outageDetector) next() <-chan struct{} {
	for {
		if news := d.news.Load(); news != nil {
			return *news
		}
		if news := make(chan struct{}); d.news.CompareAndSwap(nil, &news) {
			return news
		}
	}
}

// count notes a failed attempt. A 429 says nothing about a request and never counts.
func (d *outageDetector) count(req *inflight.Request, class cmsclient.Class, now time.Time) {
	if class != cmsclient.Throttled && (req.Counted == 0 || d.since(req.LastFailure)) {
		req.Counted++
	}
	if req.FirstFailure.IsZero() {
		req.FirstFailure = now
	}
	req.LastFailure = now
}

// rememberInterval keeps remembering off the hot path; TryLock does the rest.
const rememberInterval = time.Second

// remember notes a question that was answered, for probes.
func (d *outageDetector) remember(contract int64, codes []string) {
	if !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	if d.known[0].contract == contract || (d.known[1].contract != 0 && time.Since(d.remembered) < rememberInterval) {
		return
	}
	d.known[1] = d.known[0]
	d.known[0] = question{contract, codes[0]}
	d.remembered = time.Now()
}

// other returns a known question about another contract.
func (d *outageDetector) other(contract int64) (question, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.known {
		if q.contract != 0 && q.contract != contract {
			return q, true
		}
	}
	return question{}, false
}

// probe sees to it that a contract's failure can count: if no call was answered since then, it asks the CMS a question
// about another contract that was answered before. Without this, a request that always fails would be held for ever
// once the window of its partition is full and nothing else is under way. The breaker counts this call like any other.
//
// It is false when another probe is under way; that one's call may be from before the failure.
func (p *Processor) probe(ctx context.Context, contract int64, since time.Time) (done bool) {
	d := &p.outages
	q, ok := d.other(contract)
	if !ok || d.since(since) {
		return true
	}
	if !d.probing.CompareAndSwap(false, true) {
		return false
	}
	defer d.probing.Store(false)
	call, err := p.cms.Admit(ctx)
	if err != nil {
		return true
	}
	defer call.Release()
	sent := time.Now()
	_, err = call.Get(ctx, cmsclient.Query{ContractID: q.contract, Codes: []string{q.code},
		CorrelationID: uuid.NewString()})
	switch cms, failed := errors.AsType[*cmsclient.Error](err); {
	case err == nil || failed && isAnswer(cms.Class):
		d.answered(sent)
		p.refusals.answer(q.contract, true)
	case failed && isRefusal(cms.Class):
		p.refusals.refuse(true, time.Now())
	}
	return true
}
