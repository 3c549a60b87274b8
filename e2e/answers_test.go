package e2e

import (
	"bytes"
	"encoding/base64"
	"math"
	"net/http"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/schemas"
)

// resultSchema is read by a validator of another make.
func resultSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file, err := schemas.Files.Open("v1/balance-result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:result", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("urn:result")
}

func header(key, value string) kafka.Header { return kafka.Header{Key: key, Value: []byte(value)} }

// Every kind of answer, from every form of request; the ledger compares each with the simulator's book, digit by digit.
func TestAnswersEveryRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, cmssim.Config{Record: true})
	text := `{"contractId":70001,"balanceCodes":["AVAILABLE","AVAILABLE","BLOCKED"],"requestId":"r-%"}`
	plain := []byte(`{"contractId":"70001","balanceCodes":["BLOCKED"]}`)
	event := func(text string) kafka.Message {
		return kafka.Message{Value: []byte(text), Headers: []kafka.Header{header("content-type",
			"application/cloudevents+json")}}
	}
	requests := map[string]kafka.Message{
		"complete":       ask(70001, "AVAILABLE", "BLOCKED"),
		"partial":        ask(70001, "OVL", "AVAILABLE", "DUE"),
		"empty":          ask(20401, "AVAILABLE", "BLOCKED"),
		"extreme digits": ask(999123, cmssim.Codes...),
		"absent values":  ask(5, cmssim.Codes...),
		"largest id":     ask(schemas.MaxContractID, "AVAILABLE"),
		"smallest id":    ask(1, cmssim.Codes...),
		"number as id":   {Value: []byte(text)},
		"key of its own": {Key: []byte("k\x00\xff"), Value: plain, Headers: []kafka.Header{header("x-team", "cards")}},
		"empty key":      {Key: []byte{}, Value: plain},
		"unknown members": {Value: []byte(
			`{"x":{"y":[1e400]},"contractId":"70001","balanceCodes":["AVAILABLE"],"z":null}`)},
		"binary event": {Value: plain, Headers: []kafka.Header{header("ce_specversion", "1.0"),
			header("ce_id", "event-1")}},
		"structured event": event(`{"specversion":"1.0","id":"event-2","data":` + string(plain) + `}`),
		"event with base64": event(`{"specversion":"1.0","id":"event-3","data_base64":"` +
			base64.StdEncoding.EncodeToString(plain) + `"}`),
		"far deadline": {Value: []byte(
			`{"contractId":"70001","balanceCodes":["AVAILABLE"],"deadline":"2999-01-01T00:00:00Z"}`)},
	}
	for name, m := range requests {
		requests[name] = r.Send(m)[0]
	}
	r.Send(asks(300, 40, 1000)...)
	in := r.StartReady()
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.WantNoDeadLetters()
	schema := resultSchema(t)
	for _, a := range l.log {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.msg.Value))
		if err == nil {
			err = schema.Validate(doc)
		}
		if err != nil {
			t.Errorf("%v: %v in %s", a.Source, err, a.msg.Value)
		}
	}
	for name, want := range map[string]string{
		"binary event": "event-1", "structured event": "event-2", "event with base64": "event-3", "number as id": "r-%",
	} {
		if got := l.Result(requests[name]).RequestID; got != want {
			t.Errorf("%s: request id %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"complete": schemas.OutcomeComplete, "partial": schemas.OutcomePartial, "empty": schemas.OutcomePartial,
	} {
		if got := l.Result(requests[name]).Outcome; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	extreme := l.Result(requests["extreme digits"]).Balances
	if len(extreme) == 0 || extreme[0].Value != "999999999999999999.9999" {
		t.Errorf("22 digits became %+v", extreme)
	}
	empty := l.Result(requests["empty"])
	if len(empty.Balances) != 0 || len(empty.MissingBalanceCodes) != 2 {
		t.Errorf("an empty answer became %+v", empty.Result)
	}
	wantMetrics(t, in, len(r.sent))
	if code, _ := in.get("/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d", code)
	}
	in.Stop()
}

// wantMetrics checks the metrics of an instance that answered all of n requests with a result, none in doubt.
func wantMetrics(t *testing.T, in *instance, n int) {
	t.Helper()
	m := in.Metrics()
	for name, want := range map[string]float64{
		`balanceq_records_total{outcome="dead-letter",reason="invalid-request"}`: 0,
		`balanceq_in_flight`: 0, `balanceq_lanes_ready`: 0, `balanceq_joined`: 1, `balanceq_halted`: 0,
		`balanceq_partition_lag{partition="0"}`: 0, `balanceq_partition_open{partition="1"}`: 0,
		`balanceq_partition_stalled_seconds{partition="2"}`: 0, `balanceq_cms_in_flight`: 0,
		`balanceq_waiting{cause="limit"}`: 0, `balanceq_waiting{cause="breaker"}`: 0, `balanceq_waiting{cause="halted"}`: 0,
		`balanceq_waiting{cause="throttled"}`: 0, `balanceq_breaker_state{state="closed"}`: 1,
		`balanceq_breaker_state{state="open"}`: 0, `balanceq_breaker_state{state="half-open"}`: 0,
		`balanceq_producer_buffered_bytes`: 0, `balanceq_write_failing_seconds`: 0, `balanceq_offset_jumps_total`: 0,
	} {
		if got, ok := m[name]; !ok || got != want {
			t.Errorf("%s = %v (there: %v), want %v", name, got, ok, want)
		}
	}
	if got := m.sum("balanceq_records_total"); got != float64(n) {
		t.Errorf("balanceq_records_total adds up to %v, want %d", got, n)
	}
	took, stages := m.sum("balanceq_request_duration_seconds_sum"), m.sum("balanceq_stage_duration_seconds_sum")
	if got := m.sum("balanceq_request_duration_seconds_count"); got != float64(n) || took <= 0 ||
		math.Abs(took-stages) > took/1000 {
		t.Errorf("%v requests took %v s, their stages %v", got, took, stages)
	}
	calls := m.sum("balanceq_cms_calls_total")
	if calls < 1 || calls > float64(n) || m.sum("balanceq_cms_call_duration_seconds_count") != calls {
		t.Errorf("%v calls for %d requests, %v durations", calls, n, m.sum("balanceq_cms_call_duration_seconds_count"))
	}
	if commits := m[`balanceq_commits_total{result="ok"}`]; commits < 1 ||
		m["balanceq_commit_duration_seconds_count"] != commits {
		t.Errorf("%v commits, %v durations", commits, m["balanceq_commit_duration_seconds_count"])
	}
	if at := m["balanceq_last_commit_timestamp_seconds"]; at <= 0 || at > m["process_start_time_seconds"]+3600 {
		t.Errorf("balanceq_last_commit_timestamp_seconds = %v", at)
	}
	if m["go_goroutines"] == 0 || m["process_start_time_seconds"] == 0 {
		t.Error("the metrics of the Go runtime and the process are missing")
	}
}
