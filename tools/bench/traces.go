package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// trace is the trace context of the i-th request, of which that share is sampled, evenly; nil where none has one.
func (b *bench) trace(i int) []kgo.RecordHeader {
	if b.traced < 0 {
		return nil
	}
	sampled := 0
	if math.Floor(float64(i+1)*b.traced) > math.Floor(float64(i)*b.traced) {
		sampled = 1
	}
	return []kgo.RecordHeader{{Key: "traceparent", Value: fmt.Appendf(nil, "00-%032x-%016x-%02x", i+1, i+1, sampled)}}
}

// receiveTraces starts a receiver of traces that throws them away, and has the program send its there.
func (b *bench) receiveTraces() {
	b.spans = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	b.flags = append(slices.Clone(b.flags), "--telemetry.otlp.endpoint="+b.spans.URL)
	b.env = append(b.env, "OTEL_METRICS_EXPORTER=none")
}

func (o *options) tracing(flags *flag.FlagSet) {
	flags.Float64Var(&o.traced, "traced", -1,
		"give each request a trace context, of which this `share` is sampled; -1: none has one")
	flags.BoolVar(&o.receiver, "receiver", false, "have the program send its spans to a receiver that throws them away")
}
