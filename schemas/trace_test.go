package schemas

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

// The rules of the specification, §2.2 and §4.3.
func TestTraceparent(t *testing.T) {
	t.Parallel()
	ids := traceID + "-" + spanID
	for text, valid := range map[string]bool{
		"00-" + ids + "-01":                  true,
		"00-" + ids + "-00":                  true,
		"00-" + ids + "-ff":                  true, // flags that this version does not know are no fault
		"cc-" + ids + "-01":                  true, // a future version
		"cc-" + ids + "-01-what-comes":       true,
		"cc-" + ids + "-01what-comes":        false,
		"cc-" + ids + "-01-\r\nHost: evil":   false, // it goes into an HTTP header
		"cc-" + ids + "-01-" + longText(600): false,
		"00-" + ids + "-01-what":             false, // this version has four fields
		"00-" + ids + "-01 ":                 false,
		" 00-" + ids + "-01":                 false,
		"ff-" + ids + "-01":                  false,
		"0-" + ids + "-01":                   false,
		"0G-" + ids + "-01":                  false,
		"0A-" + ids + "-01":                  false,
		"00-" + strings.ToUpper(ids) + "-01": false,
		"00-" + ids + "-0A":                  false,
		"00-" + ids + "-1":                   false,
		"00-" + ids:                          false,
		"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01":  false,
		"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01": false,
		"00_" + ids + "-01":                    false,
		"00-" + traceID + "_" + spanID + "-01": false,
		"":                                     false,
		"00-1-1-00":                            false,
	} {
		if got := newTrace([]byte(text), nil).Parent != nil; got != valid {
			t.Errorf("%q: valid %t", text, got)
		}
	}
}

func longText(n int) string { return strings.Repeat("x", n) }

// traceparents is the grammar, as an expression.
var traceparents = regexp.MustCompile(`\A(?:00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})` +
	`|(?:0[1-9a-f]|[1-9a-e][0-9a-f]|f[0-9a-e])-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-[ -~]*)?)\z`)

// grammar is what the expression says of a text.
func grammar(text string) (trace, span string, sampled, valid bool) {
	m := traceparents.FindStringSubmatch(text)
	if m == nil || len(text) > 512 {
		return "", "", false, false
	}
	trace, span = m[1]+m[4], m[2]+m[5]
	valid = strings.Trim(trace, "0") != "" && strings.Trim(span, "0") != ""
	return trace, span, valid && strings.ContainsRune("13579bdf", rune((m[3] + m[6])[1])), valid
}

func agrees(t interface{ Fatalf(string, ...any) }, text string) {
	got := newTrace([]byte(text), nil)
	trace, span, sampled, valid := grammar(text)
	if (got.Parent != nil) != valid || got.Sampled() != sampled {
		t.Fatalf("%q: valid %t, sampled %t; want %t, %t", text, got.Parent != nil, got.Sampled(), valid, sampled)
	}
	if ids, of := got.IDs(); valid && (fmt.Sprintf("%x", ids) != trace || fmt.Sprintf("%x", of) != span) {
		t.Fatalf("%q: %x, %x", text, ids, of)
	}
}

// The decoder and the grammar agree, about what is right and about what is almost right.
func TestTraceparentAgreesWithTheGrammar(t *testing.T) {
	t.Parallel()
	hex := func(n int) *rapid.Generator[string] {
		return rapid.OneOf(rapid.StringMatching(fmt.Sprintf("[0-9a-f]{%d}", n)), rapid.Just(strings.Repeat("0", n)))
	}
	valid, invalid := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.OneOf(rapid.Just("00"), rapid.Just("ff"), hex(2)).Draw(t, "version")
		rest := rapid.OneOf(rapid.Just(""), rapid.Just("-"), rapid.String()).Draw(t, "rest")
		text := []byte(version + "-" + hex(32).Draw(t, "trace") + "-" + hex(16).Draw(t, "span") + "-" +
			hex(2).Draw(t, "flags") + rest)
		if rapid.IntRange(0, 2).Draw(t, "spoil") == 0 {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			text[at] = rapid.SampledFrom([]byte("0aAgG-_ \x00\x7f\xff")).Draw(t, "with")
		}
		agrees(t, string(text))
		if _, _, _, is := grammar(string(text)); is {
			valid++
		} else {
			invalid++
		}
	})
	if valid == 0 || invalid == 0 {
		t.Errorf("%d valid, %d invalid: nothing is shown", valid, invalid)
	}
}

func FuzzTraceparent(f *testing.F) {
	for _, text := range []string{"00-" + traceID + "-" + spanID + "-01", "cc-" + traceID + "-" + spanID + "-03-x", "ff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { agrees(t, text) })
}

// Which of several trace contexts of a record counts.
func TestReadTrace(t *testing.T) {
	t.Parallel()
	one, two := "00-"+traceID+"-"+spanID+"-01", "00-"+traceID+"-1111111111111111-00"
	event := func(members string, headers ...string) *Record {
		return record(`{"specversion":"1.0","id":"e",`+members+`,"data":`+plain+`}`,
			append(headers, "content-type", "application/cloudevents+json")...)
	}
	for name, test := range map[string]struct {
		rec           *Record
		parent, state string
	}{
		"none": {record(plain), "", ""},
		"one":  {record(plain, "traceparent", one, "tracestate", "a=1,b=2"), one, "a=1,b=2"},
		"the last counts": {record(plain, "traceparent", one, "traceparent", two,
			"tracestate", "a=1", "tracestate", "b=2"), two, "b=2"},
		"malformed":                {record(plain, "traceparent", one[:54], "tracestate", "a=1"), "", ""},
		"a state alone":            {record(plain, "tracestate", "a=1"), "", ""},
		"a state that cannot be":   {record(plain, "traceparent", one, "tracestate", "a=1\r\nb: c"), one, ""},
		"a state that is too long": {record(plain, "traceparent", one, "tracestate", "a="+longText(512)), one, ""},
		"an event's":               {record(plain, "ce_traceparent", one, "ce_tracestate", "a=1"), one, "a=1"},
		"headers before an event's": {record(plain, "traceparent", two, "ce_traceparent", one, "ce_tracestate", "a=1"),
			two, ""},
		"a structured event's":       {event(`"tracestate":"a=1","traceparent":"` + one + `"`), one, "a=1"},
		"headers before a structure": {event(`"traceparent":"`+one+`"`, "traceparent", two), two, ""},
		"a structure's, malformed":   {event(`"traceparent":7,"tracestate":{}`), "", ""},
		"of an invalid request":      {record(`{`, "traceparent", one), one, ""},
	} {
		r, err := DecodeRequest(test.rec)
		if (err != nil) != (name == "of an invalid request") {
			t.Errorf("%s: %v", name, err)
		}
		if string(r.Trace.Parent) != test.parent || string(r.Trace.State) != test.state {
			t.Errorf("%s: %q, %q", name, r.Trace.Parent, r.Trace.State)
		}
	}
}

// However often a request fails and is replayed under a trace, what is written has one traceparent, and the first one
// stays known. Without a trace nothing of it changes.
func TestOneTraceparentAfterReplays(t *testing.T) {
	t.Parallel()
	first := "00-" + traceID + "-" + spanID + "-01"
	rec := record(plain, "traceparent", "00-1-1-00", "a", "b", "traceparent", first, "tracestate", "x=1")
	for round := range 3 {
		d := DeadLetter{Record: rec, Reason: ReasonExpired, Attempts: 1,
			Trace: Trace{Parent: fmt.Appendf(nil, "00-%s-%016x-01", traceID, round+1)}}
		m := d.Message(origin)
		letter := &Record{Position: Position{"letters", 0, int64(round)}, Value: m.Value, Headers: m.Headers}
		if got := m.Headers[:len(rec.Headers)]; round == 0 && !slices.EqualFunc(got, rec.Headers, sameHeader) {
			t.Fatalf("the letter has %s, the request %s", got, rec.Headers)
		}
		if got := DeadTrace(letter); string(got.Parent) != string(d.Trace.Parent) {
			t.Fatalf("the letter's own is %s, want %s", got.Parent, d.Trace.Parent)
		}
		if got := ReplayMessage(letter, "r", Trace{}); string(ReadTrace(&Record{Headers: got.Headers}).Parent) !=
			string(ReadTrace(rec).Parent) || len(values(got.Headers, HeaderDeadTraceparent)) != 0 {
			t.Fatalf("without a trace: %s", got.Headers)
		}
		trace := Trace{Parent: fmt.Appendf(nil, "00-%s-%016x-01", strings.Repeat("a", 32), round+1)}
		m = ReplayMessage(letter, "r", trace)
		rec = &Record{Value: m.Value, Headers: m.Headers}
		for header, want := range map[string][]string{
			HeaderTraceparent: {string(trace.Parent)}, HeaderTracestate: nil, HeaderDeadTraceparent: nil,
			HeaderReplayTraceparent: {first}, "a": {"b"},
		} {
			if got := values(m.Headers, header); !slices.Equal(got, want) {
				t.Fatalf("round %d: %s is %q, want %q", round, header, got, want)
			}
		}
	}
}

func sameHeader(a, b Header) bool { return a.Key == b.Key && string(a.Value) == string(b.Value) }

func values(headers []Header, name string) (all []string) {
	for _, h := range headers {
		if h.Key == name {
			all = append(all, string(h.Value))
		}
	}
	return all
}

// A result carries the trace that it is given, once as headers and once as attributes of the event.
func TestResultCarriesTheTrace(t *testing.T) {
	t.Parallel()
	r := Result{RequestID: "r", Outcome: OutcomeComplete, Trace: Trace{[]byte("00-a"), []byte("x=1")}}
	m := r.Message(nil)
	for name, want := range map[string]string{HeaderTraceparent: "00-a", HeaderEventTraceparent: "00-a",
		HeaderTracestate: "x=1", HeaderEventTracestate: "x=1"} {
		if got := values(m.Headers, name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s %q", name, got)
		}
	}
	if r.Trace = (Trace{}); len(r.Message(nil).Headers) != len(m.Headers)-4 {
		t.Errorf("headers without a trace: %s", r.Message(nil).Headers)
	}
}
