package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What a dead letter is written without, its headers say, in a form that the schema allows; the rest is the record's.
func TestDeadLetterWithout(t *testing.T) {
	schema := compileSchema(t, "balance-deadletter-headers")
	rapid.Check(t, func(t *rapid.T) {
		rec := &Record{Position: position, Key: rapid.SliceOf(rapid.Byte()).Draw(t, "key"),
			Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
			Headers: []Header{{Key: "x", Value: []byte("1")}, {Key: HeaderReplayCount, Value: []byte("2")},
				{Key: HeaderReplaySource, Value: []byte("t/0/1")}}}
		w := Without{Parts: Parts{rapid.Bool().Draw(t, "without value"), rapid.Bool().Draw(t, "without headers"),
			rapid.Bool().Draw(t, "without key")}}
		d := DeadLetter{Record: rec, Reason: ReasonInvalidRequest,
			Detail: strings.Repeat("d", rapid.IntRange(0, 2000).Draw(t, "detail"))}
		m := d.MessageWithout(origin, w)
		letter := &Record{Position: position, Key: m.Key, Value: m.Value, Headers: m.Headers}
		info := ReadDeadLetter(letter)
		if (info.Omission != nil) != w.Any() || info.ReplayCount != 2 || replaySource(letter) != "t/0/1" {
			t.Fatalf("%+v says %+v", w, info)
		}
		if got, _ := letter.Header("x"); (got == nil) != w.Headers {
			t.Fatalf("without headers %t: %q", w.Headers, got)
		}
		if (m.Value == nil) != (w.Value || rec.Value == nil) || (m.Key == nil) != (w.Key || rec.Key == nil) {
			t.Fatalf("%+v: key %q, value %q", w, m.Key, m.Value)
		}
		if o := info.Omission; o != nil {
			if o.Parts != w.Parts || !strings.HasSuffix(info.Detail, w.leftOut()) {
				t.Fatalf("%+v, detail %q", o, info.Detail)
			}
			sum := sha256.Sum256(rec.Value)
			if w.Value && (o.ValueSize != int64(len(rec.Value)) || o.ValueSHA256 != hex.EncodeToString(sum[:])) {
				t.Fatalf("the value is %+v", o)
			}
		}
		text := map[string]string{}
		for _, h := range m.Headers {
			text[h.Key] = string(h.Value)
		}
		encoded, err := json.Marshal(text)
		if err == nil {
			err = schema.validate(encoded)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A record that was not read whole has a dead letter without its value and its headers, and that says so.
func TestDeadLetterOfAnOversizedRecord(t *testing.T) {
	rec := &Record{Position: position, Key: []byte("k"),
		Oversized: &Oversized{Why: "it has 9 headers", Size: 100, Headers: 9, Value: 50, SHA256: [32]byte{1}}}
	m := (&DeadLetter{Record: rec, Reason: ReasonInvalidRequest}).Message(origin)
	o := ReadDeadLetter(&Record{Headers: m.Headers}).Omission
	if o == nil || o.String() != "value,headers" || o.ValueSize != 50 || o.Headers != 9 ||
		!strings.HasPrefix(o.ValueSHA256, "0100") || string(m.Key) != "k" {
		t.Errorf("it says %+v, key %q", o, m.Key)
	}
}
