package schemas

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestResultMessage(t *testing.T) {
	r := typicalResult
	m := r.Message([]byte("key"))
	wantHeaders := "ce_specversion=1.0 ce_id=balance.requests/3/4711 ce_source=balanceq/balance.requests " +
		"ce_type=balanceq.balance.result.v1 ce_time=2026-01-31T11:59:58.250Z " +
		"ce_dataschema=urn:balanceq:v1:balance-result content-type=application/json"
	if got := showHeaders(m.Headers); got != wantHeaders {
		t.Errorf("headers\ngot  %s\nwant %s", got, wantHeaders)
	}
	if string(m.Key) != "key" || !m.Time.Equal(r.RetrievedAt) || !bytes.Equal(m.Value, r.AppendJSON(nil)) {
		t.Errorf("key %q, time %v, value %s", m.Key, m.Time, m.Value)
	}
	if got := r.Message(nil).Key; string(got) != "70001" {
		t.Errorf("key of a request without key: %q", got)
	}
	if got := r.Message([]byte{}).Key; got == nil || len(got) != 0 {
		t.Errorf("an empty key became %q", got)
	}
	unreadable := Result{Outcome: OutcomeFailed, Reason: ReasonInvalidRequest}
	if got := unreadable.Message(nil).Key; got != nil {
		t.Errorf("key without a contract id: %q", got)
	}
	// The texts share a buffer: growing one must not reach into its neighbour.
	_ = append(m.Headers[1].Value, "XXXXXXXX"...)
	if got := showHeaders(m.Headers); got != wantHeaders {
		t.Errorf("headers after an append: %s", got)
	}
}

// What the events of results say of their schema is what the schema says of itself.
func TestResultDataSchema(t *testing.T) {
	text, err := Files.ReadFile("v1/balance-result.schema.json")
	if err != nil || !bytes.Contains(text, []byte(`"$id": "`+ResultDataSchema+`",`)) {
		t.Errorf("%s is not its $id (%v)", ResultDataSchema, err)
	}
}

func showHeaders(headers []Header) string {
	parts := make([]string, len(headers))
	for i, h := range headers {
		parts[i] = h.Key + "=" + string(h.Value)
	}
	return strings.Join(parts, " ")
}

func TestAppendJSONRepairsText(t *testing.T) {
	r := typicalResult
	r.RequestID = "a\"b\\c\n\u2028\xff\U0001f600"
	text := r.AppendJSON([]byte("before"))
	if !bytes.HasPrefix(text, []byte(`before{"requestId":"a\"b\\c\n`)) || !utf8.Valid(text) {
		t.Errorf("got %q", text)
	}
	got, err := DecodeResult(text[len("before"):])
	if err != nil {
		t.Fatal(err)
	}
	if want := "a\"b\\c\n\u2028\ufffd\U0001f600"; got.RequestID != want {
		t.Errorf("requestId = %q, want %q", got.RequestID, want)
	}
}

func TestDecodeResultRefuses(t *testing.T) {
	const good = `{"requestId":"r","contractId":"1","outcome":"complete","balances":[{"balanceCode":"A","balanceId":"7"}],` +
		`"missingBalanceCodes":[],"retrievedAt":"2026-01-31T11:59:58.250Z","correlationId":"c",` +
		`"source":{"topic":"t","partition":0,"offset":1}}`
	if _, err := DecodeResult([]byte(good)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ old, new, want string }{
		"no request id":       {`"requestId":"r",`, ``, `requestId: is missing`},
		"no contract id":      {`"contractId":"1",`, ``, `contractId: is missing`},
		"no correlation id":   {`"correlationId":"c",`, ``, `correlationId: is missing`},
		"no outcome":          {`"outcome":"complete",`, ``, `outcome: is missing`},
		"no balances":         {`"balances":[{"balanceCode":"A","balanceId":"7"}],`, ``, `balances: is missing`},
		"no source":           {`,"source":{"topic":"t","partition":0,"offset":1}`, ``, `source: is missing`},
		"number as id":        {`"contractId":"1"`, `"contractId":1`, `contractId: is a number, not a string`},
		"id 0":                {`"contractId":"1"`, `"contractId":"0"`, `contractId: is 0`},
		"unknown outcome":     {`complete`, `done`, `outcome: "done" is none of complete, partial, failed`},
		"reason of a success": {`"requestId"`, `"reason":"expired","requestId"`, `reason: belongs to failed results only`},
		"failure, no reason":  {`complete`, `failed`, `reason: is missing`},
		"object as balances":  {`[{"balanceCode":"A","balanceId":"7"}]`, `{}`, `balances: is an object, not an array`},
		"number as balance":   {`[{"balanceCode":"A","balanceId":"7"}]`, `[7]`, `balances[0]: is a number, not an object`},
		"no balance code":     {`"balanceCode":"A",`, ``, `balances[0].balanceCode: is missing`},
		"no balance id":       {`,"balanceId":"7"`, ``, `balances[0].balanceId: is missing`},
		"number as amount": {`"balanceId":"7"`, `"balanceId":"7","balanceValue":1.5`,
			`balances[0].balanceValue: is a number, not a string`},
		"null amount": {`"balanceId":"7"`, `"balanceId":"7","balanceValue":null`,
			`balances[0].balanceValue: is null, not a string`},
		"null missing code": {`"missingBalanceCodes":[]`, `"missingBalanceCodes":[null]`,
			`missingBalanceCodes[0]: is null, not a string`},
		"time without zone": {`.250Z`, `.250`, `retrievedAt: "2026-01-31T11:59:58.250" is not an RFC 3339 time with a zone`},
		"source, no offset": {`,"offset":1`, ``, `source: needs a topic, a partition and an offset`},
		"source, large": {`"partition":0`, `"partition":2147483648`,
			`source.partition: "2147483648" is not a non-negative integer of 32 bits`},
		"source, fraction": {`"offset":1`, `"offset":1.0`, `source.offset: "1.0" is not a non-negative integer of 64 bits`},
		"duplicate": {`"outcome"`, `"requestId":"r","outcome"`,
			`the value has the member "requestId" twice in one object; send it once`},
		"broken":   {`"offset":1}}`, `"offset":1}`, `the value is not complete JSON: it ends at byte 237`},
		"trailing": {`"offset":1}}`, `"offset":1}} 1`, `the value has more after the JSON value; send one JSON value`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatalf("%s is not part of the good result", test.old)
			}
			got, err := DecodeResult([]byte(strings.Replace(good, test.old, test.new, 1)))
			if err == nil || err.Error() != "decoding result: "+test.want {
				t.Errorf("error\ngot  %v\nwant decoding result: %s", err, test.want)
			}
			if !reflect.DeepEqual(got, Result{}) {
				t.Errorf("a result beside the error: %+v", got)
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		if _, err := DecodeResult(nil); err == nil {
			t.Error("no error")
		}
	})
}

// What AppendJSON writes, DecodeResult reads back, and the schema allows it.
func TestResultRoundTrip(t *testing.T) {
	schema := compileSchema(t, "balance-result")
	rapid.Check(t, func(t *rapid.T) {
		want := resultGenerator().Draw(t, "result")
		text := want.AppendJSON(nil)
		got, err := DecodeResult(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v\n%s", got, want, text)
		}
		if err := schema.validate(text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		m := want.Message(nil)
		if id, _ := (&Record{Headers: m.Headers}).Header(HeaderEventID); string(id) != want.Source.String() {
			t.Fatalf("ce_id = %q, want %q", id, want.Source)
		}
	})
}

// resultGenerator draws results as the processor makes them: with any text in the ids that others choose.
func resultGenerator() *rapid.Generator[Result] {
	code := rapid.StringN(1, MaxCodeLength, -1)
	id := rapid.StringMatching(`[1-9][0-9]{0,17}`)
	balance := rapid.Custom(func(t *rapid.T) Balance {
		return Balance{
			Code:     code.Draw(t, "code"),
			ID:       id.Draw(t, "balance id"),
			Currency: rapid.SampledFrom([]string{"", "EUR", "USD"}).Draw(t, "currency"),
			Value:    rapid.StringMatching(`(-?[0-9]{1,18}(\.[0-9]{1,4})?)?`).Draw(t, "value"),
		}
	})
	return rapid.Custom(func(t *rapid.T) Result {
		r := Result{
			RequestID:           rapid.StringN(1, MaxRequestID, -1).Draw(t, "request id"),
			ContractID:          rapid.Int64Range(MinContractID, MaxContractID).Draw(t, "contract id"),
			Outcome:             rapid.SampledFrom([]string{OutcomeComplete, OutcomePartial, OutcomeFailed}).Draw(t, "outcome"),
			Balances:            nilIfEmpty(rapid.SliceOfN(balance, 0, 5).Draw(t, "balances")),
			MissingBalanceCodes: nilIfEmpty(rapid.SliceOfN(code, 0, 5).Draw(t, "missing codes")),
			RetrievedAt:         time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "ms")).UTC(),
			CorrelationID:       rapid.StringN(1, 40, -1).Draw(t, "correlation id"),
			CMSCorrelationID:    rapid.String().Draw(t, "CMS correlation id"),
			Source: Position{
				Topic:     rapid.StringMatching(`[a-zA-Z0-9._-]{1,249}`).Draw(t, "topic"),
				Partition: rapid.Int32Min(0).Draw(t, "partition"),
				Offset:    rapid.Int64Min(0).Draw(t, "offset"),
			},
		}
		if r.Outcome == OutcomeFailed {
			r.Reason = rapid.SampledFrom(Reasons).Draw(t, "reason")
			if rapid.Bool().Draw(t, "unreadable") {
				r.ContractID, r.CorrelationID = 0, ""
			}
		}
		return r
	})
}

func nilIfEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func ExampleResult_AppendJSON() {
	r := Result{
		RequestID: "r-1", ContractID: 70001, Outcome: OutcomePartial,
		Balances:            []Balance{{Code: "AVAILABLE", ID: "89516416", Currency: "EUR", Value: "9811.31"}},
		MissingBalanceCodes: []string{"DUE"},
		RetrievedAt:         time.Date(2026, 1, 31, 11, 59, 58, 0, time.UTC),
		CorrelationID:       "5e0e9f0a",
		Source:              Position{Topic: "balance.requests", Partition: 3, Offset: 4711},
	}
	fmt.Printf("%s\n", r.AppendJSON(nil))
	// Output:
	// {"requestId":"r-1","contractId":"70001","outcome":"partial","balances":[{"balanceCode":"AVAILABLE","balanceId":"89516416","balanceCurrency":"EUR","balanceValue":"9811.31"}],"missingBalanceCodes":["DUE"],"retrievedAt":"2026-01-31T11:59:58.000Z","correlationId":"5e0e9f0a","source":{"topic":"balance.requests","partition":3,"offset":4711}}
}

// Two requests at the same position of different logs give different ids.
func TestEventIDNamesTheLog(t *testing.T) {
	at := Position{Topic: "balance.requests", Partition: 3, Offset: 4711}
	for log, want := range map[LogID]string{
		{}:                                  "balance.requests/3/4711",
		{LeaderEpoch: 4}:                    "balance.requests/3/4711",
		{TopicID: "Vd3hqZ0FTIqz9sVYbn1w7g"}: "balance.requests/3/4711@Vd3hqZ0FTIqz9sVYbn1w7g.0",
		{"Vd3hqZ0FTIqz9sVYbn1w7g", 12}:      "balance.requests/3/4711@Vd3hqZ0FTIqz9sVYbn1w7g.12",
	} {
		m := (&Result{Source: at, Log: log, Outcome: OutcomeComplete}).Message(nil)
		if got := headerValue(m, HeaderEventID); got != want {
			t.Errorf("%+v: ce_id %q, want %q", log, got, want)
		}
		d := DeadLetter{Record: &Record{Position: at, Log: log}, Reason: ReasonExpired}
		letter := d.Message(Origin{})
		id, epoch := headerValue(letter, HeaderSourceTopicID), headerValue(letter, HeaderSourceEpoch)
		if id != log.TopicID || (epoch != "") != (id != "") || epoch != "" && epoch != strconv.Itoa(int(log.LeaderEpoch)) {
			t.Errorf("%+v: dead letter of topic id %q, epoch %q", log, id, epoch)
		}
	}
}

func headerValue(m Message, name string) string {
	for _, h := range m.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// A message in a room that another one was in before is the same as one in memory of its own.
func TestMessageInARoomUsedAgain(t *testing.T) {
	room := new(Room)
	for i, r := range []*Result{
		{RequestID: strings.Repeat("é\n", 300), ContractID: 70001, Outcome: OutcomeComplete, SchemaID: 7,
			Source: Position{Topic: "requests", Partition: 3, Offset: 1 << 40}, RetrievedAt: time.UnixMilli(1),
			Echo: []Header{{Key: "a", Value: []byte("1")}, {Key: "b"}}},
		{RequestID: "r", ContractID: 7, Outcome: OutcomePartial, MissingBalanceCodes: []string{"AVAILABLE"},
			Trace: Trace{Parent: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), State: []byte("a=b")}},
		{RequestID: "s", Outcome: OutcomeFailed, Reason: ReasonExpired},
		{RequestID: "t", ContractID: 1, Outcome: OutcomeComplete, Balances: []Balance{{Code: "A", ID: "1"}}},
	} {
		for _, key := range [][]byte{nil, {}, []byte("key")} {
			if got, want := r.MessageIn(room, key), r.Message(key); !reflect.DeepEqual(got, want) {
				t.Errorf("result %d with key %q: %+v, want %+v", i, key, got, want)
			}
			if !room.Reset() {
				t.Errorf("result %d: the room is not kept", i)
			}
		}
	}
	(&Result{RequestID: strings.Repeat("x", 5000)}).MessageIn(room, nil)
	if room.Reset() {
		t.Error("a large room is kept")
	}
}
