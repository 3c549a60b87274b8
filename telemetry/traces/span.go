package traces

import (
	"context"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// span is that of one request, "process …", with the children that are under way.
type span struct {
	tracer  *Tracer
	process trace.Span
	request string // its id, masked

	mu    sync.Mutex
	sends map[string]trace.Span // by topic
}

var _ inflight.Span = (*span)(nil)

// under has what is started in it be a child of a span.
func under(s trace.Span) context.Context { return trace.ContextWithSpan(context.Background(), s) }

// fail ends nothing: it says why a span did not do what it is for.
func fail(s trace.Span, kind string) {
	s.SetAttributes(errorType.String(kind))
	s.SetStatus(codes.Error, "")
}

// IDs implements inflight.Span.
func (s *span) IDs() (traceID, spanID string) {
	of := s.process.SpanContext()
	return of.TraceID().String(), of.SpanID().String()
}

// Call implements inflight.Span. Of requests that share a call, each that is sampled is linked with it, and it with
// them.
func (s *span) Call(sharing []*inflight.Request, resends int) (traceparent string, ended func(int, string)) {
	attributes := append(make([]attribute.KeyValue, 0, len(s.tracer.call)+1), s.tracer.call...)
	if resends > 0 {
		attributes = append(attributes, resendCount.Int(resends))
	}
	var links []trace.Link
	var others []*span
	for _, req := range sharing {
		if other, is := req.Span.(*span); is && other != s {
			links, others = append(links, trace.Link{SpanContext: other.process.SpanContext()}), append(others, other)
		}
	}
	_, call := s.tracer.spans.Start(under(s.process), "GET", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attributes...), trace.WithLinks(links...))
	for _, other := range others {
		other.process.AddLink(trace.Link{SpanContext: call.SpanContext()})
	}
	return string(headers(call.SpanContext()).Parent), func(status int, class string) {
		if status > 0 {
			call.SetAttributes(statusCode.Int(status))
		}
		switch {
		case class == cmsclient.Call2xx:
		case status >= 400:
			fail(call, strconv.Itoa(status))
		default:
			fail(call, class)
		}
		call.End()
	}
}

// Send implements inflight.Span.
func (s *span) Send(topic string) schemas.Trace {
	send := s.tracer.send(under(s.process), topic, conversationID.String(s.request))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sends == nil {
		s.sends = map[string]trace.Span{}
	}
	s.sends[topic] = send
	return headers(send.SpanContext())
}

// send begins the writing of one message.
func (t *Tracer) send(ctx context.Context, topic string, also attribute.KeyValue, links ...trace.Link) trace.Span {
	attributes := append(append(make([]attribute.KeyValue, 0, len(t.produces)+3), t.produces...),
		destination.String(topic), clientID.String(t.cfg.ClientID), also)
	_, send := t.spans.Start(ctx, "send "+topic, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attributes...), trace.WithLinks(links...))
	return send
}

// Unsent implements inflight.Span.
func (s *span) Unsent(topic string, kind string) {
	s.mu.Lock()
	send := s.sends[topic]
	delete(s.sends, topic)
	s.mu.Unlock()
	if send != nil {
		fail(send, kind)
		send.End()
	}
}

// Written implements inflight.Span.
func (s *span) Written() {
	s.mu.Lock()
	sends := s.sends
	s.sends = nil
	s.mu.Unlock()
	for _, send := range sends {
		send.End()
	}
}

// End implements inflight.Span.
func (s *span) End(kind string) {
	if kind != "" {
		fail(s.process, kind)
	}
	s.process.End()
}
