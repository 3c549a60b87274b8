package cmsclient

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	windowBuckets = 10                    // the rolling window moves on in tenths
	minWindow     = 10 * time.Millisecond // a bucket of a millisecond
)

// breaker opens when too many calls fail or are slow, each counted by a gobreaker of its own: a ratio of one cannot
// stand in for the other. It is open while one of them is, for a time that doubles while its probes fail.
//
// It takes no callbacks from gobreaker, which makes them under its own lock and so deadlocks when they ask it anything:
// state asks after every step. All methods require the admission's mutex.
type breaker struct {
	cfg      BreakerSettings
	failures *twoStep
	slow     *twoStep // nil: no call is slow
	onChange func(from, to BreakerState)

	seen      BreakerState
	round     int           // counts changes of the state
	openTime  time.Duration // the latest
	openUntil time.Time     // while open: no probe before
	closedAt  time.Time
	failing   failureSummary
}

// twoStep is Allow before a call and done(err) after it.
type twoStep = gobreaker.TwoStepCircuitBreaker[struct{}]

// ticket is the breaker's permission for one call.
type ticket struct {
	failures, slow func(error) // failures is nil: no permission
	round          int
	start          time.Time
}

func newBreaker(cfg BreakerSettings, onChange func(from, to BreakerState)) *breaker {
	b := &breaker{cfg: cfg, onChange: onChange}
	b.failures = newTwoStep(cfg, cfg.FailureRatio)
	if cfg.SlowCall > 0 {
		b.slow = newTwoStep(cfg, cfg.SlowRatio)
	}
	return b
}

// newTwoStep returns a closed breaker with one probe at a time.
func newTwoStep(cfg BreakerSettings, ratio float64) *twoStep {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "cms",
		MaxRequests:  1,
		Interval:     cfg.Window,
		BucketPeriod: cfg.Window / windowBuckets,
		Timeout:      cfg.OpenTime, // the shortest; openUntil holds back for longer
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Not c.Requests: it also counts the calls that have not ended.
			finished := c.TotalSuccesses + c.TotalFailures
			return int(finished) >= cfg.MinCalls && float64(c.TotalFailures) >= ratio*float64(finished)
		},
		IsSuccessful: func(err error) bool { return signalOf(err) == success },
		IsExcluded:   func(err error) bool { return signalOf(err) == excluded },
	})
}

// allow reports whether a call may be made.
func (b *breaker) allow(now time.Time) (ticket, bool) {
	if b.state(now) == BreakerOpen {
		return ticket{}, false
	}
	t := ticket{round: b.round, start: now}
	var err error
	if t.failures, err = b.failures.Allow(); err != nil {
		return ticket{}, false
	}
	if b.slow == nil {
		return t, true
	}
	if t.slow, err = b.slow.Allow(); err != nil {
		t.failures(errNotSent)
		return ticket{}, false
	}
	return t, true
}

// done reports the end of a call. What was allowed before the state last changed tells nothing about the time since.
func (b *breaker) done(t ticket, err error, now time.Time) {
	slow := b.slow != nil && signalOf(err) == success && now.Sub(t.start) > b.cfg.SlowCall
	switch {
	case signalOf(err) == failure:
		kind, status := kindOf(err)
		b.failing.note(kind, status, now, b.cfg.Window, b.seen == BreakerClosed)
	case slow:
		b.failing.note("slower than "+b.cfg.SlowCall.String(), 0, now, b.cfg.Window, b.seen == BreakerClosed)
	}
	if t.round != b.round {
		return
	}
	t.failures(err)
	if t.slow != nil {
		switch {
		case signalOf(err) == excluded:
			t.slow(errNotSent)
		case now.Sub(t.start) > b.cfg.SlowCall:
			t.slow(errSlow)
		default:
			t.slow(nil)
		}
	}
	if b.seen != BreakerClosed || slow || signalOf(err) == failure {
		b.look(now)
	}
}

// errSlow is a failure to the breaker of slow calls.
var errSlow = &Error{Class: Transient}

// state returns the state and notes its changes. A closed one stays so until done is told of a failure.
func (b *breaker) state(now time.Time) BreakerState {
	if b.seen == BreakerClosed || b.seen == BreakerOpen && now.Before(b.openUntil) {
		return b.seen
	}
	return b.look(now)
}

// look asks gobreaker.
func (b *breaker) look(now time.Time) BreakerState {
	state := stateOf(b.failures.State())
	if b.slow != nil {
		state = max(state, stateOf(b.slow.State()))
	}
	switch {
	case state != b.seen:
		from := b.seen
		b.enter(state, now)
		b.onChange(from, state)
	case state == BreakerOpen:
		// The other one opened later.
		b.openUntil = now.Add(b.cfg.OpenTime/10 + time.Millisecond)
	}
	return state
}

func (b *breaker) enter(state BreakerState, now time.Time) {
	switch state {
	case BreakerOpen:
		// A failed probe, or a breaker that has hardly been closed: the last time was not long enough.
		if b.seen == BreakerHalfOpen || now.Sub(b.closedAt) < 2*b.openTime {
			b.openTime = min(2*b.openTime, b.cfg.MaxOpenTime)
		} else {
			b.openTime = b.cfg.OpenTime
		}
		// Not now: gobreaker has read the clock since. A millisecond more than it waits, as it compares with "before".
		b.openUntil = time.Now().Add(b.openTime + time.Millisecond)
	case BreakerClosed:
		b.closedAt = now
	case BreakerHalfOpen:
	}
	b.seen = state
	b.round++
}

// signal is what a call's end says about the CMS's health.
type signal int

const (
	excluded signal = iota // nothing
	success
	failure
)

// signalOf classifies the error of a call: an answer about the request itself shows a healthy CMS. What throttles and
// what halts is acted on elsewhere (admission), and everything that is not an *Error (the caller gave up, or asked
// nothing) says nothing.
func signalOf(err error) signal {
	if err == nil {
		return success
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return excluded
	}
	switch e.Class {
	case Rejected, ContractNotFound:
		return success
	case Transient, Undecodable:
		return failure
	case Throttled, Halting, Undecryptable:
		return excluded
	}
	return excluded
}
