package inflight

import (
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/schemas"
)

// Span tells a tracer how far a request is that is sampled. Its methods may be called from any goroutine and never
// block; what happens after the end is left out.
type Span interface {
	// IDs returns the ids of the trace and of this span in it, in hexadecimal.
	IDs() (trace, span string)
	// Call begins one HTTP attempt that is made for this request and for all of sharing, which may have it among them.
	// It returns the traceparent to send, and what is to be told of the end: the status of the answer, 0 where there is
	// none, and what came back, as one of cmsclient's Call classes. resends is how many attempts went before.
	Call(sharing []*Request, resends int) (traceparent string, ended func(status int, class string))
	// Send begins the writing of one message of the outcome, and returns the context that the message is to carry.
	Send(topic string) schemas.Trace
	// Unsent says that the message to a topic is not written, and why.
	Unsent(topic, errorType string)
	// Written says that all of the outcome is in the log: it ends what Send began.
	Written()
	// End says that the outcome is handed over. errorType is a schemas.Reason, or ErrorRevoked; "" for a result.
	End(errorType string)
}

// ErrorRevoked is how the span of a request ends that is the next owner's.
const ErrorRevoked = "revoked"

// SampledTraceID is the request's trace, in hexadecimal; "" if it is not sampled.
func (r *Request) SampledTraceID() string {
	if r.Span == nil {
		return ""
	}
	trace, _ := r.Span.IDs()
	return trace
}

// MarshalZerologObject adds trace_id and span_id to a log line, if the request is sampled (zerolog.Event.EmbedObject).
func (r *Request) MarshalZerologObject(e *zerolog.Event) {
	if r.Span == nil {
		return
	}
	trace, span := r.Span.IDs()
	e.Str("trace_id", trace).Str("span_id", span)
}
