package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// hostile are records that are no requests, by the field that the dead letter must name.
func hostile(t *testing.T) map[string][]kafka.Message {
	t.Helper()
	value := func(text string) kafka.Message { return kafka.Message{Key: []byte("k"), Value: []byte(text)} }
	request := func(members string) kafka.Message {
		return value(`{"contractId":"70001","balanceCodes":["AVAILABLE"]` + members + `}`)
	}
	records := map[string][]kafka.Message{
		"value": {
			{Key: []byte("null"), Value: nil}, {Key: nil, Value: nil}, {Value: []byte{}}, value(" "), value("{"),
			value("\x00\x01\x02"),
			value("\xff\xfe{}"), value("\xef\xbb\xbf{}"), value(`"text"`), value("[]"), value("null"), value("1e999"),
			request(`} trailing`), request(`,"x":1,"x":2`), request(",\"x\":\"\xff\""), request(`,"x":"\ud800"`),
			request(`,"x":NaN`),
			request(`,"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)),
			value(strings.Repeat("[", 100_000)), value(strings.Repeat("A", 900_000)),
		},
		"contractId": {
			value(`{"balanceCodes":["AVAILABLE"]}`), value(`{"contractId":null,"balanceCodes":["A"]}`),
			value(`{"contractId":1e400,"balanceCodes":["A"]}`),
			value(`{"contractId":` + strings.Repeat("9", 5000) + `,"balanceCodes":["A"]}`),
			value(`{"contractId":"1000000000000000000","balanceCodes":["A"]}`), value(`{"contractId":-1,"balanceCodes":["A"]}`),
			value(`{"contractId":70001.5,"balanceCodes":["A"]}`),
			value(`{"contractId":"1","contractId":"2","balanceCodes":["A"]}`),
			value(`{"contractId":"70001/../../secrets","balanceCodes":["A"]}`),
			value(`{"contractId":{"$gt":""},"balanceCodes":["A"]}`),
		},
		"balanceCodes": {
			value(`{"contractId":"1"}`), value(`{"contractId":"1","balanceCodes":[]}`),
			value(`{"contractId":"1","balanceCodes":"A"}`),
			value(`{"contractId":"1","balanceCodes":[` + strings.Repeat(`"A1",`, 100_000) + `7]}`),
			value(`{"contractId":"1","balanceCodes":["A&x=1#","B\u0000"]}`),
		},
		"deadline":  {request(`,"deadline":"tomorrow"`), request(`,"deadline":1`)},
		"requestId": {request(`,"requestId":""`), request(`,"requestId":"` + strings.Repeat("r", 10_000) + `"`)},
		"specversion": {{Value: []byte(`{"id":"1","data":{}}`),
			Headers: []kafka.Header{header("content-type", "application/cloudevents+json")}}},
	}
	// What the documentation shows as invalid; the first word of the text beside it is the field.
	const folder = "v1/examples/requests-invalid"
	names, err := fs.Glob(schemas.Files, folder+"/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no examples (%v)", err)
	}
	for _, name := range names {
		text, err := schemas.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := schemas.Files.ReadFile(strings.TrimSuffix(name, path.Ext(name)) + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		field, _, _ := strings.Cut(string(want), ":")
		records[field] = append(records[field], kafka.Message{Value: text})
	}
	return records
}

// Whatever is sent, it comes back byte for byte with a reason that names the field, and the good requests between are
// answered.
func TestInvalidRequestsBecomeDeadLetters(t *testing.T) {
	kafkatest.OnlyOnce(t, "the circuit breaker")
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{})
	odd := []kafka.Header{{Key: "", Value: nil}, {Key: "bin", Value: []byte{0, 255, 10}}, {Key: "bin", Value: []byte{}},
		header("é", "ü")}
	fields := map[schemas.Position]string{}
	for field, msgs := range hostile(t) {
		for _, m := range msgs {
			m.Headers = append(m.Headers, odd...)
			fields[positionOf(r.Send(m)[0])] = field
		}
		r.Send(asks(5, 5, 7000)...)
	}
	in := r.StartReady()
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	for at, field := range fields {
		letters := l.dead[at]
		if len(letters) != 1 {
			t.Errorf("%v (%s): %d dead letters", at, field, len(letters))
			continue
		}
		d := letters[0]
		named, _, _ := strings.Cut(d.Detail, ":")
		named, _, _ = strings.Cut(named, "[")
		if want, _, _ := strings.Cut(field, "["); d.Reason != schemas.ReasonInvalidRequest || named != want {
			t.Errorf("%v: %s: %s, want a detail about %s", at, d.Reason, d.Detail, field)
		}
		if d.Attempts != 0 || d.HTTPStatus != 0 || d.RequestID == "" ||
			d.Origin.Group != r.group || d.Origin.Instance != "i1" || d.Origin.Version == "" {
			t.Errorf("%v: headers %+v", at, d.DeadLetterInfo)
		}
		for _, h := range d.msg.Headers {
			if !strings.HasPrefix(h.Key, "balanceq-") && !strings.HasPrefix(h.Key, "__dlq") {
				continue
			}
			control := bytes.ContainsFunc(h.Value, func(c rune) bool { return c < ' ' })
			if !utf8.Valid(h.Value) || len(h.Value) > schemas.MaxDetail || control {
				t.Errorf("%v: header %s is no clean, short text: %q", at, h.Key, h.Value)
			}
		}
	}
	if got := in.Metrics()[`balanceq_records_total{outcome="dead-letter",reason="invalid-request"}`]; got != float64(
		len(fields)) {
		t.Errorf("the metric counts %v invalid requests of %d", got, len(fields))
	}
	in.Stop()
}

// What only the CMS can tell, one row of the table of outcomes each.
func TestRefusedRequestsBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{Record: true})
	r.sim.AddFault(cmssim.Fault{Match: cmssim.Match{Contracts: []int64{8001}},
		Effect: cmssim.EffectStatus, Status: http.StatusBadRequest,
		Source: "MASTERCARD PROCESSING", ReasonCode: "REQUEST_VALIDATION", Description: "Invalid value."})
	long := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	rejected := r.Send(ask(8001, "AVAILABLE"))[0]
	missing := r.Send(ask(40412, "AVAILABLE"))[0]
	expired := r.Send(kafka.Message{Value: fmt.Appendf(nil,
		`{"contractId":"8003","balanceCodes":["DUE"],"deadline":%q,"requestId":"late"}`, long)})[0]
	r.Send(asks(50, 10, 8100)...)
	in := r.StartReady()
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	want := map[schemas.Position]schemas.DeadLetterInfo{
		positionOf(rejected): {Reason: schemas.ReasonRequestRejected, HTTPStatus: 400, CMSReasonCode: "REQUEST_VALIDATION",
			Attempts: 1},
		positionOf(missing): {Reason: schemas.ReasonContractNotFound, HTTPStatus: 404,
			CMSReasonCode: "CONTRACT_DOES_NOT_EXIST", Attempts: 1},
		positionOf(expired): {Reason: schemas.ReasonExpired},
	}
	if len(l.dead) != len(want) {
		t.Errorf("%d dead letters, want %d", len(l.dead), len(want))
	}
	for _, m := range []kafka.Message{rejected, missing, expired} {
		d, w := l.Dead(m), want[positionOf(m)]
		if d.Reason != w.Reason || d.HTTPStatus != w.HTTPStatus || d.CMSReasonCode != w.CMSReasonCode ||
			d.Attempts != w.Attempts || d.Detail == "" {
			t.Errorf("got %+v, want %+v", d.DeadLetterInfo, w)
		}
		if w.Attempts > 0 && (d.CorrelationID == "" || d.FirstFailure.IsZero() || d.LastFailure.Before(d.FirstFailure)) {
			t.Errorf("%s lacks a correlation id or times: %+v", w.Reason, d.DeadLetterInfo)
		}
		if headers := headersOf(d.msg); headers["__dlq.errors.topic"] != r.requests ||
			headers["__dlq.errors.group"] != r.group ||
			headers["__dlq.errors.delivery.count"] != "1" ||
			!strings.HasPrefix(headers["__dlq.errors.message"], string(w.Reason)) {
			t.Errorf("Kafka's own headers are %v", headers)
		}
	}
	if calls := r.sim.Calls(8003); len(calls) != 0 {
		t.Errorf("an expired request was asked for: %v", calls)
	}
	in.Stop()
}

// A request that fails while others are answered is given up after its attempts; one whose failure ends is answered.
func TestRetriesThenAnswersOrGivesUp(t *testing.T) {
	kafkatest.OnlyOnce(t, "how the CMS is asked again")
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{Latency: 5 * time.Millisecond, Record: true})
	passing := map[int64]cmssim.Fault{
		9001: {Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable, RetryAfter: 1, Count: 1},
		9002: {Effect: cmssim.EffectStatus, Status: http.StatusInternalServerError, Count: 2},
		9003: {Effect: cmssim.EffectStatus, Status: http.StatusRequestTimeout, Count: 2},
		9004: {Effect: cmssim.EffectHang, Count: 1},
		9005: {Effect: cmssim.EffectReset, Count: 2},
		9006: {Effect: cmssim.EffectTruncate, Count: 2},
		9007: {Effect: cmssim.EffectTruncate, Mode: cmssim.ModeChunked, Count: 2},
		9008: {Effect: cmssim.EffectGarbage, Count: 2},
	}
	lasting := map[int64]cmssim.Fault{
		9101: {Effect: cmssim.EffectStatus, Status: http.StatusBadGateway},
		9102: {Effect: cmssim.EffectReset},
		9103: {Effect: cmssim.EffectHang},
		9104: {Effect: cmssim.EffectGarbage},
		9105: {Effect: cmssim.EffectGarbage, Mode: cmssim.ModeShape},
	}
	reasons := map[int64]schemas.Reason{9104: schemas.ReasonUnexpectedResponse, 9105: schemas.ReasonUnexpectedResponse}
	answered, dead := map[int64]kafka.Message{}, map[int64]kafka.Message{}
	for contract, f := range passing {
		f.Match.Contracts = []int64{contract}
		r.sim.AddFault(f)
		answered[contract] = r.Send(ask(contract, "AVAILABLE", "DUE"))[0]
	}
	for contract, f := range lasting {
		f.Match.Contracts = []int64{contract}
		r.sim.AddFault(f)
		dead[contract] = r.Send(ask(contract, "AVAILABLE", "DUE"))[0]
	}
	in := r.StartReady("--cms.max-attempts=3", "--cms.timeout=2s", "--cms.backoff.initial=20ms",
		"--cms.backoff.max=100ms",
		"--cms.breaker.min-calls=1000000")
	// An attempt counts only when others were answered since the one before: other traffic goes on until all is decided.
	in.eventually("every request has its outcome", func() bool {
		r.Send(asks(3, 3, 9200)...)
		return in.Metrics().sum("balanceq_records_total", `outcome="dead-letter"`) >= float64(len(lasting))
	})
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	for contract, m := range answered {
		l.Result(m)
		if n := len(r.sim.Calls(contract)); n < 2 {
			t.Errorf("contract %d: answered after %d calls", contract, n)
		}
	}
	for contract, m := range dead {
		want := reasons[contract]
		if want == "" {
			want = schemas.ReasonAttemptsExhausted
		}
		if d := l.Dead(m); d.Reason != want || d.Attempts < 3 || !d.LastFailure.After(d.FirstFailure) {
			t.Errorf("contract %d: %+v, want %s after 3 attempts", contract, d.DeadLetterInfo, want)
		}
	}
	if calls := r.sim.Calls(9001); calls[1].Time.Sub(calls[0].Time) < time.Second {
		t.Errorf("asked again %v after a Retry-After of 1 s", calls[1].Time.Sub(calls[0].Time))
	}
	in.Stop()
}
