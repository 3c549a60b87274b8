package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/schemas"
)

// eventPrograms are what has the SDKs of CloudEvents write and read: testdata/cloudevents, and tools/cloudevents.
var eventPrograms = map[string][]string{
	"java": java("Events.java"), "python": {"venv/bin/python", "events.py"}, "js": {"node", "events.mjs"},
	"go": {"./events"},
}

// eventWays are the ways in which each of them writes a request: the two modes, and the second one with data_base64.
var eventWays = []string{"binary", "structured", "base64"}

// cloudEvents has the SDKs of CloudEvents, each in every way it has, write requests that are answered, under the id,
// the key and the trace of the event; and read results, announced failures and dead letters as the events these are.
// The topics are empty before. It returns how many requests that were.
func (o *others) cloudEvents() (asked int) {
	o.t.Helper()
	t := o.t
	const contract, unknown = 9990001, 4040001
	o.each(func(_ string, program []string) {
		if out, code := o.run(append(program, "write", strconv.Itoa(contract), strconv.Itoa(unknown))...); code != 0 {
			t.Errorf("%v: exit code %d: %s", program, code, out)
		}
	})
	// What stands on a result beside an event's attributes is not always text.
	other := ask(contract, "AVAILABLE")
	other.Headers = []kafka.Header{{Key: "kafka_correlationId", Value: []byte{0xff, 0, 0x80}},
		{Key: "x-correlation-id"}, {Key: "traceparent", Value: []byte(eventTrace)}}
	o.Send(other)
	written := len(eventPrograms) * len(eventWays)
	asked = 2*written + 1
	o.AwaitWritten(o.results, int64(asked))
	o.AwaitWritten(o.deadletters, int64(written))

	results, dead := o.broker.ReadAll(t, o.results), o.broker.ReadAll(t, o.deadletters)
	if len(results) != asked || len(dead) != written {
		t.Fatalf("%d results and %d dead letters of %d requests", len(results), len(dead), asked)
	}
	o.answered(results, contract, unknown)
	o.asked(o.broker.ReadAll(t, o.requests))
	want := map[string]map[string]any{}
	for _, m := range slices.Concat(results, dead) {
		want[positionOf(m).String()] = o.event(m)
	}
	o.each(func(name string, program []string) {
		out, code := o.run(append(program, "read", o.results, strconv.Itoa(len(results)), o.deadletters,
			strconv.Itoa(len(dead)))...)
		if n := strings.Count(out, "\n"); code != 0 || n != len(want) {
			t.Errorf("%s: exit code %d after %d events of %d", name, code, n, len(want))
		}
		for line := range strings.Lines(out) {
			o.sameEvent(name, line, want)
		}
	})
	return asked
}

const eventTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

// each runs a function for every program at the same time.
func (o *others) each(f func(name string, program []string)) {
	var running sync.WaitGroup
	for name, program := range eventPrograms {
		running.Go(func() {
			began := time.Now()
			f(name, slices.Clip(program))
			o.t.Logf("%s took %.1f s", name, time.Since(began).Seconds())
		})
	}
	running.Wait()
}

// answered looks at what became of the events.
func (o *others) answered(results []kafka.Message, contract, unknown int) {
	o.t.Helper()
	got := map[string]schemas.Result{}
	for _, m := range results {
		r, err := schemas.DecodeResult(m.Value)
		if err != nil {
			o.t.Fatal(err)
		}
		headers := headersOf(m)
		if string(m.Key) != strconv.FormatInt(r.ContractID, 10) || headers["traceparent"] != eventTrace ||
			headers["ce_traceparent"] != eventTrace {
			o.t.Errorf("%s: key %s, headers %v", r.RequestID, m.Key, headers)
		}
		got[r.RequestID] = r
	}
	for name := range eventPrograms {
		for _, way := range eventWays {
			of := func(contract int) schemas.Result { return got[fmt.Sprintf("%s-%s-%d", name, way, contract)] }
			if r := of(unknown); r.Outcome != schemas.OutcomeFailed || r.Reason != schemas.ReasonContractNotFound {
				o.t.Errorf("%s, %s, unknown contract: %+v", name, way, r)
			}
			var balances []string
			for _, b := range of(contract).Balances {
				balances = append(balances, b.Code+" "+b.Value)
			}
			var want []string
			for _, b := range cmssim.Balances(int64(contract), "AVAILABLE", "BLOCKED") {
				want = append(want, b.Code+" "+b.Value)
			}
			if !slices.Equal(balances, want) || !strings.ContainsFunc(want[0]+want[1], func(r rune) bool { return r == '.' }) {
				o.t.Errorf("%s, %s: %q, want %q", name, way, balances, want)
			}
		}
	}
}

// asked looks at what the SDKs wrote: both modes, data_base64, and the partition key, which is the record's key and is
// still in the event.
func (o *others) asked(requests []kafka.Message) {
	o.t.Helper()
	seen := map[string]int{}
	for _, m := range requests {
		headers := headersOf(m)
		var way, key string
		switch {
		case strings.HasPrefix(headers["content-type"], "application/cloudevents+json"):
			way, key = "structured", fmt.Sprint(o.event(m)["partitionkey"])
			if strings.Contains(string(m.Value), `"data_base64"`) {
				way = "base64"
			}
		case headers["ce_specversion"] != "":
			way, key = "binary", headers["ce_partitionkey"]
		default:
			continue
		}
		seen[way]++
		if key != string(m.Key) || key == "" {
			o.t.Errorf("%s: key %q, partitionkey %q", headers["ce_id"], m.Key, key)
		}
	}
	n := 2 * len(eventPrograms)
	if want := map[string]int{"binary": n, "structured": n, "base64": n}; !maps.Equal(seen, want) {
		o.t.Errorf("requests %v, want %v", seen, want)
	}
}

// event is the event of a record by its attributes' names, and data, as object has it.
func (o *others) event(m kafka.Message) map[string]any {
	o.t.Helper()
	headers := headersOf(m)
	if strings.HasPrefix(headers["content-type"], "application/cloudevents") {
		return o.object(m.Value)
	}
	e := map[string]any{"datacontenttype": headers["content-type"], "data": json.RawMessage(m.Value)}
	for name, value := range headers {
		if attribute, is := strings.CutPrefix(name, "ce_"); is {
			e[attribute] = value
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.object(text)
}

// object reads an event in JSON: its attributes, with the time in one form and zone, and its data.
func (o *others) object(text []byte) map[string]any {
	o.t.Helper()
	e := map[string]any{}
	if err := json.Unmarshal(text, &e); err != nil {
		o.t.Fatalf("%v: %s", err, text)
	}
	if encoded, is := e["data_base64"].(string); is {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		data := map[string]any{}
		if err = errors.Join(err, json.Unmarshal(decoded, &data)); err != nil {
			o.t.Fatalf("%v: %s", err, text)
		}
		delete(e, "data_base64")
		e["data"] = data
	}
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["time"]))
	if err != nil {
		o.t.Fatalf("%v: %s", err, text)
	}
	e["time"] = at.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
	return e
}

// sameEvent compares what a program printed of a record with the event that it is. SDKs that show the record's key as
// partitionkey may.
func (o *others) sameEvent(name, line string, want map[string]map[string]any) {
	var got struct {
		At, Error string
		Event     json.RawMessage
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil || got.Error != "" {
		o.t.Errorf("%s: %s %v in %s", name, got.Error, err, line)
		return
	}
	e, expected := o.object(got.Event), want[got.At]
	if _, is := expected["partitionkey"]; !is {
		delete(e, "partitionkey")
	}
	if a, b := fmt.Sprint(e), fmt.Sprint(expected); a != b {
		o.t.Errorf("%s: %s\ngot  %s\nwant %s", name, got.At, a, b)
	}
}
