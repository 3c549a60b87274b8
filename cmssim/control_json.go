package cmssim

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxControlBody = 256 << 10 // bytes; a fault's body may use 64 KiB of it, escaped

// duration is written and read as Go writes it: "250ms", "1m30s".
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration such as 250ms, 5s or 1m30s", text)
	}
	*d = duration(v)
	return nil
}

// faultJSON is a Fault on the control endpoint. Numbers are pointers because a 0 that was written down is a mistake,
// not "no limit".
type faultJSON struct {
	ID             string     `json:"id,omitempty"` // in answers only
	Match          *matchJSON `json:"match,omitempty"`
	Effect         Effect     `json:"effect,omitempty"`
	Status         *int       `json:"status,omitempty"`
	Body           string     `json:"body,omitempty"`
	Source         string     `json:"source,omitempty"`
	ReasonCode     string     `json:"reasonCode,omitempty"`
	Description    string     `json:"description,omitempty"`
	RetryAfter     *int       `json:"retryAfter,omitempty"`
	RetryAfterDate bool       `json:"retryAfterDate,omitempty"`
	Mode           string     `json:"mode,omitempty"`
	Delay          *duration  `json:"delay,omitempty"`
	Count          *int       `json:"count,omitempty"`
	For            *duration  `json:"for,omitempty"`
	Outage         *duration  `json:"outage,omitempty"` // in requests only: short for a 503 on everything
	State          *stateJSON `json:"state,omitempty"`  // in answers only
}

type matchJSON struct {
	Contracts []int64  `json:"contracts,omitempty"`
	Every     *int     `json:"every,omitempty"`
	Percent   *float64 `json:"percent,omitempty"`
}

type stateJSON struct {
	Taken     int64  `json:"taken"`
	Remaining int    `json:"remaining,omitempty"`
	EndsIn    string `json:"endsIn,omitempty"`
}

type latencyJSON struct {
	Latency *duration `json:"latency"`
	Jitter  *duration `json:"jitter,omitempty"`
}

type controlError struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
}

// fault returns the fault that was written, validated.
func (in *faultJSON) fault() (Fault, error) {
	switch {
	case in.ID != "":
		return Fault{}, &faultError{"id", "is given by the simulator"}
	case in.State != nil:
		return Fault{}, &faultError{"state", "is given by the simulator"}
	}
	if err := in.refuseZeros(); err != nil {
		return Fault{}, err
	}
	f := Fault{
		Effect: in.Effect, Status: deref(in.Status), Body: in.Body, Source: in.Source, ReasonCode: in.ReasonCode,
		Description: in.Description, RetryAfter: deref(in.RetryAfter), RetryAfterDate: in.RetryAfterDate, Mode: in.Mode,
		Delay: time.Duration(deref(in.Delay)), Count: deref(in.Count), For: time.Duration(deref(in.For)),
	}
	if in.Match != nil {
		f.Match = Match{Contracts: in.Match.Contracts, Every: deref(in.Match.Every), Percent: deref(in.Match.Percent)}
	}
	if in.Outage != nil {
		if err := f.outage(time.Duration(*in.Outage)); err != nil {
			return Fault{}, err
		}
	}
	return f, f.Validate()
}

// outage makes the fault an outage of that time: 503, or a reset if that was asked for.
func (f *Fault) outage(d time.Duration) error {
	switch {
	case f.For != 0:
		return &faultError{"for", "cannot be combined with outage, which is a duration itself"}
	case f.Effect != "" && f.Effect != EffectStatus && f.Effect != EffectReset:
		return &faultError{"effect", "with outage must be status or reset"}
	}
	f.For = d
	if f.Effect == "" {
		f.Effect = EffectStatus
	}
	if f.Effect == EffectStatus && f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	return nil
}

// refuseZeros refuses limits that are there but zero; Validate takes a zero for "none".
func (in *faultJSON) refuseZeros() error {
	for _, m := range []struct {
		field string
		zero  bool
		want  string
	}{
		{"status", isZero(in.Status), "must be 400 to 599, or 200 with a body"},
		{"retryAfter", isZero(in.RetryAfter), "must be 1 to 86400 seconds"},
		{"count", isZero(in.Count), "must be at least 1"},
		{"for", in.For != nil && *in.For <= 0, "must be more than 0s"},
		{"outage", in.Outage != nil && *in.Outage <= 0, "must be more than 0s"},
	} {
		if m.zero {
			return &faultError{m.field, m.want}
		}
	}
	if in.Match == nil {
		return nil
	}
	switch {
	case in.Match.Contracts != nil && len(in.Match.Contracts) == 0:
		return &faultError{"match.contracts", "must not be empty; leave it out to match all contracts"}
	case isZero(in.Match.Every):
		return &faultError{"match.every", "must be at least 1"}
	case isZero(in.Match.Percent):
		return &faultError{"match.percent", "must be more than 0 and at most 100"}
	}
	return nil
}

func (in *latencyJSON) validate() error {
	switch {
	case in.Latency == nil:
		return &faultError{"latency", "is required"}
	case *in.Latency < 0 || *in.Latency > duration(maxDelay):
		return &faultError{"latency", "must be 0s to 24h"}
	case in.Jitter != nil && (*in.Jitter < 0 || *in.Jitter > duration(maxDelay)):
		return &faultError{"jitter", "must be 0s to 24h"}
	}
	return nil
}

// describe is the opposite of faultJSON.fault.
func describe(f Fault) faultJSON {
	out := faultJSON{
		Effect: f.Effect, Status: ref(f.Status), Body: f.Body, Source: f.Source, ReasonCode: f.ReasonCode,
		Description: f.Description, RetryAfter: ref(f.RetryAfter), RetryAfterDate: f.RetryAfterDate, Mode: f.Mode,
		Delay: ref(duration(f.Delay)), Count: ref(f.Count), For: ref(duration(f.For)),
	}
	if len(f.Match.Contracts) > 0 || f.Match.Every > 0 || f.Match.Percent > 0 {
		out.Match = &matchJSON{f.Match.Contracts, ref(f.Match.Every), ref(f.Match.Percent)}
	}
	return out
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func ref[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func isZero[T comparable](p *T) bool { return p != nil && ref(*p) == nil }

// readControl decodes the body into v: unknown and duplicate members, other spellings, trailing data and invalid UTF-8
// are refused. It answers the request itself if that fails.
func readControl(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err != nil {
		reply(w, http.StatusRequestEntityTooLarge,
			controlError{Error: "the body could not be read, or has more than 256 KiB"})
		return false
	}
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		refuse(w, decodeError(err))
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, err error) {
	out := controlError{Error: err.Error()}
	if named, ok := errors.AsType[*faultError](err); ok {
		out.Field = named.field
	}
	reply(w, http.StatusBadRequest, out)
}

// decodeError says in terms of the control endpoint what the JSON decoder found, and names the member.
func decodeError(err error) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		field := fieldOf(semantic.JSONPointer)
		switch {
		case errors.Is(semantic.Err, json.ErrUnknownName):
			return &faultError{field, "is no known member"}
		case semantic.Err != nil && semantic.JSONKind == '"':
			return &faultError{field, semantic.Err.Error()}
		default:
			return &faultError{field, "must be " + wanted(semantic.GoType)}
		}
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(syntactic.Err, jsontext.ErrDuplicateName) {
			return &faultError{fieldOf(syntactic.JSONPointer), "is there more than once"}
		}
		return fmt.Errorf("the body is no valid JSON: %w at byte %d", syntactic.Err, syntactic.ByteOffset)
	}
	return fmt.Errorf("reading the body: %w", err)
}

// fieldOf writes a JSON pointer as the member's path: "/match/contracts/0" is "match.contracts.0".
func fieldOf(p jsontext.Pointer) string {
	if p == "" {
		return "body"
	}
	return strings.ReplaceAll(strings.TrimPrefix(string(p), "/"), "/", ".")
}

var kindNames = map[reflect.Kind]string{
	reflect.Int: "a whole number", reflect.Int64: "a whole number", reflect.Float64: "a number",
	reflect.String: "a text in quotes", reflect.Bool: "true or false",
	reflect.Slice: "a list", reflect.Struct: "an object",
}

// wanted names a Go type as the writer of JSON knows it.
func wanted(t reflect.Type) string {
	if t == reflect.TypeFor[duration]() {
		return `a duration in quotes, such as "5s"`
	}
	if t != nil {
		if name, ok := kindNames[t.Kind()]; ok {
			return name
		}
	}
	return "a value of another type"
}
