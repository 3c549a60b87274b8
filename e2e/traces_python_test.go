package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/otlptest"
)

// envPython names a Python that has opentelemetry-sdk, for the test that needs one: make traces.
const envPython = "BALANCEQ_TEST_PYTHON"

// python runs OpenTelemetry's SDK for Python.
func python(t *testing.T, in string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv(envPython), append([]string{"testdata/another_sdk.py"}, args...)...)
	cmd.Stdin = strings.NewReader(in)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A publisher that uses another SDK finds its request in the trace that it began, and a reader of the result, as well
// as the CMS, finds the span that wrote to it.
func TestTracesWithAnotherSDK(t *testing.T) {
	if os.Getenv(envPython) == "" {
		t.Skip("make traces runs it")
	}
	t.Parallel()
	var published struct {
		Headers map[string]string
		Context string
	}
	if err := json.Unmarshal(python(t, ""), &published); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 1, cmssim.Config{Record: true})
	s := &story{replayRig: &replayRig{r}, receiver: otlptest.Start(t)}
	request := ask(8001, "AVAILABLE")
	for name, value := range published.Headers {
		request.Headers = append(request.Headers, header(name, value))
	}
	s.Send(request)
	in := launchIn(t, soon, append(s.flags(), "--telemetry.otlp.endpoint="+s.receiver.URL)...).await()
	result := s.broker.Read(t, s.results, 1)[0]
	in.Stop()

	process, call, send := s.named(1, "process "+s.requests)[0], s.named(1, "GET")[0], s.named(1, "send "+s.results)[0]
	if got := process.Trace + "-" + process.Parent + "-True"; got != published.Context {
		t.Errorf("the request is followed as of %s, and was published in %s", got, published.Context)
	}
	got := strings.Fields(string(python(t, lines(t, result, s.sim.Calls(8001)[0].Traceparents), "extract")))
	if want := []string{send.Context() + "-True", call.Context() + "-True"}; !slices.Equal(got, want) {
		t.Errorf("result and call are of %s, want %s", got, want)
	}
}

// lines has the headers of a record, and of a call, as an object a line.
func lines(t *testing.T, m kafka.Message, traceparents []string) string {
	t.Helper()
	var b bytes.Buffer
	for _, headers := range []map[string]string{headersOf(m), {"traceparent": traceparents[0]}} {
		if err := json.NewEncoder(&b).Encode(headers); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
