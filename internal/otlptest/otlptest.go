// Package otlptest is a receiver of OTLP over HTTP for tests. It decodes with OpenTelemetry's own definition of the
// protocol and shares no code with what sends.
package otlptest

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Receiver keeps what it is sent. It is safe for concurrent use.
type Receiver struct {
	URL string // base URL

	mu      sync.Mutex
	headers http.Header // of the last export
	metrics []*metrics.ResourceMetrics
	spans   []*traces.ResourceSpans
	status  int // what it answers
}

// Start serves a receiver until the test ends.
func Start(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{status: http.StatusOK}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, q *http.Request) {
		var export metricscollector.ExportMetricsServiceRequest
		if r.decode(t, w, q, &export) {
			r.mu.Lock()
			r.metrics = append(r.metrics, export.GetResourceMetrics()...)
			r.mu.Unlock()
		}
	})
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, q *http.Request) {
		var export tracecollector.ExportTraceServiceRequest
		if r.decode(t, w, q, &export) {
			r.mu.Lock()
			r.spans = append(r.spans, export.GetResourceSpans()...)
			r.mu.Unlock()
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// decode reads an export and answers it.
func (r *Receiver) decode(t testing.TB, w http.ResponseWriter, q *http.Request, into proto.Message) bool {
	r.mu.Lock()
	status := r.status
	r.headers = q.Header.Clone()
	r.mu.Unlock()
	if status != http.StatusOK {
		w.WriteHeader(status)
		return false
	}
	body := io.Reader(q.Body)
	if q.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(q.Body)
		if err != nil {
			t.Errorf("%s: %v", q.URL.Path, err)
			return false
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(data, into)
	}
	if err != nil || q.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%s: %v, of type %q", q.URL.Path, err, q.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusBadRequest)
		return false
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty message: all of it is taken
	return true
}

// Refuse makes it answer every export with a status from now on.
func (r *Receiver) Refuse(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// Header returns a header of the last export.
func (r *Receiver) Header(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headers.Get(name)
}

// Metrics returns all metrics of all exports, with the resource that each came from.
func (r *Receiver) Metrics() []*metrics.ResourceMetrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*metrics.ResourceMetrics(nil), r.metrics...)
}
