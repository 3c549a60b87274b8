package cmssim

import (
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/balanceq/balanceq/schemas"
)

// Effect says what a fault does to a call.
type Effect string

// The effects.
const (
	EffectStatus   Effect = "status"   // answers with Fault.Status and an error body, or with Fault.Body
	EffectDelay    Effect = "delay"    // answers correctly, Fault.Delay later
	EffectHang     Effect = "hang"     // never answers; ends when the client gives up or the simulator closes
	EffectReset    Effect = "reset"    // closes the connection with a TCP RST
	EffectTruncate Effect = "truncate" // sends half of the correct answer and closes the connection
	EffectGarbage  Effect = "garbage"  // 200 with Fault.Body, by default something that is no ContractBalances
)

// Modes of EffectTruncate and EffectGarbage.
const (
	ModeLength  = "length"  // truncate (default): the Content-Length promises the whole body
	ModeChunked = "chunked" // truncate: the chunked body lacks its last chunk
	ModeHTML    = "html"    // garbage (default): an HTML page
	ModeShape   = "shape"   // garbage: JSON of the wrong shape
)

const (
	maxDelay      = 24 * time.Hour
	maxRetryAfter = 24 * 60 * 60 // seconds
	maxFaultBody  = 64 << 10     // bytes
)

// Match selects the calls that a fault takes. The zero value selects every call, on any path.
type Match struct {
	Contracts []int64 // only calls about these contracts; empty: all calls
	Every     int     // only each Every-th call of those that reach the rule; 0: each
	Percent   float64 // only this share of them, 0 < Percent <= 100, drawn by the seed; 0: all
}

// Fault is one rule: which calls, what happens to them, and for how long. Without Count and For it stays until removed.
type Fault struct {
	Match  Match
	Effect Effect

	Status         int    // status: 400…599, or 200 with a Body
	Body           string // status, garbage: the whole body, as it is
	Source         string // status without Body: Errors.Error[0].Source
	ReasonCode     string // status without Body: Errors.Error[0].ReasonCode
	Description    string // status without Body: Errors.Error[0].Description
	RetryAfter     int    // status 429 and 503: seconds in the Retry-After header; 0: no header
	RetryAfterDate bool   // Retry-After is written as an HTTP date
	Mode           string // truncate, garbage: see the Mode constants

	Delay time.Duration // before the effect, on top of the latency
	Count int           // ends after that many calls; 0: no limit
	For   time.Duration // ends that long after it was added; 0: no limit
}

// faultError names the member of a fault that is wrong, as the control endpoint spells it.
type faultError struct {
	field   string
	message string
}

func (e *faultError) Error() string { return e.field + ": " + e.message }

// Validate reports the first member that is out of range or has no meaning with the effect. The error names it.
func (f Fault) Validate() error {
	if err := f.Match.validate(); err != nil {
		return err
	}
	switch {
	case f.Delay < 0 || f.Delay > maxDelay:
		return &faultError{"delay", "must be 0 to 24h"}
	case f.Count < 0:
		return &faultError{"count", "must be at least 1"}
	case f.For < 0:
		return &faultError{"for", "must be more than 0s"}
	case len(f.Body) > maxFaultBody:
		return &faultError{"body", "must be at most 64 KiB"}
	}
	if err := f.validateMembers(); err != nil {
		return err
	}
	switch f.Effect {
	case EffectStatus:
		return f.validateStatus()
	case EffectDelay:
		if f.Delay == 0 {
			return &faultError{"delay", "is required for the effect delay"}
		}
	case EffectTruncate:
		return f.validateMode(ModeLength, ModeChunked)
	case EffectGarbage:
		return f.validateMode(ModeHTML, ModeShape)
	case EffectHang, EffectReset:
	case "":
		return &faultError{"effect", "is required: status, delay, hang, reset, truncate or garbage"}
	default:
		return &faultError{"effect", fmt.Sprintf("%q is none of status, delay, hang, reset, truncate, garbage", f.Effect)}
	}
	return nil
}

func (m Match) validate() error {
	for i, id := range m.Contracts {
		if id < schemas.MinContractID || id > schemas.MaxContractID {
			return &faultError{fmt.Sprintf("match.contracts.%d", i), "must be 1 to 999999999999999999"}
		}
	}
	switch {
	case m.Every < 0:
		return &faultError{"match.every", "must be at least 1"}
	case !(m.Percent >= 0 && m.Percent <= 100): // also refuses NaN
		return &faultError{"match.percent", "must be more than 0 and at most 100"}
	case m.Every > 0 && m.Percent > 0:
		return &faultError{"match.percent", "cannot be combined with match.every"}
	}
	return nil
}

// validateMembers refuses members that the effect would ignore: a typing mistake should not look like a working fault.
func (f Fault) validateMembers() error {
	status := f.Effect == EffectStatus
	for _, m := range []struct {
		field   string
		set, ok bool
		belongs string
	}{
		{"status", f.Status != 0, status, "the effect status"},
		{"body", f.Body != "", status || f.Effect == EffectGarbage, "the effects status and garbage"},
		{"source", f.Source != "", status && f.Body == "", "the effect status without body"},
		{"reasonCode", f.ReasonCode != "", status && f.Body == "", "the effect status without body"},
		{"description", f.Description != "", status && f.Body == "", "the effect status without body"},
		{"retryAfter", f.RetryAfter != 0, f.Status == http.StatusTooManyRequests || f.Status == http.StatusServiceUnavailable,
			"the effect status with 429 or 503"},
		{"retryAfterDate", f.RetryAfterDate, f.RetryAfter != 0, "retryAfter"},
		{"mode", f.Mode != "", f.Effect == EffectTruncate || f.Effect == EffectGarbage && f.Body == "",
			"the effects truncate, and garbage without body"},
		{"delay", f.Delay != 0, f.Effect != EffectHang, "every effect but hang"},
	} {
		if m.set && !m.ok {
			return &faultError{m.field, "belongs to " + m.belongs}
		}
	}
	return nil
}

func (f Fault) validateStatus() error {
	switch {
	case f.Status == http.StatusOK && f.Body == "":
		return &faultError{"body", "is required with status 200"}
	case f.Status != http.StatusOK && (f.Status < 400 || f.Status > 599):
		return &faultError{"status", "must be 400 to 599, or 200 with a body"}
	case f.RetryAfter < 0 || f.RetryAfter > maxRetryAfter:
		return &faultError{"retryAfter", "must be 1 to 86400 seconds"}
	}
	for _, m := range [...]struct{ field, text string }{
		{"source", f.Source}, {"reasonCode", f.ReasonCode}, {"description", f.Description},
	} {
		if !utf8.ValidString(m.text) {
			return &faultError{m.field, "must be valid UTF-8"}
		}
	}
	return nil
}

func (f Fault) validateMode(modes ...string) error {
	if f.Mode == "" {
		return nil
	}
	for _, mode := range modes {
		if f.Mode == mode {
			return nil
		}
	}
	return &faultError{"mode", fmt.Sprintf("%q is neither %s nor %s", f.Mode, modes[0], modes[1])}
}
