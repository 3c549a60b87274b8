package cmsclient

import (
	"time"

	"github.com/sony/gobreaker/v2"
)

// Causes of waiting, as Waiting and Status give them.
const (
	CauseBreaker   = "breaker"   // the circuit breaker is open, or half-open with its probe under way
	CauseThrottled = "throttled" // the CMS answered 429: a cool-down that all calls share
	CauseHalted    = "halted"    // the CMS refuses us: one probe per interval until somebody mends it
)

// refresh announces a change of what blocks all calls, and sets the timer. It requires mu.
func (g *gate) refresh(now time.Time) {
	state := g.breaker.State()
	if cause := g.blockedNow(now, state); cause != g.blocked {
		g.blocked = cause
		close(g.changed)
		g.changed = make(chan struct{})
	}

	var next time.Time
	earliest := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if state == gobreaker.StateOpen {
		earliest(later(g.openUntil, now.Add(time.Millisecond))) // in the future whatever the clocks say: nothing else wakes us
	}
	if g.halted != nil {
		earliest(g.probeAt)
	}
	earliest(g.coolUntil)

	if g.closed || next.IsZero() {
		if !g.wakeAt.IsZero() {
			g.timer.Stop()
			g.wakeAt = time.Time{}
		}
	} else if !next.Equal(g.wakeAt) {
		g.timer.Reset(next.Sub(now))
		g.wakeAt = next
	}
}

// blockedNow says why no call at all can be made now; "" when one may be made, be it only a probe. It requires mu.
//
// A half-open breaker does not block, however many wait: if all of those that wait are requests that the CMS fails on,
// only a fresh one can close the breaker, and it has to be fetched first.
func (g *gate) blockedNow(now time.Time, state gobreaker.State) string {
	switch {
	case g.halted != nil && now.Before(g.probeAt):
		return CauseHalted
	case now.Before(g.coolUntil):
		return CauseThrottled
	case state == gobreaker.StateOpen:
		return CauseBreaker
	}
	return ""
}

// causeNow says what keeps calls from flowing freely; "": nothing. It requires mu.
func (g *gate) causeNow(now time.Time) string {
	switch {
	case g.halted != nil:
		return CauseHalted
	case now.Before(g.coolUntil):
		return CauseThrottled
	case g.breaker.State() != gobreaker.StateClosed:
		return CauseBreaker
	}
	return ""
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Status is a snapshot for health pages and metrics.
type Status struct {
	Breaker       string    // "closed", "open" or "half-open"
	Cause         string    // what keeps calls from flowing freely, a half-open breaker included; "": nothing
	HaltedError   string    // what to mend; "": not halted
	CoolDownUntil time.Time // zero: no cool-down
	InFlight      int       // calls admitted and not ended
	Queued        int       // callers waiting in Admit
}

// Status returns the state of this moment.
func (c *Client) Status() Status {
	g := c.gate
	g.mu.Lock()
	defer g.unlock()
	g.pump()
	s := Status{
		Breaker:  g.breaker.State().String(),
		Cause:    g.causeNow(time.Now()),
		InFlight: g.inFlight,
		Queued:   g.waiters.Len(),
	}
	if g.halted != nil {
		s.HaltedError = g.halted.Error()
	}
	if time.Now().Before(g.coolUntil) {
		s.CoolDownUntil = g.coolUntil
	}
	return s
}

// Waiting says why no call can be made: one of the Cause constants, or "" when one can. The channel is closed when that
// changes. When it is time for a probe it says "", so that whoever pauses its intake by Waiting brings records to probe with.
func (c *Client) Waiting() (cause string, changed <-chan struct{}) {
	g := c.gate
	g.mu.Lock()
	defer g.unlock()
	g.pump()
	return g.blocked, g.changed
}

// BreakerOpen reports whether the circuit breaker is open: not closed, not half-open.
func (c *Client) BreakerOpen() bool {
	g := c.gate
	g.mu.Lock()
	defer g.unlock()
	g.pump()
	return g.breaker.State() == gobreaker.StateOpen
}
