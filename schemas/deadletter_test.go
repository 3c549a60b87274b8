package schemas

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var (
	failedAt = time.Date(2026, 1, 31, 11, 59, 58, 250e6, time.UTC)
	origin   = Origin{Group: "balanceq", Instance: "balanceq-0", Version: "1.0.0"}
)

func TestDeadLetterExamples(t *testing.T) {
	schema := compileSchema(t, "balance-deadletter-headers")
	files := examples(t, "deadletter-headers")
	tests := map[string]DeadLetter{
		"contract-not-found": {
			Record: record(plain), Reason: ReasonContractNotFound, RequestID: "r-2",
			Detail:     "HTTP 404 CONTRACT_DOES_NOT_EXIST from MASTERCARD PROCESSING: Contract with id 70404 not found",
			HTTPStatus: 404, CMSReasonCode: "CONTRACT_DOES_NOT_EXIST", Attempts: 1, FirstFailure: failedAt,
			LastFailure:   failedAt,
			CorrelationID: "0b54f1de-3f5a-4a5e-9d53-6c1f0d2b7a41", CMSCorrelationID: "0.c63e1202.1779961183.8c33327b",
			DecidedAt: failedAt,
		},
		"invalid-request": {
			Record: &Record{Position: Position{Topic: "balance.requests", Offset: 2}}, Reason: ReasonInvalidRequest,
			Detail: "contractId: is a boolean; send " + wantContractID, RequestID: "balance.requests/0/2", DecidedAt: failedAt,
		},
	}
	if len(files) != len(tests) {
		t.Errorf("%d examples, %d tested", len(files), len(tests))
	}
	for name, d := range tests {
		t.Run(name, func(t *testing.T) {
			if err := schema.validate(files[name]); err != nil {
				t.Error(err)
			}
			var want map[string]string
			if err := json.Unmarshal(files[name], &want); err != nil {
				t.Fatal(err)
			}
			m := d.Message(origin)
			if got := headerMap(m.Headers); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if !m.Time.Equal(d.DecidedAt) {
				t.Errorf("time = %v", m.Time)
			}
		})
	}
}

func headerMap(headers []Header) map[string]string {
	m := make(map[string]string)
	for _, h := range headers {
		m[h.Key] = string(h.Value)
	}
	return m
}

// The original record stays as it is: null, empty and repeated headers, bytes that are not text, the order.
func TestDeadLetterKeepsRecord(t *testing.T) {
	original := []Header{
		{Key: "a", Value: nil}, {Key: "b", Value: []byte{}}, {Key: "a", Value: []byte{0, 0xff}},
		{Key: "", Value: []byte("x")},
		{Key: "ce_id", Value: []byte("4111111111111111")}, {Key: "balanceq-unknown", Value: []byte("kept")},
	}
	rec := &Record{Position: position, Key: nil, Value: []byte("\xff not JSON"), Headers: original}
	m := (&DeadLetter{Record: rec, Reason: ReasonInvalidRequest}).Message(Origin{})
	if m.Key != nil || !bytes.Equal(m.Value, rec.Value) {
		t.Errorf("key %q, value %q", m.Key, m.Value)
	}
	if got := m.Headers[:len(original)]; !reflect.DeepEqual(got, original) {
		t.Errorf("got  %q\nwant %q", got, original)
	}
	if len(rec.Headers) != len(original) {
		t.Error("the record's own headers changed")
	}
	empty := (&DeadLetter{Record: &Record{Key: []byte{}, Value: []byte{}}}).Message(Origin{})
	if empty.Key == nil || empty.Value == nil {
		t.Error("an empty key or value became null")
	}
}

// A dead letter that was replayed and failed again has the headers of the last failure only, but still its replay
// count.
func TestDeadLetterAgain(t *testing.T) {
	first := DeadLetter{
		Record: record(plain, "trace", "t-1", HeaderReplayCount, "2"), Reason: ReasonContractNotFound, Detail: "old",
		RequestID:  "old",
		HTTPStatus: 404, CMSReasonCode: "OLD", Attempts: 9, FirstFailure: failedAt, LastFailure: failedAt,
		CorrelationID:    "old",
		CMSCorrelationID: "old",
	}
	m := first.Message(origin)
	again := DeadLetter{
		Record: &Record{Position: Position{Topic: "balance.requests", Offset: 9999}, Value: m.Value, Headers: m.Headers},
		Reason: ReasonExpired,
	}
	got := showHeaders(again.Message(Origin{}).Headers)
	want := "trace=t-1 balanceq-replay-count=2 __dlq.errors.topic=balance.requests __dlq.errors.partition=0 " +
		"__dlq.errors.offset=9999 " +
		"__dlq.errors.delivery.count=1 __dlq.errors.message=expired balanceq-reason=expired balanceq-attempts=0"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHeaderText(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"plain":              {"the CMS has no contract 70404", "the CMS has no contract 70404"},
		"control characters": {"a\nb\x00c\x1b[31md\u0085e", "a b c [31md e"},
		"direction override": {"a\u202eb\u2028c", "a b c"},
		"invalid UTF-8":      {"a\xffb\xc3", "a\ufffdb\ufffd"},
		"card number":        {"contract 4111111111111111", "contract 411111******1111"},
		"long":               {strings.Repeat("x", MaxDetail+1), strings.Repeat("x", MaxDetail)},
		"cut at a rune":      {strings.Repeat("x", MaxDetail-1) + "é", strings.Repeat("x", MaxDetail-1)},
		"card over the cut": {strings.Repeat("x", MaxDetail-12) + "4111111111111111", strings.Repeat("x", MaxDetail-12) +
			"411111******"},
		"emoji":               {"ok 😀", "ok 😀"},
		"no-break space kept": {"1\u00a0000", "1\u00a0000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := headerText(test.in); got != test.want {
				t.Errorf("headerText(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

// A count or an offset that happens to look like a card number is still a number.
func TestDeadLetterKeepsNumbers(t *testing.T) {
	rec := &Record{Position: Position{Topic: "t", Offset: 4111111111111111}}
	info := ReadDeadLetter(&Record{Headers: (&DeadLetter{Record: rec}).Message(Origin{}).Headers})
	if info.Source != rec.Position {
		t.Errorf("source = %v, want %v", info.Source, rec.Position)
	}
}

func TestReadDeadLetterOfOthers(t *testing.T) {
	tests := map[string]struct {
		rec  *Record
		want DeadLetterInfo
	}{
		"no headers": {record("x"), DeadLetterInfo{}},
		"Kafka's names only": {record("x", HeaderErrorsTopic, "orders", HeaderErrorsPartition, "4", HeaderErrorsOffset, "17",
			HeaderErrorsGroup, "shares", HeaderErrorsDeliveryCount, "5", HeaderErrorsMessage, "rejected\nby the client"),
			DeadLetterInfo{Source: Position{Topic: "orders", Partition: 4, Offset: 17}, HasSource: true,
				Origin: Origin{Group: "shares"},
				Detail: "rejected by the client", Attempts: 5}},
		"unreadable": {record("x", HeaderErrorsTopic, "orders", HeaderErrorsPartition, "\x00\x00\x00\x04", HeaderErrorsOffset,
			"-1",
			HeaderErrorsDeliveryCount, "many", HeaderHTTPStatus, "9999999999", HeaderReplayCount, "x", HeaderFirstFailure,
			"yesterday",
			HeaderReason, "some-new-reason", HeaderDetail, "\xff"),
			DeadLetterInfo{Reason: "some-new-reason", Detail: "\ufffd"}},
		"null values": {&Record{Headers: []Header{{Key: HeaderErrorsTopic}, {Key: HeaderReason}, {Key: HeaderAttempts}}},
			DeadLetterInfo{}},
		"card number": {record("x", HeaderDetail, "4111111111111111"), DeadLetterInfo{Detail: "411111******1111"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ReadDeadLetter(test.rec); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// Whatever text comes in, the headers are valid against the schema, bounded, clean, and read back as what was meant.
func TestDeadLetterProperty(t *testing.T) {
	schema := compileSchema(t, "balance-deadletter-headers")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(0, 2000, -1), rapid.Custom(func(t *rapid.T) string {
			return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		}))
		failure := time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "ms")).UTC()
		d := DeadLetter{
			Record: &Record{
				Position: Position{Topic: "balance.requests", Partition: rapid.Int32Min(0).Draw(t, "partition"),
					Offset: rapid.Int64Min(0).Draw(t, "offset")},
				Value: []byte(text.Draw(t, "value")),
			},
			Reason: rapid.SampledFrom(Reasons).Draw(t, "reason"), Detail: text.Draw(t, "detail"),
			RequestID:  text.Draw(t, "request id"),
			HTTPStatus: rapid.SampledFrom([]int{0, 200, 404, 503}).Draw(t, "status"), CMSReasonCode: text.Draw(t, "CMS reason"),
			Attempts: rapid.IntRange(0, 1e9).Draw(t, "attempts"), FirstFailure: failure, LastFailure: failure,
			CorrelationID: text.Draw(t, "correlation id"), CMSCorrelationID: text.Draw(t, "CMS correlation id"),
			DecidedAt: failure,
		}
		from := Origin{Group: text.Draw(t, "group"), Instance: text.Draw(t, "instance"), Version: text.Draw(t, "version")}
		m := d.Message(from)
		for _, h := range m.Headers {
			clean := !bytes.ContainsFunc(h.Value, unicode.IsControl) && utf8.Valid(h.Value)
			if !clean || len(h.Value) == 0 || len(h.Value) > MaxDetail {
				t.Fatalf("%s = %q (%d bytes)", h.Key, h.Value, len(h.Value))
			}
		}
		doc, err := json.Marshal(headerMap(m.Headers))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.validate(doc); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		want := DeadLetterInfo{
			Source: d.Record.Position, HasSource: true,
			Origin: Origin{Group: headerText(from.Group), Instance: headerText(from.Instance),
				Version: headerText(from.Version)},
			Reason: d.Reason, Detail: headerText(d.Detail), RequestID: headerText(d.RequestID), HTTPStatus: d.HTTPStatus,
			CMSReasonCode: headerText(d.CMSReasonCode), Attempts: d.Attempts, FirstFailure: failure, LastFailure: failure,
			CorrelationID: headerText(d.CorrelationID), CMSCorrelationID: headerText(d.CMSCorrelationID),
		}
		got := ReadDeadLetter(&Record{Headers: m.Headers})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}
