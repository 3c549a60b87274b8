package processor

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// Lane is the queue of one contract's requests.
type Lane interface {
	// Contract is 0 for the lane of records that are not valid requests.
	Contract() int64
	// Take offers up to most waiting requests to join, oldest first, until it refuses one. Those that it accepted are the
	// handler's.
	Take(most int, join func(*inflight.Request) bool)
	// StepAside runs wait, which may take hours, and lets another lane have the handler's worker meanwhile. ctx is
	// Handle's.
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
	Replies           Replies
	// FollowDeadLetter, if set, may make the span of a request that becomes a dead letter and is not sampled, or nil.
	FollowDeadLetter func(*inflight.Request) inflight.Span
	// Progress is called at the beginning of each Handle, and returns what hears of its steps; nil: nothing does.
	Progress func(contract int64) Progress
}

// maxTaken bounds how many requests one call of Handle takes: so many may have to be written before others go on.
const maxTaken = 256

// Processor answers requests. It is safe for concurrent use, one Handle a lane at a time.
type Processor struct {
	cfg      Config
	cms      *cmsclient.Client
	log      zerolog.Logger
	outages  outageDetector
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
	return &Processor{cfg: cfg, cms: cms, log: log, budget: newBudget(cfg.Budget, log, now),
		outages: outageDetector{start: now}}
}

// Waiting says why there is no point in fetching more: a cause of cmsclient's, or "". With one, the channel is closed
// when that one may have gone. A spent budget is none: it holds dead letters, and they alone wait for it.
func (p *Processor) Waiting() (cause string, changed <-chan struct{}) { return p.cms.Waiting() }

// Budget returns the state of the dead-letter budget.
func (p *Processor) Budget() BudgetStatus { return p.budget.status(time.Now()) }

// Resume goes on after the dead-letter budget was spent; who is for the log. It returns what had spent it, as a
// sentence, or that nothing had.
func (p *Processor) Resume(who string) (was string, resumed bool) {
	return p.budget.resume(time.Now(), schemas.Mask(who))
}

// Handle answers some of the requests that wait in a lane. It returns when each one it took is completed, or when ctx
// ends: then those without an outcome are left as they are, to be read again.
func (p *Processor) Handle(ctx context.Context, lane Lane) {
	h := p.begin(lane)
	defer h.progress.End()
	if lane.Contract() == 0 {
		p.refuse(ctx, &h)
		return
	}
	q := p.newQuery(lane.Contract())
	if alone := p.answer(ctx, &h, q); alone {
		p.answerEach(ctx, &h, q)
	}
}

// answerEach asks for each request of a query by itself.
func (p *Processor) answerEach(ctx context.Context, h *handling, q *query) {
	for _, req := range q.requests {
		single := newQuery(q.ContractID, 1)
		single.join(req)
		p.answer(ctx, h, single)
	}
}

// refuse dead-letters the records of lane 0. They have no contract whose order they would have to keep, and share one
// lane so that a flood of them takes one worker.
func (p *Processor) refuse(ctx context.Context, h *handling) {
	var all []*inflight.Request
	h.lane.Take(maxTaken, func(req *inflight.Request) bool { all = append(all, req); return true })
	h.progress.Took(all)
	for _, req := range all {
		p.deadLetter(ctx, h, req, p.newDeadLetter(req, schemas.ReasonInvalidRequest, req.Err.Error(), nil))
	}
}

// recover turns a panic into dead letters, so that a record that provokes one cannot do so for ever.
func (p *Processor) recover(ctx context.Context, h *handling, q *query) {
	cause := recover()
	if cause == nil {
		return
	}
	p.log.Error().Str("event", "handler_panic").Interface("panic", cause).Bytes("stack", debug.Stack()).
		Int("requests", len(q.requests)).Msg("a panic while handling requests")
	const detail = "the service failed while handling this request; its log has the details (event handler_panic)"
	for _, req := range q.requests {
		p.deadLetter(ctx, h, req, p.newDeadLetter(req, schemas.ReasonInternalError, detail, q))
	}
}
