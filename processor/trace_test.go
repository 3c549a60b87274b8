package processor

import (
	"slices"
	"testing"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// tracing notes what a span hears.
type tracing struct {
	inflight.Span
	name  string
	heard *[]string
}

func (s tracing) Call(sharing []*inflight.Request, resends int) (string, func(int, string)) {
	*s.heard = append(*s.heard, s.name, string(rune('0'+len(sharing))), string(rune('0'+resends)))
	return "of " + s.name, func(int, string) { *s.heard = append(*s.heard, "ended") }
}

// A call belongs to the trace of the first request that is sampled. Where none is, it carries on what came in.
func TestFollow(t *testing.T) {
	t.Parallel()
	var heard []string
	request := func(parent string, sampled bool) *inflight.Request {
		r := &inflight.Request{Attempts: 3}
		if parent != "" {
			r.Request.Trace = schemas.Trace{Parent: []byte(parent)}
		}
		if sampled {
			r.Span = tracing{name: parent, heard: &heard}
		}
		return r
	}
	for name, test := range map[string]struct {
		requests    []*inflight.Request
		traceparent string
		attempts    []string
	}{
		"none has a trace": {[]*inflight.Request{request("", false)}, "", nil},
		"one has":          {[]*inflight.Request{request("a", false)}, "a", nil},
		"the second has":   {[]*inflight.Request{request("", false), request("b", false), request("c", false)}, "b", nil},
		"one is sampled":   {[]*inflight.Request{request("a", true)}, "", []string{"a", "1", "2", "ended"}},
		"the third is sampled": {[]*inflight.Request{request("a", false), request("", false), request("c", true)}, "",
			[]string{"c", "3", "2", "ended"}},
	} {
		heard = nil
		q := newQuery(1, 10)
		q.Traceparent = "of the call before"
		q.requests = test.requests
		q.follow()
		if q.Traceparent != test.traceparent || (q.Attempt != nil) != (test.attempts != nil) {
			t.Errorf("%s: %q, an attempt of it: %t", name, q.Traceparent, q.Attempt != nil)
		}
		if q.Attempt == nil {
			continue
		}
		traceparent, ended := q.Attempt()
		ended(200, "2xx")
		if traceparent != "of "+test.attempts[0] || !slices.Equal(heard, test.attempts) {
			t.Errorf("%s: %q, heard %q", name, traceparent, heard)
		}
	}
}
