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
	CauseQuota     = "quota"     // the day's quota of calls is used up: the next UTC day
)

// refresh announces a change of what blocks all calls, and sets the timer. It requires mu.
func (g *gate) refresh(now time.Time) {
	state := g.breaker.state(now)
	if cause := g.blockedNow(now, state); cause != g.blocked {
		g.blocked = cause
		if cause == CauseQuota {
			until := g.pace.quotaUntil(now)
			g.events.post(func() { g.obs.QuotaSpent(until) })
		}
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
		earliest(g.breaker.openUntil)
	}
	if g.halted != nil {
		earliest(g.probeAt)
	}
	earliest(g.coolUntil)
	earliest(g.doubt.due)
	if g.queue.len() > 0 || g.blocked == CauseQuota {
		earliest(g.pace.pausedUntil(now))
		earliest(g.pace.growsAt(now))
	}

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
	case g.pace.quotaUntil(now).After(now):
		return CauseQuota
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
	case g.breaker.state(now) != gobreaker.StateClosed:
		return CauseBreaker
	case g.pace.quotaUntil(now).After(now):
		return CauseQuota
	}
	return ""
}

// Status is a snapshot for health pages and metrics.
type Status struct {
	Breaker       string    // "closed", "open" or "half-open"
	Cause         string    // what keeps calls from flowing freely, a half-open breaker included; "": nothing
	Failing       string    // while the breaker is not closed: the most frequent failures with their counts, and since when
	HaltedError   string    // what to mend; "": not halted
	CoolDownUntil time.Time // zero: no cool-down
	InFlight      int       // calls admitted and not ended
	Limit         int       // calls that may be under way at the moment
	Queued        int       // callers waiting in Admit and AdmitRetry
	QueuedRetries int       // of those, in AdmitRetry
	Retries       uint64    // calls made after AdmitRetry, so far
	Hedges        uint64    // second calls beside slow ones, so far
}

// Status returns the state of this moment.
func (c *Client) Status() Status {
	g := c.gate
	g.mu.Lock()
	defer g.unlock()
	g.pump()
	now := time.Now()
	s := Status{
		Breaker:       g.breaker.state(now).String(),
		Cause:         g.causeNow(now),
		InFlight:      g.inFlight,
		Limit:         g.pace.limit(now),
		Queued:        g.queue.len(),
		QueuedRetries: g.queue.retries.Len(),
		Retries:       g.budget.retries,
		Hedges:        g.budget.hedges,
	}
	if g.breaker.seen != gobreaker.StateClosed {
		s.Failing = g.breaker.trouble.String()
	}
	if g.halted != nil {
		s.HaltedError = g.halted.Error()
	}
	if now.Before(g.coolUntil) {
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
	return g.breaker.state(time.Now()) == gobreaker.StateOpen
}
