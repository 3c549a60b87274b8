package e2e

import (
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/otlptest"
)

// parseOpenMetrics prints the names of the metrics on a page, and the traces of its exemplars, as Prometheus's own
// parser for Python reads it. It is strict: it refuses a page on which anything is wrong.
const parseOpenMetrics = `
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    print(family.name, family.type)
    for sample in family.samples:
        if sample.exemplar:
            print(sample.exemplar.labels["trace_id"], "is an exemplar of", family.name)
`

// Parsers of another make read what the running program tells: its page in OpenMetrics, with the trace of a sampled
// request, and what it sends by OTLP.
func TestOthersReadTheMetrics(t *testing.T) {
	kafkatest.OnlyOnce(t, "formats of metrics")
	t.Parallel()
	python := prometheusTool(t, "python3")
	receiver := otlptest.Start(t)
	r := newRig(t, 1, cmssim.Config{})
	in := r.StartReady("--telemetry.otlp.endpoint=" + receiver.URL)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	traced := asks(1, 1, 9700)[0]
	traced.Headers = append(traced.Headers, kafka.Header{Key: "traceparent",
		Value: []byte("00-" + trace + "-b7ad6b7169203331-01")})
	r.Send(append(asks(20, 5, 9700), traced, kafka.Message{Value: []byte("{")})...)
	r.AwaitCommitted()

	cmd := exec.Command(python, "-c", parseOpenMetrics)
	cmd.Stdin = strings.NewReader(in.openMetrics())
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{"balanceq_records counter\n", "balanceq_request_duration_seconds histogram\n",
		"balanceq_dead_letter_budget_spent counter\n", "go_goroutines gauge\n",
		trace + " is an exemplar of balanceq_request_duration_seconds\n"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("missing: %s", want)
		}
	}

	in.Stop() // which sends them once more
	total := 0.0
	for _, from := range receiver.Metrics() {
		for _, scope := range from.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				for _, point := range m.GetSum().GetDataPoints() {
					if m.GetName() == "balanceq_records_total" {
						total += point.GetAsDouble()
					}
				}
			}
		}
	}
	if total != 22 {
		t.Errorf("the receiver got balanceq_records_total of %v, want 22", total)
	}
}

// openMetrics returns the instance's page in OpenMetrics.
func (in *instance) openMetrics() string {
	in.t.Helper()
	req, err := http.NewRequestWithContext(in.t.Context(), http.MethodGet, "http://"+in.http+"/metrics", nil)
	if err != nil {
		in.t.Fatal(err)
	}
	req.Close = true // no connections are left for the check for leaks
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := scraper.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/openmetrics-text") {
		in.t.Fatalf("%v, of type %s", err, resp.Header.Get("Content-Type"))
	}
	return string(page)
}
