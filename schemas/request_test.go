package schemas

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var position = Position{Topic: "balance.requests", Partition: 3, Offset: 4711}

func record(value string, headers ...string) *Record {
	rec := &Record{Position: position, Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		rec.Headers = append(rec.Headers, Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return rec
}

func repeat(format string, n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

func TestDecodeRequest(t *testing.T) {
	codes := []string{"AVAILABLE"}
	hundred := strings.Split(repeat("C%d", 100), ",")
	tests := map[string]struct {
		value string
		want  Request
	}{
		"number": {`{"contractId":70001,"balanceCodes":["AVAILABLE"]}`,
			Request{ID: "balance.requests/3/4711", ContractID: 70001, BalanceCodes: codes}},
		"white space around": {" \n{ \"contractId\" : \"1\" , \"balanceCodes\" : [ \"AVAILABLE\" ] } \r\n\t",
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: codes}},
		"order of the codes kept, duplicates removed": {`{"contractId":"1","balanceCodes":["B","A","B","C","A"]}`,
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: []string{"B", "A", "C"}}},
		"codes differ by case": {`{"contractId":"1","balanceCodes":["a","A"]}`,
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: []string{"a", "A"}}},
		"32 characters, more bytes": {`{"contractId":"1","balanceCodes":["` + strings.Repeat("ü", 32) + `"]}`,
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: []string{strings.Repeat("ü", 32)}}},
		"100 different codes in 1000": {`{"contractId":"1","balanceCodes":[` + repeatQuoted(hundred, 10) + `]}`,
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: hundred}},
		"everything": {`{"deadline":"2026-01-31T12:00:00.5+01:00","requestId":"r-1","balanceCodes":["AVAILABLE"],"contractId":"70001"}`,
			Request{ID: "r-1", ContractID: 70001, BalanceCodes: codes,
				Deadline: time.Date(2026, 1, 31, 11, 0, 0, 500e6, time.UTC)}},
		"request id of 256 bytes": {`{"contractId":"1","balanceCodes":["AVAILABLE"],"requestId":"` +
			strings.Repeat("é", 128) + `"}`,
			Request{ID: strings.Repeat("é", 128), ContractID: 1, BalanceCodes: codes}},
		"deepest unknown member": {`{"x":` + nested(31) + `,"contractId":"1","balanceCodes":["AVAILABLE"]}`,
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: codes}},
		"largest value": {pad(`{"contractId":"1","balanceCodes":["AVAILABLE"]}`, MaxRequestSize),
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: codes}},
		"names in other case are other members": {`{"contractId":"1","CONTRACTID":true,"balanceCodes":["AVAILABLE"],"requestID":7}`,
			Request{ID: "balance.requests/3/4711", ContractID: 1, BalanceCodes: codes}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(record(test.value))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// Refusals that are not among the golden examples.
func TestDecodeRequestRefuses(t *testing.T) {
	with := func(member string) string { return `{"contractId":"1","balanceCodes":["A"],` + member + `}` }
	tests := map[string]struct{ value, want string }{
		"white space": {" \n", `value: is only white space; send a JSON object`},
		"too large": {pad(`{}`, MaxRequestSize+1),
			`value: has 1048577 bytes; send at most 1048576`},
		"null": {`null`, `value: is null; send a JSON object with contractId and balanceCodes`},
		"too deep in an unknown member": {with(`"x":` + nested(32)),
			`value: is nested deeper than 32 levels; send a flatter one`},
		"too deep in a known member": {`{"contractId":` + nested(32) + `}`,
			`value: is nested deeper than 32 levels; send a flatter one`},
		"deeper than the parser goes": {strings.Repeat(`[`, 20000),
			`value: is nested deeper than 32 levels; send a flatter one`},
		"invalid UTF-8 in a code": {"{\"contractId\":\"1\",\"balanceCodes\":[\"A\xff\"]}",
			`value: is not valid JSON at byte 36: invalid UTF-8`},
		"invalid UTF-8 in an unknown member": {with("\"x\":\"\xc3\x28\""),
			`value: is not valid JSON at byte 44: invalid UTF-8`},
		"byte order mark": {"\ufeff{}", `value: begins with a byte order mark; send JSON without one`},
		"comment":         {with("\n// x\n"), `value: is not valid JSON at byte 40: invalid character '/' at start of value`},
		"trailing comma": {`{"contractId":"1",}`,
			`value: is not valid JSON at byte 17: invalid character ',' at start of value`},
		"name not quoted": {`{contractId:"1"}`,
			`value: is not valid JSON at byte 1: invalid character 'c' at start of value`},
		"number as name": {`{1:2}`, `value: is not valid JSON at byte 1: object member name must be a string`},
		"leading zero in a number": {`{"contractId":01,"balanceCodes":["A"]}`,
			`value: is not valid JSON at byte 15: invalid character '1' after object value (expecting ',' or '}')`},
		"duplicate by escape": {`{"contractId":"1","contract\u0049d":"2","balanceCodes":["A"]}`,
			`contractId: appears twice; send it once`},
		"duplicate with control characters": {with(`"a\u0000\u202e":1,"a\u0000\u202e":1`),
			`value: has the member "a\x00\u202e" twice in one object; send it once`},
		"duplicate of a known name further in": {with(`"x":{"contractId":1,"contractId":2}`),
			`value: has the member "contractId" twice in one object; send it once`},
		"text after it": {with(`"x":1`) + ` x`,
			`value: is not valid JSON at byte 46: invalid character 'x' at start of value`},

		"empty contract id": {`{"contractId":""}`, `contractId: is empty; send ` + wantContractID},
		"contract id with space": {`{"contractId":" 1"}`, `contractId: " 1" has something other than digits; send ` +
			wantContractID},
		"contract id with sign": {`{"contractId":"+1"}`, `contractId: "+1" has something other than digits; send ` +
			wantContractID},
		"contract id fraction": {`{"contractId":1.0}`, `contractId: "1.0" has something other than digits; send ` +
			wantContractID},
		"other digits": {`{"contractId":"١٢"}`, `contractId: "١٢" has something other than digits; send ` +
			wantContractID},
		"array contract id":  {`{"contractId":[1]}`, `contractId: is an array; send ` + wantContractID},
		"object contract id": {`{"contractId":{}}`, `contractId: is an object; send ` + wantContractID},
		"10^18":              {`{"contractId":1000000000000000000}`, `contractId: has 19 digits; send ` + wantContractID},
		"2^64 + 1":           {`{"contractId":"18446744073709551617"}`, `contractId: has 20 digits; send ` + wantContractID},
		"long contract id is cut": {`{"contractId":"` + strings.Repeat("x", 1000) + `"}`,
			`contractId: "` + strings.Repeat("x", 64) + `…" has something other than digits; send ` + wantContractID},
		"card number over the cut": {`{"contractId":"` + strings.Repeat("x", 56) + `4111111111111111"}`,
			`contractId: "` + strings.Repeat("x", 56) + `411111**…" has something other than digits; send ` + wantContractID},
		"line feed and colour": {`{"contractId":"1\n\u001b[31m"}`,
			`contractId: "1\n\x1b[31m" has something other than digits; send ` + wantContractID},

		"null codes": {`{"contractId":"1","balanceCodes":null}`, `balanceCodes: is null; send ` + wantCodes},
		"misnamed codes": {`{"contractId":"1","balancecodes":["A"]}`,
			`balanceCodes: is missing; send ` + wantCodes + ` (it has "balancecodes": did you mean balanceCodes?)`},
		"null code":    {`{"contractId":"1","balanceCodes":[null]}`, `balanceCodes[0]: is null; send ` + wantCode},
		"nested codes": {`{"contractId":"1","balanceCodes":["A",["B"]]}`, `balanceCodes[1]: is an array; send ` + wantCode},
		"101 codes": {`{"contractId":"1","balanceCodes":[` + repeat(`"C%d"`, 101) + `]}`,
			`balanceCodes: has more than 100 different codes; split the request`},
		"1001 codes": {`{"contractId":"1","balanceCodes":[` + strings.Repeat(`"A",`, 1000) + `"A"]}`,
			`balanceCodes: has 1001 entries; send ` + wantCodes},
		"33 characters": {`{"contractId":"1","balanceCodes":["` + strings.Repeat("ü", 33) + `"]}`,
			`balanceCodes[0]: has 33 characters; send ` + wantCode},
		"C1 control in code": {"{\"contractId\":\"1\",\"balanceCodes\":[\"A\u0085\"]}",
			`balanceCodes[0]: has a control character: "A\u0085"; send the code without it`},
		"DEL in code": {"{\"contractId\":\"1\",\"balanceCodes\":[\"A\x7f\"]}",
			`balanceCodes[0]: has a control character: "A\x7f"; send the code without it`},

		"request id of 257 bytes": {with(`"requestId":"` + strings.Repeat("x", 257) + `"`),
			`requestId: has 257 bytes; send ` + wantRequestID},
		"boolean request id": {with(`"requestId":false`), `requestId: is a boolean; send ` + wantRequestID},
		"object deadline":    {with(`"deadline":{}`), `deadline: is an object; send ` + wantDeadline},
		"empty deadline": {with(`"deadline":""`),
			`deadline: "" is not an RFC 3339 time with a zone; send ` + wantDeadline},
		"deadline with comma": {with(`"deadline":"2026-01-31T12:00:00,5Z"`),
			`deadline: "2026-01-31T12:00:00,5Z" is not an RFC 3339 time with a zone; send ` + wantDeadline},
		"deadline with one-digit hour": {with(`"deadline":"2026-01-31T2:00:00Z"`),
			`deadline: "2026-01-31T2:00:00Z" is not an RFC 3339 time with a zone; send ` + wantDeadline},
		"deadline with zone of a day": {with(`"deadline":"2026-01-31T12:00:00+24:00"`),
			`deadline: "2026-01-31T12:00:00+24:00" is not an RFC 3339 time with a zone; send ` + wantDeadline},
		"deadline with zone 23:60": {with(`"deadline":"2026-01-31T12:00:00+23:60"`),
			`deadline: "2026-01-31T12:00:00+23:60" is not an RFC 3339 time with a zone; send ` + wantDeadline},
		"deadline on 30 February": {with(`"deadline":"2026-02-30T12:00:00Z"`),
			`deadline: "2026-02-30T12:00:00Z" is not an RFC 3339 time with a zone; send ` + wantDeadline},
		"deadline with short zone": {with(`"deadline":"2026-01-31T12:00:00+1"`),
			`deadline: "2026-01-31T12:00:00+1" is not an RFC 3339 time with a zone; send ` + wantDeadline},
		"deadline in year 10000 of UTC": {with(`"deadline":"9999-12-31T23:59:59-01:00"`),
			`deadline: "9999-12-31T23:59:59-01:00" is not in the years 1970 to 9999; send ` + wantDeadline},

		"broken JSON weighs more": {`{"contractId":007}`,
			`value: is not valid JSON at byte 15: invalid character '0' after object value (expecting ',' or '}')`},
		"first problem wins": {`{"deadline":7,"contractId":true}`, `deadline: is a number; send ` + wantDeadline},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(record(test.value))
			wantRequestError(t, err, test.want)
			if got.ID != position.String() {
				t.Errorf("ID = %q, want the position", got.ID)
			}
		})
	}
}

func TestDecodeRequestWithoutValue(t *testing.T) {
	_, err := DecodeRequest(&Record{})
	wantRequestError(t, err, `value: is null; send a JSON object with contractId and balanceCodes`)
	_, err = DecodeRequest(&Record{Value: []byte{}})
	wantRequestError(t, err, `value: is empty; send a JSON object with contractId and balanceCodes`)
}

// Even a request that is refused has an id, so that its dead letter can be found.
func TestDecodeRequestID(t *testing.T) {
	ce := []string{"ce_specversion", "1.0", "ce_id", "event-1"}
	tests := map[string]struct {
		rec  *Record
		want string
	}{
		"behind a wrong member":     {record(`{"contractId":{"a":[1]},"balanceCodes":7,"requestId":"r-1"}`), "r-1"},
		"before broken JSON":        {record(`{"requestId":"r-1","contractId":`), "r-1"},
		"behind broken JSON":        {record(`{"contractId":?,"requestId":"r-1"}`), position.String()},
		"twice":                     {record(`{"requestId":"r-1","requestId":"r-2"}`), position.String()},
		"twice, with an event id":   {record(`{"requestId":"r-1","requestId":"r-2"}`, ce...), "event-1"},
		"twice, after a failure":    {record(`{"contractId":0,"requestId":"r-1","requestId":"r-2"}`), position.String()},
		"invalid":                   {record(`{"requestId":"a\u0000"}`), position.String()},
		"invalid, with an event id": {record(`{"requestId":""}`, ce...), "event-1"},
		"event id":                  {record(`{}`, ce...), "event-1"},
		"tombstone of an event": {&Record{Position: position, Headers: []Header{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("event-1")}}}, "event-1"},
		"too large": {record(pad(`{"requestId":"r-1"}`, MaxRequestSize+1)), position.String()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(test.rec)
			if err == nil {
				t.Error("no error")
			}
			if got.ID != test.want {
				t.Errorf("ID = %q, want %q", got.ID, test.want)
			}
		})
	}
}

// Decoders are pooled: requests that are read at the same time, and after failures, must not see each other's text, and
// no result may change when the record's buffer is used again.
func TestDecodeRequestConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 300 {
				id := fmt.Sprintf("r-%d-%d", w, i)
				rec := record(fmt.Sprintf(`{"contractId":"%d","balanceCodes":["C\u0041%d"],"requestId":"%s"}`, i+1, i, id))
				original := string(rec.Value)
				got, err := DecodeRequest(rec)
				if string(rec.Value) != original {
					t.Errorf("%s: the record's value was changed", id)
				}
				clear(rec.Value)
				want := Request{ID: id, ContractID: int64(i + 1), BalanceCodes: []string{fmt.Sprintf("CA%d", i)}}
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %+v, %v", id, got, err)
				}
				if _, err := DecodeRequest(record(`{"contractId":"1","balanceCodes":["A`)); err == nil {
					t.Error("no error")
				}
			}
		})
	}
	wg.Wait()
}

func wantRequestError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if err.Error() != want {
		t.Errorf("error\ngot  %s\nwant %s", err, want)
	}
	if _, ok := errors.AsType[*RequestError](err); !ok {
		t.Errorf("error is a %T, want a *RequestError", err)
	}
}

// nested returns an array in arrays, n deep.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// pad appends white space up to size.
func pad(text string, size int) string { return text + strings.Repeat(" ", size-len(text)) }

func repeatQuoted(list []string, n int) string {
	one := `"` + strings.Join(list, `","`) + `"`
	return strings.TrimSuffix(strings.Repeat(one+",", n), ",")
}
