package traces_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/otlptest"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry/otlp"
	"github.com/balanceq/balanceq/telemetry/traces"
)

const (
	trace    = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent   = "00f067aa0ba902b7"
	sampled  = "00-" + trace + "-" + parent + "-01"
	unsample = "00-" + trace + "-" + parent + "-00"
)

// start returns a tracer, and what a receiver of another make has of its spans once they are sent.
func start(t *testing.T, cfg traces.Config) (*traces.Tracer, func() []otlptest.Span) {
	t.Helper()
	receiver := otlptest.Start(t)
	sender, err := otlp.Resource(t.Context(), "v1", "i-1")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := otlp.SendTraces(t.Context(), otlp.Receiver{Endpoint: receiver.URL}, sender,
		func(s otlp.Signal) { t.Errorf("%s are not sent", s) })
	if err != nil {
		t.Fatal(err)
	}
	cfg.Requests, cfg.Group, cfg.ClientID, cfg.CMS = "balance.requests", "g", "c", "https://cms.example/core"
	tracer, err := traces.New(cfg, provider)
	if err != nil {
		t.Fatal(err)
	}
	return tracer, func() []otlptest.Span {
		if err := provider.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		return receiver.Spans()
	}
}

func request(id, traceparent string) *inflight.Request {
	r := &inflight.Request{Record: schemas.Record{
		Position: schemas.Position{Topic: "balance.requests", Partition: 3, Offset: 17}, Value: []byte("{}"),
	}}
	r.Request.ID = id
	if traceparent != "" {
		r.Request.Trace = schemas.Trace{Parent: []byte(traceparent), State: []byte("bank=1")}
	}
	return r
}

// One request: process under the request's span and linked with it, the calls and the writing under that.
func TestTraceOfARequest(t *testing.T) {
	t.Parallel()
	tracer, received := start(t, traces.Config{})
	req := request("r-1", sampled)
	req.Span = tracer.Begin(req)
	first, ended := req.Span.Call([]*inflight.Request{req}, 0)
	ended(503, "5xx")
	second, ended := req.Span.Call([]*inflight.Request{req}, 1)
	ended(200, "2xx")
	third, ended := req.Span.Call([]*inflight.Request{req}, 2)
	ended(0, "timeout")
	carried := req.Span.Send("balance.results")
	req.Span.End("")
	req.Span.Written()

	spans := received()
	process, calls := otlptest.Named(spans, "process balance.requests"), otlptest.Named(spans, "GET")
	sends := otlptest.Named(spans, "send balance.results")
	if len(process) != 1 || len(calls) != 3 || len(sends) != 1 || len(spans) != 5 {
		t.Fatalf("spans %+v", spans)
	}
	if p := process[0]; p.Trace != trace || p.Parent != parent || !slices.Equal(p.Links, []string{trace + "-" + parent}) ||
		p.Kind != "SPAN_KIND_CONSUMER" || p.Failed || p.Service != "balanceq" {
		t.Errorf("process is %+v", p)
	}
	want(t, process[0], map[string]string{
		"messaging.system": "kafka", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name": "balance.requests", "messaging.destination.partition.id": "3",
		"messaging.kafka.offset": "17", "messaging.consumer.group.name": "g", "messaging.client.id": "c",
		"messaging.message.id": "r-1",
	})
	for i, sent := range []string{first, second, third} {
		call := calls[i]
		if sent != "00-"+call.Context()+"-01" || call.Trace != trace || call.Parent != process[0].ID ||
			call.Kind != "SPAN_KIND_CLIENT" || call.Failed != (i != 1) {
			t.Errorf("%s was sent for %+v", sent, call)
		}
		attributes := map[string]string{"http.request.method": "GET", "url.template": "/contracts/{id}/balances",
			"server.address": "cms.example", "server.port": "443"}
		for name, value := range []map[string]string{
			{"http.response.status_code": "503", "error.type": "503"},
			{"http.response.status_code": "200", "http.request.resend_count": "1"},
			{"http.request.resend_count": "2", "error.type": "timeout"},
		}[i] {
			attributes[name] = value
		}
		want(t, call, attributes)
	}
	if s := sends[0]; string(carried.Parent) != "00-"+s.Context()+"-01" || string(carried.State) != "bank=1" ||
		s.Parent != process[0].ID || s.Kind != "SPAN_KIND_PRODUCER" {
		t.Errorf("%s is carried, of %+v", carried.Parent, s)
	}
	want(t, sends[0], map[string]string{
		"messaging.system": "kafka", "messaging.operation.name": "send", "messaging.operation.type": "send",
		"messaging.destination.name": "balance.results", "messaging.client.id": "c",
		"messaging.message.conversation_id": "r-1",
	})
}

func want(t *testing.T, s otlptest.Span, attributes map[string]string) {
	t.Helper()
	for _, name := range s.Keys() {
		if s.Attributes[name] != attributes[name] {
			t.Errorf("%s: %s=%q, want %q", s.Name, name, s.Attributes[name], attributes[name])
		}
		delete(attributes, name)
	}
	if len(attributes) > 0 {
		t.Errorf("%s lacks %v", s.Name, attributes)
	}
}

// With new roots, a request's spans are a trace of their own, linked with the request's.
func TestNewRoots(t *testing.T) {
	t.Parallel()
	tracer, received := start(t, traces.Config{NewRoots: true})
	tracer.Begin(request("r", sampled)).End("")
	spans := received()
	if len(spans) != 1 || spans[0].Trace == trace || spans[0].Parent != "" ||
		!slices.Equal(spans[0].Links, []string{trace + "-" + parent}) {
		t.Errorf("%+v", spans)
	}
}

// A shared call hangs under the first request that is sampled; the others are linked with it, and it with them.
func TestSharedCall(t *testing.T) {
	t.Parallel()
	tracer, received := start(t, traces.Config{})
	requests := []*inflight.Request{
		request("a", "00-"+strings.Repeat("a", 32)+"-"+parent+"-01"), request("b", unsample),
		request("c", "00-"+strings.Repeat("c", 32)+"-"+parent+"-01"),
	}
	for _, req := range requests {
		req.Span = tracer.Begin(req)
	}
	if requests[1].Span != nil {
		t.Fatal("one that is not sampled has a span")
	}
	_, ended := requests[0].Span.Call(requests, 0)
	ended(200, "2xx")
	requests[0].Span.End("")
	requests[2].Span.End("")
	spans := received()
	calls, process := otlptest.Named(spans, "GET"), otlptest.Named(spans, "process balance.requests")
	if len(calls) != 1 || len(process) != 2 {
		t.Fatalf("%+v", spans)
	}
	if calls[0].Parent != process[0].ID || !slices.Equal(calls[0].Links, []string{process[1].Context()}) {
		t.Errorf("the call is %+v", calls[0])
	}
	if !slices.Contains(process[1].Links, calls[0].Context()) {
		t.Errorf("the other has the links %v", process[1].Links)
	}
}

// What became a dead letter says why; a result that did not fit was not sent.
func TestDeadLetterSpans(t *testing.T) {
	t.Parallel()
	tracer, received := start(t, traces.Config{})
	req := request("4111111111111111", unsample)
	req.Stages.Started = inflight.At(time.Now().Add(-time.Minute))
	req.Span = tracer.FollowDeadLetter(req)
	req.Span.Send("balance.results")
	req.Span.Unsent("balance.results", "result-too-large")
	carried := req.Span.Send("balance.deadletters")
	req.Span.End("result-too-large")
	req.Span.Written()
	spans := received()
	process, sends := spans[0], spans[1:]
	if process.Trace != trace || process.Parent != parent || process.End-process.Start < uint64(time.Minute) ||
		!process.Failed || process.Attributes["error.type"] != "result-too-large" {
		t.Errorf("%+v", process)
	}
	if strings.Contains(process.Attributes["messaging.message.id"], "111111111") {
		t.Errorf("a card number in %s", process.Attributes["messaging.message.id"])
	}
	if len(sends) != 2 || !sends[0].Failed || sends[1].Failed || sends[1].Name != "send balance.deadletters" ||
		string(carried.Parent) != "00-"+sends[1].Context()+"-01" {
		t.Errorf("%+v", sends)
	}
}

// A replay is one trace; what it puts back of a sampled request is linked with where that came from.
func TestReplay(t *testing.T) {
	t.Parallel()
	tracer, received := start(t, traces.Config{})
	letter := func(request, dead string) *schemas.Record {
		rec := request0(request)
		d := schemas.DeadLetter{Record: rec, Reason: schemas.ReasonExpired, RequestID: "r"}
		if dead != "" {
			d.Trace.Parent = []byte(dead)
		}
		m := d.Message(schemas.Origin{})
		return &schemas.Record{Headers: m.Headers, Value: m.Value}
	}
	dead := "00-" + strings.Repeat("d", 32) + "-" + parent + "-01"
	run := tracer.Replay("run-1")
	carries, written := run.Send(letter(sampled, dead))
	written()
	plain, written := run.Send(letter(unsample, ""))
	written()
	_, _ = run.Send(letter(sampled, dead)) // never written: another run had it
	run.End(2, false)
	spans := received()
	if len(spans) != 2 || spans[0].Name != "replay" || spans[0].Parent != "" || spans[1].Name != "send balance.requests" {
		t.Fatalf("%+v", spans)
	}
	root, send := spans[0], spans[1]
	if send.Trace != root.Trace || send.Parent != root.ID ||
		!slices.Equal(send.Links, []string{trace + "-" + parent, dead[3 : 3+32+1+16]}) {
		t.Errorf("%+v", send)
	}
	want(t, root, map[string]string{"balanceq.replay.run": "run-1", "messaging.batch.message_count": "2"})
	if string(carries.Parent) != "00-"+send.Context()+"-01" || string(plain.Parent) != "00-"+root.Context()+"-00" {
		t.Errorf("%s and %s are carried", carries.Parent, plain.Parent)
	}
}

func request0(traceparent string) *schemas.Record {
	return &schemas.Record{Position: schemas.Position{Topic: "balance.requests"}, Value: []byte("{}"),
		Headers: []schemas.Header{{Key: schemas.HeaderTraceparent, Value: []byte(traceparent)}}}
}

// Which requests are traced, by the setting and by the standard variables.
func TestSampler(t *testing.T) {
	none, no, yes := request("", ""), request("", unsample), request("", sampled)
	low := request("", "00-"+strings.Repeat("0", 15)+"1"+strings.Repeat("0", 15)+"1-"+parent+"-00")
	tests := map[string]struct {
		ratio             float64
		sampler, argument string
		traced            []*inflight.Request
		wrong             bool
	}{
		"by default, what comes sampled": {0, "", "", []*inflight.Request{yes}, false},
		"all roots":                      {1, "", "", []*inflight.Request{none, yes}, false},
		"the setting wins":               {1, "always_off", "", []*inflight.Request{none, yes}, false},
		"always_on":                      {0, "always_on", "", []*inflight.Request{none, no, yes, low}, false},
		"always_off":                     {0, "always_off", "", nil, false},
		"parentbased_always_on":          {0, "parentbased_always_on", "", []*inflight.Request{none, yes}, false},
		"parentbased_always_off":         {0, "parentbased_always_off", "", []*inflight.Request{yes}, false},
		"parentbased_traceidratio":       {0, "parentbased_traceidratio", "1", []*inflight.Request{none, yes}, false},
		"no argument":                    {0, "parentbased_traceidratio", "", []*inflight.Request{none, yes}, false},
		"traceidratio":                   {0, "traceidratio", "0.000001", []*inflight.Request{low}, false},
		"unknown":                        {0, "xray", "", []*inflight.Request{yes}, true},
		"no ratio":                       {0, "traceidratio", "NaN", []*inflight.Request{yes}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", test.sampler)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", test.argument)
			tracer, err := traces.New(traces.Config{Ratio: test.ratio}, noop.NewTracerProvider())
			if (err != nil) != test.wrong || err != nil && !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER") {
				t.Fatalf("error %v", err)
			}
			for i, req := range []*inflight.Request{none, no, yes, low} {
				if got := tracer.Begin(req) != nil; got != slices.Contains(test.traced, req) {
					t.Errorf("request %d: traced %t", i, got)
				}
			}
			if never := strings.HasSuffix(test.sampler, "always_off") && test.ratio == 0; (tracer.Replay("") == nil) != never ||
				(tracer.FollowDeadLetter(no) == nil) != never {
				t.Errorf("never is not %t", never)
			}
		})
	}
}
