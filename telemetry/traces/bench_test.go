package traces_test

import (
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry/traces"
)

// perRecord is what a record costs that is read, gated, and passed on to the CMS and to its result.
func perRecord(tb testing.TB, traceparent string) func() {
	tb.Helper()
	provider := sdk.NewTracerProvider() // its spans end up nowhere
	tb.Cleanup(func() { _ = provider.Shutdown(tb.Context()) })
	tracer, err := traces.New(traces.Config{Requests: "balance.requests"}, provider)
	if err != nil {
		tb.Fatal(err)
	}
	req := request("r-1", "")
	req.Record.Headers = []schemas.Header{{Key: "content-type", Value: []byte("application/json")}}
	if traceparent != "" {
		req.Record.Headers = append(req.Record.Headers, schemas.Header{Key: "traceparent", Value: []byte(traceparent)})
	}
	sharing := []*inflight.Request{req}
	return func() {
		req.Request.Trace = schemas.ReadTrace(&req.Record)
		if req.Span = tracer.Begin(req); req.Span == nil {
			passedOn = string(req.Request.Trace.Parent)
			return
		}
		_, ended := req.Span.Call(sharing, 0)
		ended(200, "2xx")
		_ = req.Span.Send("balance.results")
		req.Span.End("")
		req.Span.Written()
	}
}

var passedOn string

// A record that is not sampled costs next to nothing: the look at its header, and the copy that goes to the CMS.
func TestUnsampledAllocations(t *testing.T) {
	for name, test := range map[string]struct {
		traceparent string
		most        float64
	}{"no header": {"", 0}, "not sampled": {unsample, 1}, "malformed": {"00-1-1-00", 0}} {
		if got := testing.AllocsPerRun(1000, perRecord(t, test.traceparent)); got > test.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, test.most)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	for name, traceparent := range map[string]string{"no header": "", "unsampled": unsample, "sampled": sampled} {
		b.Run(name, func(b *testing.B) {
			record := perRecord(b, traceparent)
			b.ReportAllocs()
			for b.Loop() {
				record()
			}
		})
	}
}
