package cmsclient

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// gate decides who may call now and lets the others wait in a queue, first come, first served. The queue is what makes the
// probes of a half-open breaker rotate: a request that failed its probe comes back at the end.
//
// Everything is guarded by mu, the breaker too: it is called under mu only, so its OnStateChange runs under mu and the
// breaker's own mutex. It may change the gate's fields, but not call the breaker.
type gate struct {
	cfg    Config
	events *events
	obs    Observer

	mu       sync.Mutex
	breaker  *breaker
	waiters  list.List // of *waiter
	inFlight int

	openUntil time.Time // the breaker, when it opened last
	coolUntil time.Time
	coolDown  time.Duration // the last pause chosen by us; 0: calls have gone well since
	coolRound int           // counts cool-downs
	halted    error         // nil: not halted
	probeAt   time.Time     // while halted: the next probe

	blocked string        // the cause why no call at all can be made, as last announced
	changed chan struct{} // closed when blocked changes
	timer   *time.Timer   // wakes the gate at wakeAt
	wakeAt  time.Time     // zero: the timer is off
	closed  bool
}

// waiter is one caller in the queue; its permit comes through the channel (capacity 1).
type waiter struct{ granted chan permit }

// permit is the right to make one call. It ends with gate.finish.
type permit struct {
	done      func(error) // the breaker's; nil: no permit
	coolRound int         // of the gate when the permit was given
	probe     bool        // given while halted
}

// errNotSent ends a permit that was not used.
var errNotSent = errors.New("nothing was sent")

func newGate(cfg Config, obs Observer) *gate {
	g := &gate{cfg: cfg, obs: obs, events: &events{}, changed: make(chan struct{})}
	g.breaker = newBreaker(cfg.Breaker, g.onBreakerChange)
	g.timer = time.AfterFunc(time.Hour, g.wake)
	g.timer.Stop()
	return g
}

// onBreakerChange requires mu, and the breaker's mutex is held too.
func (g *gate) onBreakerChange(from, to gobreaker.State) {
	if to == gobreaker.StateOpen {
		// A millisecond more than the breaker waits: it compares with "before", and with a clock it read earlier.
		g.openUntil = time.Now().Add(g.cfg.Breaker.OpenTime + time.Millisecond)
	}
	g.events.post(func() { g.obs.BreakerChanged(from.String(), to.String()) })
}

// admit returns a permit, or ctx's error.
func (g *gate) admit(ctx context.Context) (permit, error) {
	if err := ctx.Err(); err != nil {
		return permit{}, err
	}
	g.mu.Lock()
	if g.waiters.Len() == 0 {
		if p, ok := g.tryPermit(time.Now()); ok {
			g.refresh(time.Now())
			g.unlock()
			return p, nil
		}
	}
	w := &waiter{granted: make(chan permit, 1)}
	place := g.waiters.PushBack(w)
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
		g.waiters.Remove(place)
		g.pump()
	}
	g.unlock()
	return permit{}, ctx.Err()
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

// pump gives permits to the head of the queue as long as it can. It requires mu, and must run after every change.
func (g *gate) pump() {
	now := time.Now()
	for head := g.waiters.Front(); head != nil; head = g.waiters.Front() {
		p, ok := g.tryPermit(now)
		if !ok {
			break
		}
		g.waiters.Remove(head)
		head.Value.(*waiter).granted <- p
	}
	g.refresh(now)
}

// tryPermit reports whether a call may start now. It requires mu.
func (g *gate) tryPermit(now time.Time) (permit, bool) {
	if g.inFlight >= g.cfg.MaxInFlight || now.Before(g.coolUntil) || (g.halted != nil && now.Before(g.probeAt)) {
		return permit{}, false
	}
	done, err := g.breaker.Allow()
	if err != nil {
		return permit{}, false
	}
	p := permit{done: done, coolRound: g.coolRound}
	if g.halted != nil {
		p.probe = true
		g.probeAt = now.Add(g.cfg.ProbeInterval)
	}
	g.inFlight++
	return p, true
}

// settle accounts for the end of a call. It requires mu.
func (g *gate) settle(p permit, err error) {
	now := time.Now()
	p.done(err)
	g.inFlight--

	class, answered, e := endOf(err)
	switch {
	case class == Halting:
		g.halt(e, now)
	case answered:
		g.resume()
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

// halt stops all calls but one probe per interval. It requires mu.
//
// Calls that were under way when it began may still end the halt with a good answer, which is not always right: when a key
// expires, an answer from before can overtake the first refusal. Then the next call is refused and halts again. The other
// way round, when one server of many refuses us, it keeps the rest of the traffic flowing.
func (g *gate) halt(err error, now time.Time) {
	if g.halted == nil {
		g.probeAt = now.Add(g.cfg.ProbeInterval)
		g.events.post(func() { g.obs.Halted(err) })
	}
	g.halted = err
}

// resume requires mu.
func (g *gate) resume() {
	if g.halted != nil {
		g.halted = nil
		g.events.post(g.obs.Resumed)
	}
}

// throttle starts or extends the cool-down. It requires mu.
//
// Up to MaxInFlight calls can be answered 429 at once. Only the first of them starts a round and doubles the pause; the
// others hold a permit of an earlier round, and only a Retry-After of their own can make the pause longer.
func (g *gate) throttle(e *Error, p permit, now time.Time) {
	pause := e.RetryAfter
	if p.coolRound == g.coolRound {
		g.coolRound++
		g.coolDown = min(max(2*g.coolDown, g.cfg.CoolDown), g.cfg.MaxCoolDown)
		if pause == 0 {
			pause = g.coolDown
		}
	}
	if until := now.Add(pause); until.After(g.coolUntil) {
		g.coolUntil = until
	}
}
