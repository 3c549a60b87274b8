package otlptest

import (
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is a span as it was received, in the words in which tests ask about it. Ids are hexadecimal; a link is a trace
// id and a span id with a dash between.
type Span struct {
	Trace, ID, Parent string // Parent "": a root
	Name              string
	Kind              string
	Failed            bool
	Links             []string
	Attributes        map[string]string
	Start, End        uint64 // nanoseconds since 1970
	Service           string // service.name of the sender
}

// Context is the span as a traceparent names it, without version and flags.
func (s *Span) Context() string { return s.Trace + "-" + s.ID }

// Spans returns all spans of all exports, in the order of their beginning.
func (r *Receiver) Spans() (all []Span) {
	r.mu.Lock()
	received := slices.Clone(r.spans)
	r.mu.Unlock()
	for _, from := range received {
		service := texts(from.GetResource().GetAttributes())["service.name"]
		for _, scope := range from.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				all = append(all, spanOf(s, service))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Span) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	return all
}

// Named returns those of a name.
func Named(spans []Span, name string) (named []Span) {
	for _, s := range spans {
		if s.Name == name {
			named = append(named, s)
		}
	}
	return named
}

func spanOf(s *traces.Span, service string) Span {
	decoded := Span{
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
		Parent: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(), Kind: s.GetKind().String(),
		Failed: s.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR, Attributes: texts(s.GetAttributes()),
		Start: s.GetStartTimeUnixNano(), End: s.GetEndTimeUnixNano(), Service: service,
	}
	for _, l := range s.GetLinks() {
		decoded.Links = append(decoded.Links, hex.EncodeToString(l.GetTraceId())+"-"+hex.EncodeToString(l.GetSpanId()))
	}
	return decoded
}

// texts are attributes as text, whatever their type.
func texts(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			all[a.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		case *common.AnyValue_BoolValue:
			all[a.GetKey()] = strconv.FormatBool(v.BoolValue)
		default:
			all[a.GetKey()] = a.GetValue().String()
		}
	}
	return all
}

// Keys are the names of a span's attributes, in order.
func (s *Span) Keys() []string { return slices.Sorted(maps.Keys(s.Attributes)) }
