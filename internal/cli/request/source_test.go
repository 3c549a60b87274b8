package request

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// collect reads a source to its end: "where key value" of each request, "! error" of each that is not valid, and last
// "!! error" when the input itself could not be read on.
func collect(s source) (got []string) {
	for {
		e, err := s.next()
		_, bad := errors.AsType[*BadRequestError](err)
		switch {
		case errors.Is(err, io.EOF):
			return got
		case bad:
			got = append(got, "! "+err.Error())
		case err != nil:
			return append(got, "!! "+err.Error())
		default:
			got = append(got, fmt.Sprintf("%s %s %s", e.where, e.Message.Key, e.Message.Value))
		}
	}
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}

func TestCSV(t *testing.T) {
	const header = "contractId,balanceCodes\n"
	tests := map[string]struct {
		o    options
		text string
		want []string
	}{
		"codes": {text: header + "1,A\n2,A|B\n3,A B\n4,\"A,B\"\n5, \"A, B\"\n",
			want: []string{
				`line 2 1 {"contractId":"1","balanceCodes":["A"]}`,
				`line 3 2 {"contractId":"2","balanceCodes":["A","B"]}`,
				`line 4 3 {"contractId":"3","balanceCodes":["A","B"]}`,
				`line 5 4 {"contractId":"4","balanceCodes":["A","B"]}`,
				`line 6 5 {"contractId":"5","balanceCodes":["A","B"]}`,
			}},
		"all columns, in any order": {
			text: "deadline, requestId ,balanceCodes,contractId\r\n2026-01-31T12:00:00Z,r-1,A,70001\r\n,,A,2\r\n",
			want: []string{
				`line 2 70001 {"contractId":"70001","balanceCodes":["A"],"requestId":"r-1","deadline":"2026-01-31T12:00:00Z"}`,
				`line 3 2 {"contractId":"2","balanceCodes":["A"]}`,
			}},
		"byte order mark, blank lines, no line end": {text: "\ufeff" + header + "\n1,A\n\n2,A",
			want: []string{`line 3 1 {"contractId":"1","balanceCodes":["A"]}`,
				`line 5 2 {"contractId":"2","balanceCodes":["A"]}`}},
		"cell over two lines": {text: "contractId,balanceCodes,requestId\n1,\"A\nB\",r\n2,A,\"x\ny\"\n3,A,z\n",
			want: []string{
				`! line 2, column balanceCodes: has a control character: "A\nB"; send the code without it`,
				`! line 4, column requestId: has a control character: "x\ny"; send it without`,
				`line 6 3 {"contractId":"3","balanceCodes":["A"],"requestId":"z"}`,
			}},
		"wrong values": {text: "contractId,balanceCodes,deadline\nx,A,\n1,,\n1,A,tomorrow\n,A,\n01,A,\n2,A,\n",
			want: []string{
				`! line 2, column contractId: "x" has something other than digits; send a number or a string of digits, 1 to 999999999999999999`,
				`! line 3, column balanceCodes: is empty; send an array of 1 to 100 balance codes`,
				`! line 4, column deadline: "tomorrow" is not an RFC 3339 time with a zone; send a string such as "2026-01-31T12:00:00Z", or leave it out`,
				`! line 5, column contractId: is empty; send a number or a string of digits, 1 to 999999999999999999`,
				`! line 6, column contractId: has a leading zero; send a number or a string of digits, 1 to 999999999999999999`,
				`line 7 2 {"contractId":"2","balanceCodes":["A"]}`,
			}},
		"wrong values, not validated": {o: options{noValidate: true}, text: header + "x,\n",
			want: []string{`line 2  {"contractId":"x","balanceCodes":[]}`}},
		"a missing column, not validated": {o: options{noValidate: true}, text: "contractId\n7\n",
			want: []string{`line 2 7 {"contractId":"7","balanceCodes":[]}`}},
		"not UTF-8": {text: header + "1,\xc4\n",
			want: []string{`! line 2, column balanceCodes: is not UTF-8; write it as UTF-8`}},
		"too many cells": {text: header + "1,A,B\n2,A\n",
			want: []string{
				`! line 2: has 3 columns and the header 2; put cells with commas into quotes`,
				`line 3 2 {"contractId":"2","balanceCodes":["A"]}`,
			}},
		"quotes": {text: header + "1,A\"B\n2,A\n3,\"A\"B\n4,A\n",
			want: []string{
				`! line 2, column 4: bare " in non-quoted-field`,
				`line 3 2 {"contractId":"2","balanceCodes":["A"]}`,
				`! line 4, column 5: extraneous or missing " in quoted-field`,
				`line 5 4 {"contractId":"4","balanceCodes":["A"]}`,
			}},
		"quote not closed": {text: header + "1,\"A\n2,A\n",
			want: []string{`! line 3, column 5: extraneous or missing " in quoted-field (it began on line 2)`}},
		"nothing":     {text: "", want: []string{`!! has no lines; begin with the header contractId,balanceCodes`}},
		"header only": {text: header},
		"unknown column": {text: "contractID,balanceCodes\n1,A\n",
			want: []string{`!! line 1: unknown column "contractID"; did you mean contractId?`}},
		"unknown column, plain": {text: "contractId,codes\n1,A\n",
			want: []string{`!! line 1: unknown column "codes"; the columns are contractId, balanceCodes, requestId, deadline`}},
		"escape in a header": {text: "\x1b[31m,balanceCodes\n",
			want: []string{`!! line 1: unknown column "\x1b[31m"; the columns are contractId, balanceCodes, requestId, deadline`}},
		"column twice": {text: "contractId,contractId\n",
			want: []string{`!! line 1: column contractId is there twice; remove one`}},
		"column missing": {text: "contractId,requestId\n", want: []string{
			`!! line 1: column balanceCodes is missing; the header is contractId,balanceCodes and, if wanted, requestId and deadline`}},
		"semicolons": {text: "contractId;balanceCodes\n1;A\n",
			want: []string{`!! line 1: the columns are separated by something other than commas; save the file with commas`}},
		"quote in header": {text: "a\"b\n",
			want: []string{`!! reading the header: line 1, column 2: bare " in non-quoted-field`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wantLines(t, collect(newCSVSource(strings.NewReader(test.text), &test.o)), test.want...)
		})
	}
}

// A quote that is never closed must not read the whole file into memory.
func TestCSVMemoryIsBounded(t *testing.T) {
	rest := &endless{text: "2,A\n"}
	got := collect(newCSVSource(io.MultiReader(strings.NewReader("contractId,balanceCodes\n1,A\n2,\"A\n"), rest),
		&options{}))
	wantLines(t, got, `line 2 1 {"contractId":"1","balanceCodes":["A"]}`,
		fmt.Sprintf("!! after line 2: a line is longer than %d bytes; is a quote not closed?", maxRecord))
	if rest.read > maxRecord+64<<10 {
		t.Errorf("%d bytes were read of a record of at most %d", rest.read, maxRecord)
	}
}

// endless repeats a text for ever.
type endless struct {
	text string
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.text[(e.read+i)%len(e.text)]
	}
	e.read += len(b)
	return len(b), nil
}

func TestNDJSON(t *testing.T) {
	const good = `{ "balanceCodes":["A"], "contractId":70001,  "x":1.0 }`
	large := `{"contractId":"1","balanceCodes":["A"],"x":"` + strings.Repeat("y", maxRecord) + `"}`
	tests := map[string]struct {
		o    options
		text string
		want []string
	}{
		"byte for byte": {text: good + "\n" + good + "\r\n" + good,
			want: []string{"line 1 70001 " + good, "line 2 70001 " + good, "line 3 70001 " + good}},
		"byte order mark and empty lines": {text: "\ufeff" + good + "\n\n \t\r\n" + good + "\n",
			want: []string{"line 1 70001 " + good, "line 4 70001 " + good}},
		"nothing": {text: ""},
		"not valid": {text: "{}\n{\"contractId\":\n" + good + "\n",
			want: []string{"! line 1: contractId: is missing; send a number or a string of digits, 1 to 999999999999999999",
				"! line 2: value: is not complete JSON: it ends at byte 14", "line 3 70001 " + good}},
		"not validated": {o: options{noValidate: true}, text: "\x1b[31m\n{\"contractId\":7}\n",
			want: []string{"line 1  \x1b[31m", `line 2 7 {"contractId":7}`}},
		"larger than any topic takes": {text: large + "\n" + good,
			want: []string{fmt.Sprintf("! line 1: has %d bytes; send at most %d", len(large)+1, schemas.MaxRequestSize),
				"line 2 70001 " + good}},
		"larger than any topic takes, no line end": {o: options{noValidate: true}, text: large,
			want: []string{fmt.Sprintf("! line 1: has %d bytes; send at most %d", len(large), schemas.MaxRequestSize)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wantLines(t, collect(newNDJSONSource(strings.NewReader(test.text), &test.o)), test.want...)
		})
	}
}

// With --wait every request has an id by which its answer can be found, and the service must read the same one.
func TestWaitGivesIDs(t *testing.T) {
	o := &options{wait: true, noValidate: true, contracts: []string{"1", "2"}, codes: []string{"A"}}
	sources := map[string]source{
		"flags": &flagSource{o: o},
		"CSV":   newCSVSource(strings.NewReader("contractId,balanceCodes,requestId\n1,A,\n2,A,\n3,A,mine\n"), o),
		"NDJSON": newNDJSONSource(strings.NewReader(`{"contractId":1,"balanceCodes":["A"]}`+"\n"+
			`{"contractId":1,"balanceCodes":["A"],"requestId":null}`+"\nbroken\n"+
			`{"contractId":1,"balanceCodes":["A"],"requestId":"mine"}`+"\n"), o),
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			ids := map[string]bool{}
			for {
				e, err := source.next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got, _ := schemas.DecodeRequest(&schemas.Record{Value: e.Message.Value, Headers: e.Message.Headers})
				if e.id == "" || got.ID != e.id || ids[e.id] {
					t.Errorf("%s: id %q, the service reads %q", e.Message.Value, e.id, got.ID)
				}
				ids[e.id] = true
			}
			if len(ids) < 2 || (name != "flags") != ids["mine"] {
				t.Errorf("ids %v", ids)
			}
		})
	}
}

func TestDeadlineFromNow(t *testing.T) {
	e, err := Draft{ContractID: "1", Codes: []string{"A"}, deadline: "30s"}.Entry("")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := schemas.DecodeRequest(&schemas.Record{Value: e.Message.Value})
	if left := time.Until(got.Deadline); left > 30*time.Second || left < 20*time.Second {
		t.Errorf("deadline %v is %v from now", got.Deadline, left)
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("contractId,balanceCodes\n1,A|B\n")
	f.Add("contractId,balanceCodes,requestId,deadline\n1,\"A,B\",r,30s\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		s := newCSVSource(strings.NewReader(text), &options{})
		for {
			e, err := s.next()
			if _, bad := errors.AsType[*BadRequestError](err); bad {
				continue
			}
			if err != nil {
				return
			}
			if _, err := schemas.DecodeRequest(&schemas.Record{Value: e.Message.Value}); err != nil {
				t.Fatalf("published a request that is not valid: %s: %v", e.Message.Value, err)
			}
		}
	})
}
