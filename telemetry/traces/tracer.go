// Package traces makes spans of requests that are sampled, of calls to the CMS, of what is written, and of replays.
// What is not sampled costs it a look at one byte.
package traces

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// Config says what is traced, and what spans say of this instance.
type Config struct {
	Ratio    float64 // of the requests without a trace context; 0: as the standard variables say, else none
	NewRoots bool    // a request's spans are a trace of their own, linked with the request's
	Requests string  // topic
	Group    string
	ClientID string // of Kafka
	CMS      string // base URL
}

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct {
	gate     gate
	cfg      Config
	spans    trace.Tracer
	process  []attribute.KeyValue // of every span of its kind
	call     []attribute.KeyValue
	produces []attribute.KeyValue
}

// New returns a tracer whose spans go to the provider, which should sample all. An error is about the standard
// variables, and no obstacle: the tracer goes by what there is without the one that it names.
func New(cfg Config, provider trace.TracerProvider) (*Tracer, error) {
	g, err := newGate(cfg.Ratio)
	t := &Tracer{
		gate: g, cfg: cfg,
		spans: provider.Tracer("github.com/balanceq/balanceq",
			trace.WithSchemaURL("https://opentelemetry.io/schemas/"+Conventions)),
		process: []attribute.KeyValue{
			system.String("kafka"), operation.String("process"), operationType.String("process"),
			destination.String(cfg.Requests), consumerGroup.String(cfg.Group), clientID.String(cfg.ClientID),
		},
		call: append([]attribute.KeyValue{method.String("GET"), urlTemplate.String(contractBalances)},
			server(cfg.CMS)...),
		produces: []attribute.KeyValue{system.String("kafka"), operation.String("send"), operationType.String("send")},
	}
	return t, err
}

// server is who is called, as the base URL says.
func server(base string) []attribute.KeyValue {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	number, _ := strconv.Atoi(port) // 0 where there is none
	return []attribute.KeyValue{serverAddress.String(u.Hostname()), serverPort.Int(number)}
}

// Begin is for consumer.Parts: it returns nil for a request that is not sampled.
func (t *Tracer) Begin(req *inflight.Request) inflight.Span {
	if !t.gate.open(req.Request.Trace) {
		return nil
	}
	return t.begin(req, time.Now())
}

// FollowDeadLetter is for processor.Config: it makes the span of a request that becomes a dead letter, with the time at
// which it began.
func (t *Tracer) FollowDeadLetter(req *inflight.Request) inflight.Span {
	if t.gate.never {
		return nil
	}
	began := time.Now()
	if started := req.Stages.Started; started != 0 {
		began = began.Add(-inflight.Now().Sub(started))
	}
	return t.begin(req, began)
}

// begin makes the span that all others of the request are children of.
func (t *Tracer) begin(req *inflight.Request, at time.Time) *span {
	rec, id := &req.Record, printable.Text(schemas.Mask(req.Request.ID))
	attributes := append(make([]attribute.KeyValue, 0, len(t.process)+4), t.process...)
	attributes = append(attributes, partition.String(strconv.Itoa(int(rec.Partition))), offset.Int64(rec.Offset),
		messageID.String(id))
	if rec.Value == nil && rec.Oversized == nil {
		attributes = append(attributes, tombstone.Bool(true))
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(at),
		trace.WithAttributes(attributes...)}
	ctx := context.Background()
	if parent := remote(req.Request.Trace); parent.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: parent}))
		if !t.cfg.NewRoots {
			ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
		}
	}
	_, process := t.spans.Start(ctx, "process "+t.cfg.Requests, options...)
	return &span{tracer: t, process: process, request: id}
}

// remote is a trace context of somebody else's; not valid: none.
func remote(t schemas.Trace) trace.SpanContext {
	if t.Parent == nil {
		return trace.SpanContext{}
	}
	id, span := t.IDs()
	state, _ := trace.ParseTraceState(string(t.State)) // one that is malformed is left out
	var flags trace.TraceFlags
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span,
		TraceFlags: flags.WithSampled(t.Sampled()), TraceState: state, Remote: true})
}

// headers is what a message or a call carries of a span of this instance.
func headers(of trace.SpanContext) schemas.Trace {
	t := schemas.Trace{Parent: []byte("00-" + of.TraceID().String() + "-" + of.SpanID().String() + "-" +
		of.TraceFlags().String())}
	if state := of.TraceState(); state.Len() > 0 {
		t.State = []byte(state.String())
	}
	return t
}
