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

// breaker is gobreaker in its two-step form: Allow before a call, done(err) after it.
type breaker = gobreaker.TwoStepCircuitBreaker[struct{}]

// newBreaker returns a closed breaker with one probe at a time. onChange runs under the breaker's mutex: it must not call
// the breaker.
func newBreaker(cfg BreakerConfig, onChange func(from, to gobreaker.State)) *breaker {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "cms",
		MaxRequests:  1,
		Interval:     cfg.Window,
		BucketPeriod: cfg.Window / windowBuckets,
		Timeout:      cfg.OpenTime,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Not c.Requests: it also counts the calls that have not ended.
			finished := c.TotalSuccesses + c.TotalFailures
			return finished >= cfg.MinCalls && float64(c.TotalFailures) >= cfg.FailureRatio*float64(finished)
		},
		OnStateChange: func(_ string, from, to gobreaker.State) { onChange(from, to) },
		IsSuccessful:  func(err error) bool { return verdictOf(err) == success },
		IsExcluded:    func(err error) bool { return verdictOf(err) == excluded },
	})
}

// verdict is what a call's end says about the CMS's health.
type verdict int

const (
	excluded verdict = iota // nothing
	success
	failure
)

// verdictOf judges the error of a call: an answer about the request itself shows a healthy CMS. Throttled and Halting have
// gates of their own, and everything that is not an *Error (the caller gave up, or asked nothing) says nothing.
func verdictOf(err error) verdict {
	if err == nil {
		return success
	}
	var e *Error
	if !errors.As(err, &e) {
		return excluded
	}
	switch e.Class {
	case Rejected, ContractNotFound:
		return success
	case Transient, Undecodable:
		return failure
	case Throttled, Halting:
		return excluded
	}
	return excluded
}
