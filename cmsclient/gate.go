package cmsclient

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// gate decides who may call now and lets the others wait in a queue, first come, first served. The queue is what makes the
// probes of a half-open breaker rotate: a request that failed its probe comes back at the end.
//
// Everything is guarded by mu, the parts too: breaker, pace and budget know no lock.
type gate struct {
	cfg    Config
	events *events
	obs    Observer

	mu       sync.Mutex
	breaker  *breaker
	pace     *pace
	budget   *budget
	queue    queue
	inFlight int

	coolUntil time.Time
	coolDown  time.Duration // the last pause chosen by us; 0: calls have gone well since
	coolRound int           // counts cool-downs
	doubt     doubt         // whether to halt
	halted    error         // nil: not halted
	haltedBy  time.Time     // while halted: when the call that halted was sent
	probeAt   time.Time     // while halted: the next probe

	blocked string        // the cause why no call at all can be made, as last announced
	changed chan struct{} // closed when blocked changes
	timer   *time.Timer   // wakes the gate at wakeAt
	wakeAt  time.Time     // zero: the timer is off
	closed  bool
}

// permit is the right to make one call. It ends with gate.finish.
type permit struct {
	ticket    ticket
	paced     pacePermit
	coolRound int  // of the gate when the permit was given
	probe     bool // given while halted
}

func (p permit) valid() bool { return p.ticket.failures != nil }

// errNotSent ends a permit that was not used.
var errNotSent = errors.New("nothing was sent")

func newGate(cfg Config, obs Observer) *gate {
	g := &gate{cfg: cfg, obs: obs, events: &events{}, changed: make(chan struct{}), pace: newPace(cfg, time.Now()), budget: newBudget(cfg)}
	g.breaker = newBreaker(cfg.Breaker, g.onBreakerChange)
	g.timer = time.AfterFunc(time.Hour, g.wake)
	g.timer.Stop()
	return g
}

// onBreakerChange requires mu.
func (g *gate) onBreakerChange(from, to gobreaker.State) {
	if to == gobreaker.StateClosed {
		g.pace.restart(g.cfg.MinInFlight, time.Now(), g.cfg.SlowStart)
	}
	failing := g.breaker.trouble.String()
	g.events.post(func() { g.obs.BreakerChanged(from.String(), to.String(), failing) })
}

// admit returns a permit, or ctx's error.
func (g *gate) admit(ctx context.Context, k kind) (permit, error) {
	if err := ctx.Err(); err != nil {
		return permit{}, err
	}
	g.mu.Lock()
	if g.queue.passes(k) {
		if p, ok := g.tryPermit(time.Now(), k); ok {
			g.refresh(time.Now())
			g.unlock()
			return p, nil
		}
	}
	w := g.queue.push(k)
	g.pump()
	g.unlock()

	select {
	case p := <-w.granted:
		return p, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	select {
	case p := <-w.granted:
		// The permit came between ctx's end and our lock. Nobody else knows of it: hand it back.
		g.settle(p, errNotSent)
	default:
		g.queue.remove(w)
		g.pump()
	}
	g.unlock()
	return permit{}, ctx.Err()
}

// tryHedge returns a permit for a second call beside one that is slow, if there is one to spare right now.
func (g *gate) tryHedge() (permit, bool) {
	g.mu.Lock()
	defer g.unlock()
	// Nobody may be kept waiting for it.
	if g.breaker.state(time.Now()) != gobreaker.StateClosed || g.halted != nil || g.queue.len() > 0 {
		return permit{}, false
	}
	return g.tryPermit(time.Now(), hedge)
}

// finish ends a permit with the call's error, or errNotSent.
func (g *gate) finish(p permit, err error) {
	g.mu.Lock()
	g.settle(p, err)
	g.unlock()
}

// wake is the timer's function.
func (g *gate) wake() {
	g.mu.Lock()
	g.wakeAt = time.Time{}
	g.pump()
	g.unlock()
}

// unlock releases mu and tells the observer what happened under it.
func (g *gate) unlock() {
	g.mu.Unlock()
	g.events.flush()
}

// pump gives permits to those who wait as long as it can. It requires mu, and must run after every change.
func (g *gate) pump() {
	now := time.Now()
	if g.doubt.over(now) {
		g.halt(g.doubt.err, g.doubt.first, now)
	}
	for {
		// A retry that is over the budget lets the first calls behind it pass: they are what fills the budget.
		w := g.queue.next(g.affordable(now))
		if w == nil {
			break
		}
		p, ok := g.tryPermit(now, w.kind)
		if !ok {
			break
		}
		g.queue.remove(w)
		w.granted <- p
	}
	g.refresh(now)
}

// affordable reports whether a retry may be made. While the breaker is not closed, retries are its probes and the rest of
// what an outage left behind: those are not held against anybody. It requires mu.
func (g *gate) affordable(now time.Time) bool {
	return g.budget.allows(g.inFlight) || g.breaker.state(now) != gobreaker.StateClosed
}

// tryPermit reports whether a call may start now. It requires mu.
func (g *gate) tryPermit(now time.Time, k kind) (permit, bool) {
	switch {
	case now.Before(g.coolUntil), g.halted != nil && now.Before(g.probeAt):
		return permit{}, false
	case k == retry && !g.affordable(now), k == hedge && !g.budget.affords():
		return permit{}, false
	case g.inFlight >= g.pace.limit(now), g.pace.pausedUntil(now).After(now):
		return permit{}, false
	}
	t, ok := g.breaker.allow(now)
	if !ok {
		return permit{}, false
	}
	p := permit{ticket: t, paced: g.pace.take(now), coolRound: g.coolRound}
	if g.halted != nil {
		p.probe = true
		g.probeAt = now.Add(g.cfg.ProbeInterval)
	}
	g.budget.spend(k)
	g.inFlight++
	return p, true
}

// settle accounts for the end of a call. It requires mu.
func (g *gate) settle(p permit, err error) {
	now := time.Now()
	g.breaker.done(p.ticket, err, now)
	g.pace.done(p.paced, err)
	g.inFlight--

	class, answered, e := endOf(err)
	sent := p.ticket.start
	if verdictOf(err) == success {
		g.doubt.answer(sent, now)
	}
	switch {
	case halts(class):
		if g.halted != nil || g.doubt.refuse(sent, now, e, g.inFlight == 0) {
			g.halt(e, sent, now)
		}
	case answered && !sent.Before(g.haltedBy):
		g.resume(now)
	case p.probe && errors.Is(err, errNotSent):
		g.probeAt = now // the probe was not made: the next in the queue makes it
	}
	switch {
	case class == Throttled:
		g.throttle(e, p, now)
	case answered && p.coolRound == g.coolRound:
		g.coolDown = 0
	}
	g.pump()
}

// endOf says how a call ended: its class ("" for a 2xx and for what is not an *Error) and whether an answer came.
func endOf(err error) (class Class, answered bool, e *Error) {
	if err == nil {
		return "", true, nil
	}
	var found *Error
	if !errors.As(err, &found) {
		return "", false, nil
	}
	return found.Class, found.Status != 0, found
}

// halts reports whether a failure says that something of ours has to be mended.
func halts(c Class) bool { return c == Halting || c == Undecryptable }

// halt stops all calls but one probe per interval; doubt decides when. It requires mu.
//
// Only an answer to a call that was sent since the refused one ends it. When a key expires, answers to calls from before
// still come in, and they say nothing about the key.
func (g *gate) halt(err error, sent, now time.Time) {
	if g.halted == nil {
		g.probeAt, g.haltedBy = now.Add(g.cfg.ProbeInterval), sent
		g.events.post(func() { g.obs.Halted(err) })
	}
	g.halted = err
	g.doubt.clear()
}

// resume requires mu.
func (g *gate) resume(now time.Time) {
	if g.halted != nil {
		g.halted, g.haltedBy = nil, time.Time{}
		g.pace.restart(g.cfg.MinInFlight, now, g.cfg.SlowStart)
		g.events.post(g.obs.Resumed)
	}
}

// throttleRecovery is how long calls take to come back to MaxInFlight after a 429: slowly, or the next one follows.
const throttleRecovery = time.Minute

// throttle starts or extends the cool-down, after which there are half as many calls at the same time. It requires mu.
//
// Up to MaxInFlight calls can be answered 429 at once. Only the first of them starts a round, which doubles the pause and
// halves the calls; the others hold a permit of an earlier round, and only a Retry-After of their own can make the pause
// longer.
func (g *gate) throttle(e *Error, p permit, now time.Time) {
	pause := e.RetryAfter
	opens := p.coolRound == g.coolRound
	if opens {
		g.coolRound++
		g.coolDown = min(max(2*g.coolDown, g.cfg.CoolDown), g.cfg.MaxCoolDown)
		if pause == 0 {
			pause = g.coolDown
		}
	}
	if until := now.Add(pause); until.After(g.coolUntil) {
		g.coolUntil = until
	}
	if opens {
		g.pace.restart(g.pace.limit(now)/2, g.coolUntil, throttleRecovery)
	}
}
