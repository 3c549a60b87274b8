package cmsclient

import (
	"fmt"

	"github.com/sony/gobreaker/v2"
)

// BreakerState is a state of the circuit breaker.
type BreakerState int

// The states, in the order of severity.
const (
	BreakerClosed   BreakerState = iota // calls go through
	BreakerHalfOpen                     // one call at a time probes the CMS
	BreakerOpen                         // no call is made
)

// BreakerStates are all states.
var BreakerStates = []BreakerState{BreakerClosed, BreakerHalfOpen, BreakerOpen}

func stateOf(s gobreaker.State) BreakerState {
	switch s {
	case gobreaker.StateClosed:
		return BreakerClosed
	case gobreaker.StateHalfOpen:
		return BreakerHalfOpen
	case gobreaker.StateOpen:
		return BreakerOpen
	}
	return BreakerClosed // gobreaker has no other
}

// String returns "closed", "half-open" or "open", as in metrics and JSON.
func (s BreakerState) String() string {
	switch s {
	case BreakerClosed:
		return "closed"
	case BreakerHalfOpen:
		return "half-open"
	case BreakerOpen:
		return "open"
	}
	return fmt.Sprintf("BreakerState(%d)", int(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s BreakerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *BreakerState) UnmarshalText(text []byte) error {
	for _, known := range BreakerStates {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("%q is no state of the breaker", text)
}
