package cmsclient

import (
	"time"
)

// Causes of waiting, as Waiting and Status give them.
const (
	CauseBreaker   = "breaker"   // the circuit breaker is open, or half-open with its probe under way
	CauseThrottled = "throttled" // the CMS answered 429: a cool-down that all calls share
	CauseHalted    = "halted"    // the CMS refuses the client: one probe per interval until that is fixed
	CauseQuota     = "quota"     // the day's quota of calls is used up: the next UTC day
)

// refresh announces a change of what blocks all calls, and sets the timer. It requires mu.
func (a *admission) refresh(now time.Time) {
	state := a.breaker.state(now)
	if cause := a.blockedNow(now, state); cause != a.blocked {
		a.blocked = cause
		switch cause {
		case CauseQuota:
			until := a.pace.quotaUntil(now)
			a.events.post(func() { a.obs.quotaSpent(until) })
		case CauseThrottled:
			until := a.coolUntil
			a.events.post(func() { a.obs.throttled(until) })
		}
		close(a.changed)
		a.changed = make(chan struct{})
	}

	var next time.Time
	earliest := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if state == BreakerOpen {
		earliest(a.breaker.openUntil)
	}
	if a.halted != nil {
		earliest(a.probeAt)
	}
	earliest(a.coolUntil)
	earliest(a.detector.due)
	if a.queue.len() > 0 || a.blocked == CauseQuota {
		earliest(a.pace.pausedUntil(now))
		earliest(a.pace.growsAt(now))
	}

	if a.closed || next.IsZero() {
		if !a.wakeAt.IsZero() {
			a.timer.Stop()
			a.wakeAt = time.Time{}
		}
	} else if !next.Equal(a.wakeAt) {
		a.timer.Reset(next.Sub(now))
		a.wakeAt = next
	}
}

// blockedNow says why no call at all can be made now; "" when one may be made, be it only a probe. It requires mu.
//
// A half-open breaker does not block, however many wait: if all of those that wait are requests that the CMS fails on,
// only a fresh one can close the breaker, and it has to be fetched first.
func (a *admission) blockedNow(now time.Time, state BreakerState) string {
	switch {
	case a.halted != nil && now.Before(a.probeAt):
		return CauseHalted
	case now.Before(a.coolUntil):
		return CauseThrottled
	case state == BreakerOpen:
		return CauseBreaker
	case a.pace.quotaUntil(now).After(now):
		return CauseQuota
	}
	return ""
}

// causeNow says what keeps calls from flowing freely; "": nothing. It requires mu.
func (a *admission) causeNow(now time.Time) string {
	switch {
	case a.halted != nil:
		return CauseHalted
	case now.Before(a.coolUntil):
		return CauseThrottled
	case a.breaker.state(now) != BreakerClosed:
		return CauseBreaker
	case a.pace.quotaUntil(now).After(now):
		return CauseQuota
	}
	return ""
}

// Status is a snapshot for health pages and metrics.
type Status struct {
	Breaker       BreakerState
	Cause         string    // what keeps calls from flowing freely, a half-open breaker included; "": nothing
	Failing       Failing   // while the breaker is not closed
	HaltedError   string    // what to fix; "": not halted
	CoolDownUntil time.Time // zero: no cool-down
	InFlight      int       // calls admitted and not ended
	Limit         int       // calls that may be under way at the moment
	Most          int       // what Limit is at most: MaxInFlight
	Paced         bool      // callers wait because of Rate
	Queued        int       // callers waiting in Admit and AdmitRetry
	QueuedRetries int       // of those, in AdmitRetry
	Retries       uint64    // calls made after AdmitRetry, so far
	Hedges        uint64    // second calls beside slow ones, so far
}

// Status returns the state of this moment.
func (c *Client) Status() Status {
	a := c.admission
	a.mu.Lock()
	defer a.unlock()
	now := time.Now()
	a.pump(now)
	s := Status{
		Breaker:       a.breaker.state(now),
		Cause:         a.causeNow(now),
		InFlight:      a.inFlight,
		Limit:         a.pace.limit(now),
		Most:          a.cfg.MaxInFlight,
		Paced:         a.queue.len() > 0 && a.pace.pausedUntil(now).After(now),
		Queued:        a.queue.len(),
		QueuedRetries: a.queue.retries.Len(),
		Retries:       a.budget.retries,
		Hedges:        a.budget.hedges,
	}
	if a.breaker.seen != BreakerClosed {
		s.Failing = a.breaker.failing.summary()
	}
	if a.halted != nil {
		s.HaltedError = a.halted.Error()
	}
	if now.Before(a.coolUntil) {
		s.CoolDownUntil = a.coolUntil
	}
	return s
}

// Waiting says why no call can be made: one of the Cause constants, or "" when one can. The channel is closed when that
// changes. When it is time for a probe it says "", so that a caller who pauses its intake by Waiting brings records to
// probe with.
func (c *Client) Waiting() (cause string, changed <-chan struct{}) {
	a := c.admission
	a.mu.Lock()
	defer a.unlock()
	a.pump(time.Now())
	return a.blocked, a.changed
}

// BreakerOpen reports whether the circuit breaker is open: not closed, not half-open.
func (c *Client) BreakerOpen() bool {
	a := c.admission
	a.mu.Lock()
	defer a.unlock()
	a.pump(time.Now())
	return a.breaker.state(time.Now()) == BreakerOpen
}
