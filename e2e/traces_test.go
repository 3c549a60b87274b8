package e2e

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/otlptest"
)

const (
	trace    = "4bf92f3577b34da6a3ce929d0e0e4736"
	upstream = trace + "-00f067aa0ba902b7"
)

// soon has spans sent at once.
var soon = []string{"OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_METRICS_EXPORTER=none"}

// all returns the values of a record's headers of that name.
func all(m kafka.Message, name string) (values []string) {
	for _, h := range m.Headers {
		if h.Key == name {
			values = append(values, string(h.Value))
		}
	}
	return values
}

// story is a request that fails three times, is replayed each time, and is answered at last, and what a receiver of
// traces has of it.
type story struct {
	*replayRig
	receiver *otlptest.Receiver
	spans    []otlptest.Span
}

// named returns the spans of that name, once there are n.
func (s *story) named(n int, name string) []otlptest.Span {
	s.t.Helper()
	var named []otlptest.Span
	kafkatest.Eventually(s.t, waitTimeout, fmt.Sprintf("%d spans %s have come", n, name), func() bool {
		s.spans = s.receiver.Spans()
		named = otlptest.Named(s.spans, name)
		return len(named) >= n
	})
	if len(named) != n {
		s.t.Fatalf("%d spans %s, want %d", len(named), name, n)
	}
	return named
}

// A trace goes from a request over its call into its dead letter; from there a replay takes it up again, and the
// result belongs to the replay that brought it. Whatever is written has one traceparent.
func TestTracesFollowARequest(t *testing.T) {
	t.Parallel()
	const contract = 8001
	r := newRig(t, 1, cmssim.Config{Record: true})
	s := &story{replayRig: &replayRig{r}, receiver: otlptest.Start(t)}
	s.sim.AddFault(cmssim.Fault{Match: cmssim.Match{Contracts: []int64{contract}}, Effect: cmssim.EffectStatus,
		Status: http.StatusBadRequest, Source: "MASTERCARD PROCESSING", ReasonCode: "REQUEST_VALIDATION",
		Description: "Invalid value."})
	request := ask(contract, "AVAILABLE")
	request.Headers = []kafka.Header{header("traceparent", "00-"+strings.Repeat("1", 32)+"-2222222222222222-01"),
		header("a", "b"), header("traceparent", "00-"+upstream+"-01"), header("tracestate", "bank=1")}
	s.Send(request)
	traced := append(s.flags(), "--telemetry.otlp.endpoint="+s.receiver.URL)
	in := launchIn(t, soon, traced...).await()
	const rounds = 3
	for round := range rounds {
		s.AwaitWritten(s.deadletters, int64(round)+1)
		if round == rounds-1 {
			s.sim.ClearFaults()
		}
		tool := s.start(soon, append(slices.Clone(unwatched), "--telemetry.otlp.endpoint="+s.receiver.URL)...)
		if code := tool.wait(waitTimeout).ExitCode(); code != 0 {
			t.Fatalf("replay %d: exit code %d", round, code)
		}
	}
	results := s.broker.Read(t, s.results, 1)
	in.Stop()

	process, calls := s.named(rounds+1, "process "+s.requests), s.named(rounds+1, "GET")
	dead, replayed := s.named(rounds, "send "+s.deadletters), s.named(rounds, "send "+s.requests)
	runs, answered := s.named(rounds, "replay"), s.named(1, "send "+s.results)[0]
	letters, requests := s.broker.Read(t, s.deadletters, rounds), s.broker.Read(t, s.requests, rounds+1)
	if len(s.spans) != 5*rounds+3 {
		t.Errorf("%d spans: %+v", len(s.spans), s.spans)
	}
	asked := s.sim.Calls(contract)
	parent := upstream // of the first round
	for round := range rounds + 1 {
		p, c := process[round], calls[round]
		if p.Trace+"-"+p.Parent != parent || !slices.Equal(p.Links, []string{parent}) || c.Parent != p.ID ||
			c.Trace != p.Trace || p.Failed != (round < rounds) {
			t.Errorf("round %d: %+v under %s, with call %+v", round, p, parent, c)
		}
		if !slices.Equal(asked[round].Traceparents, []string{"00-" + c.Context() + "-01"}) {
			t.Errorf("the CMS was sent %q, the call is %s", asked[round].Traceparents, c.Context())
		}
		if round == rounds {
			break
		}
		letter, put, again := letters[round], replayed[round], requests[round+1]
		if got := all(letter, "balanceq-traceparent"); !slices.Equal(got, []string{"00-" + dead[round].Context() + "-01"}) ||
			dead[round].Parent != p.ID {
			t.Errorf("dead letter %d has %q, written by %+v", round, got, dead[round])
		}
		if got, want := all(letter, "traceparent"), all(requests[round], "traceparent"); !slices.Equal(got, want) {
			t.Errorf("dead letter %d has the traceparents %q, its request %q", round, got, want)
		}
		if put.Parent != runs[round].ID || runs[round].Parent != "" ||
			!slices.Equal(put.Links, []string{upstream, dead[round].Context()}) {
			t.Errorf("replay %d: %+v in %+v", round, put, runs[round])
		}
		parent = put.Context()
		for name, want := range map[string][]string{"traceparent": {"00-" + parent + "-01"}, "tracestate": nil,
			"balanceq-traceparent": nil, "balanceq-replay-traceparent": {"00-" + upstream + "-01"}, "a": {"b"}} {
			if got := all(again, name); !slices.Equal(got, want) {
				t.Errorf("replayed %d times the request has %s %q, want %q", round+1, name, got, want)
			}
		}
	}
	if got := all(results[0], "traceparent"); !slices.Equal(got, []string{"00-" + answered.Context() + "-01"}) ||
		answered.Parent != process[rounds].ID {
		t.Errorf("the result has %q, written by %+v", got, answered)
	}
	for i, line := range in.Logs("dead letter") {
		if line.text("trace_id") != process[i].Trace || line.text("span_id") != process[i].ID {
			t.Errorf("dead letter %d is logged as of trace %q", i, line.text("trace_id"))
		}
	}
	s.keepsContractsToItself(contract)
}

// keepsContractsToItself checks that no span names a contract or has its request's key or path.
func (s *story) keepsContractsToItself(contract int64) {
	for _, span := range s.spans {
		for name, value := range span.Attributes {
			if strings.Contains(value, fmt.Sprint(contract)) && !strings.Contains(value, s.requests) ||
				name == "url.full" || name == "messaging.kafka.message.key" {
				s.t.Errorf("%s has %s=%q", span.Name, name, value)
			}
		}
	}
}

// Without a receiver nothing is traced, and a request's trace goes through all the same, as it came. A receiver that
// is away keeps nothing up, neither the answers nor the end.
func TestTracesThatGoNowhere(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"no receiver":   nil,
		"away receiver": {"--telemetry.otlp.endpoint=http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{Record: true})
			const n = 50
			msgs := asks(n, n, 8000)
			for i := range msgs {
				var id [16]byte
				id[0], id[1] = 1, byte(i)
				msgs[i].Headers = append(msgs[i].Headers,
					header("traceparent", "00-"+hex.EncodeToString(id[:])+"-00f067aa0ba902b7-0"+fmt.Sprint(i%2)))
			}
			r.Send(msgs...)
			in := launchIn(t, append([]string{"OTEL_BSP_EXPORT_TIMEOUT=300"}, soon...), append(r.flags(), flags...)...).await()
			results := r.broker.Read(t, r.results, n)
			for _, m := range results {
				sent := all(m, "traceparent")
				at := slices.IndexFunc(msgs, func(q kafka.Message) bool { return string(q.Key) == string(m.Key) })
				came := all(msgs[at], "traceparent")[0]
				traced := flags != nil && at%2 == 1
				if len(sent) != 1 || sent[0] != came && !traced || !strings.HasPrefix(sent[0], came[:36]) {
					t.Errorf("request %d came with %q, its result has %q", at, came, sent)
				}
				if calls := r.sim.Calls(8000 + int64(at)); !traced && !slices.Equal(calls[0].Traceparents, []string{came}) {
					t.Errorf("request %d came with %q, the CMS was sent %q", at, came, calls[0].Traceparents)
				}
			}
			if flags != nil {
				const failures = `balanceq_otlp_export_failures_total{signal="traces"}`
				in.eventually("a failed export is counted", func() bool { return in.Metrics()[failures] > 0 })
				if line := in.Logged("telemetry cannot be sent")[0]; line.text("event") != "export_failing" {
					t.Errorf("the log says %v", line)
				}
			}
			in.Stop()
		})
	}
}
