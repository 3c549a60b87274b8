package otlp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/balanceq/balanceq/internal/otlptest"
	"github.com/balanceq/balanceq/telemetry/otlp"
)

// A receiver of another make gets counters, gauges and histograms under the names that Prometheus sees, and who sends.
func TestSendMetrics(t *testing.T) {
	receiver := otlptest.Start(t)
	reg := prometheus.NewRegistry()
	records := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "balanceq_records_total", Help: "h"},
		[]string{"outcome"})
	waits := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "balanceq_wait_seconds", Help: "h",
		Buckets: []float64{.1, 1}, NativeHistogramBucketFactor: 1.1})
	reg.MustRegister(records, waits)
	records.WithLabelValues("complete").Add(3)
	waits.Observe(.5)

	if _, err := send(t, receiver, reg, map[string]string{"api-key": "hunter2"}); err != nil {
		t.Fatal(err)
	}
	got := map[string]*metrics.Metric{}
	for _, from := range receiver.Metrics() {
		for _, a := range from.GetResource().GetAttributes() {
			if a.GetKey() == "service.instance.id" && a.GetValue().GetStringValue() != "i-1" {
				t.Errorf("sent by %s", a.GetValue())
			}
		}
		for _, scope := range from.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				got[m.GetName()] = m
			}
		}
	}
	if points := got["balanceq_records_total"].GetSum().GetDataPoints(); len(points) != 1 ||
		points[0].GetAsDouble() != 3 || points[0].GetAttributes()[0].GetValue().GetStringValue() != "complete" {
		t.Errorf("balanceq_records_total: %v", got["balanceq_records_total"])
	}
	if points := got["balanceq_wait_seconds"].GetExponentialHistogram().GetDataPoints(); len(points) != 1 ||
		points[0].GetCount() != 1 || points[0].GetSum() != .5 {
		t.Errorf("balanceq_wait_seconds: %v", got["balanceq_wait_seconds"])
	}
	if receiver.Header("api-key") != "hunter2" {
		t.Error("the headers are not sent")
	}
}

// send exports once, and says for which signals that failed.
func send(t *testing.T, to *otlptest.Receiver, from *prometheus.Registry, headers map[string]string) (
	failed []otlp.Signal, err error) {
	t.Helper()
	sender, err := otlp.Resource(t.Context(), "v1", "i-1")
	if err != nil {
		t.Fatal(err)
	}
	stop, err := otlp.SendMetrics(t.Context(), otlp.Receiver{Endpoint: to.URL + "/", Headers: headers}, from, sender,
		func(s otlp.Signal) { failed = append(failed, s) })
	if err != nil {
		t.Fatal(err)
	}
	err = stop(t.Context())
	return failed, err
}

func TestFailedExportsAreTold(t *testing.T) {
	receiver := otlptest.Start(t)
	receiver.Refuse(http.StatusForbidden)
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "h"}))
	failed, err := send(t, receiver, reg, map[string]string{"api-key": "hunter2"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
	if len(failed) != 1 || failed[0] != otlp.Metrics {
		t.Errorf("told of %v", failed)
	}
}

// A signal is sent where it is said where to, and nothing forbids it.
func TestWanted(t *testing.T) {
	const base, metricsOnly = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
	tests := map[string]struct {
		endpoint        string
		environ         map[string]string
		metrics, traces bool
	}{
		"nothing said":      {"", nil, false, false},
		"the setting":       {"http://c:4318", nil, true, true},
		"the variable":      {"", map[string]string{base: "http://c:4318"}, true, true},
		"of one signal":     {"", map[string]string{metricsOnly: "http://c:4318/x"}, true, false},
		"one signal is off": {"http://c:4318", map[string]string{"OTEL_METRICS_EXPORTER": "none"}, false, true},
		"all are off":       {"http://c:4318", map[string]string{"OTEL_SDK_DISABLED": "true"}, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.environ {
				t.Setenv(name, value)
			}
			r := otlp.Receiver{Endpoint: test.endpoint}
			if r.Wanted(otlp.Metrics) != test.metrics || r.Wanted(otlp.Traces) != test.traces {
				t.Errorf("metrics %v, traces %v", r.Wanted(otlp.Metrics), r.Wanted(otlp.Traces))
			}
		})
	}
}

func TestParseHeaders(t *testing.T) {
	got, err := otlp.ParseHeaders("api-key=a%20b, tenant = bank=1,")
	if err != nil || len(got) != 2 || got["api-key"] != "a b" || got["tenant"] != "bank=1" {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"hunter2", "=hunter2", "a key=hunter2", "key=%hunter2"} {
		if _, err := otlp.ParseHeaders(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
