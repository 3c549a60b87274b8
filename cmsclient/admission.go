package cmsclient

import (
	"context"
	"errors"
	"sync"
	"time"
)

// admission decides who may call now and lets the others wait in a queue, first come, first served. The queue is what
// makes the probes of a half-open breaker rotate: a request that failed its probe comes back at the end.
//
// Everything is guarded by mu, the parts too: breaker, pace and budget know no lock.
type admission struct {
	cfg    Config
	events *events
	obs    observers

	mu       sync.Mutex
	breaker  *breaker
	pace     *pace
	budget   *budget
	queue    queue
	inFlight int

	coolUntil time.Time
	coolDown  time.Duration // the last pause that no Retry-After set; 0: calls have gone well since
	coolRound int           // counts cool-downs
	detector  haltDetector  // when to halt
	halted    error         // nil: not halted
	haltedBy  time.Time     // while halted: when the call that halted was sent
	probeAt   time.Time     // while halted: the next probe

	blocked string        // the cause why no call at all can be made, as last announced
	changed chan struct{} // closed when blocked changes
	timer   *time.Timer   // calls wake at wakeAt
	wakeAt  time.Time     // zero: the timer is off
	closed  bool
}

// permit is the right to make one call. It ends with admission.finish.
type permit struct {
	ticket    ticket
	paced     pacePermit
	coolRound int  // of the admission when the permit was given
	probe     bool // given while halted
}

func (p permit) valid() bool { return p.ticket.failures != nil }

// errNotSent ends a permit that was not used.
var errNotSent = errors.New("nothing was sent")

func newAdmission(cfg Config, obs observers) *admission {
	a := &admission{
		cfg: cfg, obs: obs, events: &events{}, changed: make(chan struct{}),
		pace: newPace(cfg, time.Now()), budget: newBudget(cfg),
	}
	a.breaker = newBreaker(cfg.Breaker, a.onBreakerChange)
	a.timer = time.AfterFunc(time.Hour, a.wake)
	a.timer.Stop()
	return a
}

// onBreakerChange requires mu.
func (a *admission) onBreakerChange(from, to BreakerState) {
	if to == BreakerClosed {
		a.pace.restart(a.cfg.MinInFlight, time.Now(), a.cfg.SlowStart)
	}
	failing := a.breaker.failing.summary()
	a.events.post(func() { a.obs.breakerChanged(from, to, failing) })
}

// admit returns a permit, or ctx's error.
func (a *admission) admit(ctx context.Context, k kind) (permit, error) {
	if err := ctx.Err(); err != nil {
		return permit{}, err
	}
	a.mu.Lock()
	now := time.Now()
	if a.queue.passes(k) {
		if p, ok := a.tryPermit(now, k); ok {
			a.refresh(now)
			a.unlock()
			return p, nil
		}
	}
	w := a.queue.push(k)
	a.pump(now)
	a.unlock()

	select {
	case p := <-w.granted:
		return p, nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	select {
	case p := <-w.granted:
		// The permit came between ctx's end and the lock. It has no other owner: hand it back.
		a.complete(p, errNotSent)
	default:
		a.queue.remove(w)
		a.pump(time.Now())
	}
	a.unlock()
	return permit{}, ctx.Err()
}

// tryHedge returns a permit for a second call beside one that is slow, if there is one to spare right now.
func (a *admission) tryHedge() (permit, bool) {
	a.mu.Lock()
	defer a.unlock()
	// No other caller may wait for it.
	if a.breaker.state(time.Now()) != BreakerClosed || a.halted != nil || a.queue.len() > 0 {
		return permit{}, false
	}
	return a.tryPermit(time.Now(), hedge)
}

// finish ends a permit with the call's error, or errNotSent.
func (a *admission) finish(p permit, err error) {
	a.mu.Lock()
	a.complete(p, err)
	a.unlock()
}

// wake is the timer's function.
func (a *admission) wake() {
	a.mu.Lock()
	a.wakeAt = time.Time{}
	a.pump(time.Now())
	a.unlock()
}

// unlock releases mu and tells the observer what happened under it.
func (a *admission) unlock() {
	a.mu.Unlock()
	a.events.flush()
}

// pump gives permits to those who wait as long as it can. It requires mu, and must run after every change.
func (a *admission) pump(now time.Time) {
	if a.detector.confirmed(now) {
		a.halt(a.detector.err, a.detector.firstSent, now)
	}
	for {
		// A retry that is over the budget lets the first calls behind it pass: they are what fills the budget.
		w := a.queue.next(a.affordable(now))
		if w == nil {
			break
		}
		p, ok := a.tryPermit(now, w.kind)
		if !ok {
			break
		}
		a.queue.remove(w)
		w.granted <- p
	}
	a.refresh(now)
}

// affordable reports whether a retry may be made. While the breaker is not closed, retries are its probes and the rest
// of what an outage left behind: those are not held against the budget. It requires mu.
func (a *admission) affordable(now time.Time) bool {
	return a.budget.allows(a.inFlight) || a.breaker.state(now) != BreakerClosed
}

// tryPermit reports whether a call may start now. It requires mu.
func (a *admission) tryPermit(now time.Time, k kind) (permit, bool) {
	switch {
	case now.Before(a.coolUntil), a.halted != nil && now.Before(a.probeAt):
		return permit{}, false
	case k == retry && !a.affordable(now), k == hedge && !a.budget.affords():
		return permit{}, false
	case a.inFlight >= a.pace.limit(now), a.pace.pausedUntil(now).After(now):
		return permit{}, false
	}
	t, ok := a.breaker.allow(now)
	if !ok {
		return permit{}, false
	}
	p := permit{ticket: t, paced: a.pace.take(now), coolRound: a.coolRound}
	if a.halted != nil {
		p.probe = true
		a.probeAt = now.Add(a.cfg.ProbeInterval)
	}
	a.budget.spend(k)
	a.inFlight++
	return p, true
}

// complete accounts for the end of a call. It requires mu.
func (a *admission) complete(p permit, err error) {
	now := time.Now()
	a.breaker.done(p.ticket, err, now)
	a.pace.done(p.paced, err)
	a.inFlight--

	class, answered, e := endOf(err)
	sent := p.ticket.start
	if signalOf(err) == success {
		a.detector.answered(sent, now)
	}
	switch {
	case halts(class):
		if a.halted != nil || a.detector.refused(sent, now, e, a.inFlight == 0) {
			a.halt(e, sent, now)
		}
	case answered && !sent.Before(a.haltedBy):
		a.resume(now)
	case p.probe && errors.Is(err, errNotSent):
		a.probeAt = now // the probe was not made: the next in the queue makes it
	}
	switch {
	case class == Throttled:
		a.throttle(e, p, now)
	case answered && p.coolRound == a.coolRound:
		a.coolDown = 0
	}
	a.pump(now)
}

// endOf says how a call ended: its class ("" for a 2xx and for what is not an *Error) and whether an answer came.
func endOf(err error) (class Class, answered bool, e *Error) {
	if err == nil {
		return "", true, nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return "", false, nil
	}
	return e.Class, e.Status != 0, e
}

// halts reports whether a failure says that something has to be fixed on this side of the CMS.
func halts(c Class) bool { return c == Halting || c == Undecryptable }

// halt stops all calls but one probe per interval; the detector decides when. It requires mu.
//
// Only an answer to a call that was sent since the refused one ends it. When a key expires, answers to calls from
// before still come in, and they say nothing about the key.
func (a *admission) halt(err error, sent, now time.Time) {
	if a.halted == nil {
		a.probeAt, a.haltedBy = now.Add(a.cfg.ProbeInterval), sent
		a.events.post(func() { a.obs.halted(err) })
	}
	a.halted = err
	a.detector.clear()
}

// resume requires mu.
func (a *admission) resume(now time.Time) {
	if a.halted != nil {
		a.halted, a.haltedBy = nil, time.Time{}
		a.pace.restart(a.cfg.MinInFlight, now, a.cfg.SlowStart)
		a.events.post(a.obs.resumed)
	}
}

// throttleRecovery is how long calls take to come back to MaxInFlight after a 429: slowly, or the next one follows.
const throttleRecovery = time.Minute

// throttle starts or extends the cool-down, after which there are half as many calls at the same time. It requires mu.
//
// Up to MaxInFlight calls can be answered 429 at once. Only the first of them starts a round, which doubles the pause
// and halves the calls; the others hold a permit of an earlier round, and only a Retry-After of their own can make the
// pause longer.
func (a *admission) throttle(e *Error, p permit, now time.Time) {
	pause := e.RetryAfter
	opens := p.coolRound == a.coolRound
	if opens {
		a.coolRound++
		a.coolDown = min(max(2*a.coolDown, a.cfg.CoolDown), a.cfg.MaxCoolDown)
		if pause == 0 {
			pause = a.coolDown
		}
	}
	if until := now.Add(pause); until.After(a.coolUntil) {
		a.coolUntil = until
	}
	if opens {
		a.pace.restart(a.pace.limit(now)/2, a.coolUntil, throttleRecovery)
	}
}
