package processor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"

	"github.com/rs/zerolog"
)

// Lane is the queue of one contract's requests.
type Lane interface {
	// Contract is 0 for the lane of records that are not valid requests.
	Contract() int64
	// Take offers up to most waiting requests to join, oldest first, until it refuses one. Those that it accepted are the
	// handler's.
	Take(most int, join func(*inflight.Request) bool)
	// StepAside runs wait, which may take hours, and lets another lane have the handler's worker meanwhile. ctx is Handle's.
	StepAside(ctx context.Context, wait func())
}

// Config says how hard to try.
type Config struct {
	MaxAttempts       int // failed attempts that count (see failure.counted) before a dead letter
	BackoffInitial    time.Duration
	BackoffMax        time.Duration
	Coalesce          bool // requests of a contract that wait together share a call
	PublishFailures   bool // a dead letter also publishes a result with outcome "failed"
	RefuseCardNumbers bool // a contract id that looks like a card number is an invalid request
	Budget            BudgetConfig
	// Progress is called at the beginning of each Handle, for who is to hear of it; nil: it is not reported.
	Progress func(contract int64) Progress
}

// maxTaken bounds how many requests one call of Handle takes: so many may have to be written before others go on.
const maxTaken = 256

// Processor answers requests. It is safe for concurrent use, one Handle a lane at a time.
type Processor struct {
	cfg      Config
	cms      *cmsclient.Client
	log      zerolog.Logger
	evidence evidence
	refusals refusals
	budget   *budget
	saved    atomic.Uint64
}

// CallsSaved is how many calls were not made, so far, because requests shared one.
func (p *Processor) CallsSaved() uint64 { return p.saved.Load() }

// New returns a processor that asks cms.
func New(cfg Config, cms *cmsclient.Client, log zerolog.Logger) *Processor {
	cfg.MaxAttempts = max(1, cfg.MaxAttempts)
	now := time.Now()
	return &Processor{cfg: cfg, cms: cms, log: log, budget: newBudget(cfg.Budget, log, now), evidence: evidence{start: now}}
}

// Waiting says why there is no point in fetching more: a cause of cmsclient's or CauseBudget, or "". With a cause, the
// channel is closed when that one may have gone.
func (p *Processor) Waiting() (cause string, changed <-chan struct{}) {
	if cause, changed = p.cms.Waiting(); cause == "" {
		if resumed := p.budget.waiting(); resumed != nil {
			return CauseBudget, resumed
		}
	}
	return cause, changed
}

// Budget returns the state of the dead-letter budget.
func (p *Processor) Budget() BudgetStatus { return p.budget.status(time.Now()) }

// Resume goes on after the dead-letter budget was spent; who is for the log. It returns what had spent it, as a sentence, or
// that nothing had.
func (p *Processor) Resume(who string) (was string, resumed bool) {
	return p.budget.resume(time.Now(), schemas.Mask(who))
}

// Handle answers some of the requests that wait in a lane. It returns when each one it took is settled, or when ctx ends:
// then those without an outcome are left as they are, to be read again.
func (p *Processor) Handle(ctx context.Context, lane Lane) {
	h := p.begin(lane)
	defer h.progress.End()
	if lane.Contract() == 0 {
		p.refuse(ctx, h)
		return
	}
	limit := 1
	if p.cfg.Coalesce {
		limit = maxTaken
	}
	g := newGroup(lane.Contract(), limit)
	if alone := p.answer(ctx, h, g); alone {
		for _, req := range g.requests {
			single := newGroup(lane.Contract(), 1)
			single.join(req)
			p.answer(ctx, h, single)
		}
	}
}

// answer asks the CMS until every request of the group is settled. It returns true when the requests that are left in the
// group have to be asked for one by one.
func (p *Processor) answer(ctx context.Context, h handling, g *group) (alone bool) {
	defer p.recover(ctx, h, g)
	var backoff *cmsclient.Backoff
	admit := p.cms.Admit
	for {
		call, err := admit(ctx)
		if err != nil {
			return false
		}
		answer, sent, err := p.ask(ctx, h, g, call)
		if len(g.requests) == 0 {
			return false
		}
		if errors.Is(err, errNotAsked) {
			continue
		}
		if err == nil {
			p.settle(ctx, h, g, answer, sent)
			return false
		}
		if ctx.Err() != nil {
			return false
		}
		next := p.judge(ctx, h, g, err, sent)
		if next == askAlone {
			return true
		}
		// What failed in an outage is no retry when it is over: the budget is for a CMS that works and fails now and then.
		if admit = p.cms.Admit; next == retry {
			admit = p.cms.AdmitRetry
		}
		if len(g.requests) == 0 {
			return false
		}
		if backoff == nil {
			backoff = cmsclient.NewBackoff(p.cfg.BackoffInitial, p.cfg.BackoffMax)
		}
		if !p.wait(ctx, h, backoff.Next(retryAfter(err)), g.deadline()) {
			return false
		}
		p.vouch(ctx, g.contract, g.requests[0].LastFailure)
	}
}

// errNotAsked says that a call was given back because some of the group were dropped instead.
var errNotAsked = errors.New("nothing was asked: the permit for it was given back")

// ask makes one call, unless there are requests in the group that may not be asked for: then it settles those. sent is when
// the call was made.
func (p *Processor) ask(
	ctx context.Context, h handling, g *group, call *cmsclient.Call,
) (_ cmsclient.Answer, sent time.Time, _ error) {
	// Also when something panics: a permit that nobody ends keeps others waiting, a half-open breaker's everybody.
	defer call.Release()
	// Whoever waits in the lane now joins this call; it has not been sent yet.
	h.take(g)
	h.progress.Step(StepAsking)
	if len(g.requests) == 0 {
		return cmsclient.Answer{}, time.Time{}, nil
	}
	now := time.Now()
	if slices.ContainsFunc(g.requests, func(req *inflight.Request) bool { unfit, _, _ := p.unfit(req, now); return unfit }) {
		call.Release() // a dead letter may have to wait for hours, and nobody else must wait for this permit meanwhile
		p.drop(ctx, h, g, now)
		h.progress.Step(StepAsking)
		return cmsclient.Answer{}, time.Time{}, errNotAsked
	}
	for _, req := range g.requests {
		req.Attempts++
	}
	p.saved.Add(uint64(len(g.requests) - 1))
	sent = time.Now()
	answer, err := call.Get(ctx, cmsclient.Query{ContractID: g.contract, Codes: g.codes, CorrelationID: g.correlation})
	return answer, sent, err
}

// settle hands in the results.
func (p *Processor) settle(ctx context.Context, h handling, g *group, answer cmsclient.Answer, sent time.Time) {
	p.evidence.answered(sent)
	p.evidence.remember(g.contract, g.codes)
	p.refusals.answer(g.contract, g.requests[0].Attempts == 1)
	all, shared := g.requests, g.shared()
	for i, req := range all {
		p.budget.answer(time.Now())
		h.complete(ctx, req, schemas.Outcome{Result: g.result(req, answer, shared)})
		g.requests = all[i+1:] // one by one: if something panics, those that are settled must not be buried too
	}
}

// judge settles those of the group that a failed call dooms, and keeps the others. It returns what to do with these.
func (p *Processor) judge(ctx context.Context, h handling, g *group, err error, sent time.Time) (next action) {
	var cms *cmsclient.Error
	if !errors.As(err, &cms) {
		// The client refused to send it: our own mistake, but not one that asking again would mend.
		p.log.Error().Str("event", "request_unaskable").Err(err).Msg("the CMS client refused a request")
		g.keep(func(req *inflight.Request) bool {
			p.bury(ctx, h, req, p.newDeadLetter(req, schemas.ReasonInternalError, err.Error(), g))
			return false
		})
		return next
	}
	if isAnswer(cms.Class) {
		p.evidence.answered(sent)
	}
	share, gaveUp := p.refused(ctx, g, cms.Class, sent)
	now := time.Now()
	closed := p.cms.Status().Breaker == cmsclient.BreakerClosed
	shared := g.shared()
	next = noVerdict
	g.keep(func(req *inflight.Request) bool {
		p.evidence.count(req, cms.Class, now)
		act, reason := decide(failure{
			class: cms.Class, counted: req.Counted, maxAttempts: p.cfg.MaxAttempts, breakerClosed: closed, shared: shared,
			chance: chance(share, req.Counted), gaveUp: gaveUp,
		})
		switch act {
		case noVerdict:
		case retry, askAlone:
			next = max(next, act)
		case deadLetter:
			d := p.newDeadLetter(req, reason, cms.Detail(), g)
			failedWith(d, cms)
			if isRefusal(cms.Class) {
				p.refusals.giveUp(g.contract, now)
			}
			p.bury(ctx, h, req, d)
			return false
		}
		return true
	})
	return next
}

// unfit says whether a request may not be asked for (any more), and why; without a reason it is not ours any more.
func (p *Processor) unfit(req *inflight.Request, now time.Time) (unfit bool, reason schemas.Reason, detail string) {
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

// drop settles the unfit ones of the group, and leaves out those that are not ours any more.
func (p *Processor) drop(ctx context.Context, h handling, g *group, now time.Time) {
	g.keep(func(req *inflight.Request) bool {
		unfit, reason, detail := p.unfit(req, now)
		if reason != "" {
			p.bury(ctx, h, req, p.newDeadLetter(req, reason, detail, g))
		}
		return !unfit
	})
}

// refuse buries the records of lane 0.
func (p *Processor) refuse(ctx context.Context, h handling) {
	var all []*inflight.Request
	h.lane.Take(maxTaken, func(req *inflight.Request) bool { all = append(all, req); return true })
	h.progress.Took(all)
	for _, req := range all {
		p.bury(ctx, h, req, p.newDeadLetter(req, schemas.ReasonInvalidRequest, req.Err.Error(), nil))
	}
}

// recover turns a panic into dead letters, so that a record that provokes one cannot do so for ever.
func (p *Processor) recover(ctx context.Context, h handling, g *group) {
	cause := recover()
	if cause == nil {
		return
	}
	p.log.Error().Str("event", "handler_panic").Interface("panic", cause).Bytes("stack", debug.Stack()).
		Int("requests", len(g.requests)).Msg("a panic while handling requests")
	for _, req := range g.requests {
		p.bury(ctx, h, req, p.newDeadLetter(req, schemas.ReasonInternalError, "the service failed while handling this request; its log has the details", g))
	}
}
