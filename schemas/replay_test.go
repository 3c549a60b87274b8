package schemas

import (
	"bytes"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// However often a record fails and is replayed, its key, value and headers come back byte for byte, its id stays the
// same, and what the rounds add does not pile up.
func TestReplayRoundTrips(t *testing.T) {
	value := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte()),
		rapid.Just([]byte(`{"contractId":1,"balanceCodes":["A"]}`)), rapid.Just([]byte(frame(7, plain))))
	rapid.Check(t, func(t *rapid.T) {
		rec := &Record{
			Position: Position{"requests", 3, 17}, Key: value.Draw(t, "key"), Value: value.Draw(t, "value"),
		}
		names := rapid.OneOf(rapid.SampledFrom([]string{"", "trace", "ce_id", "__dlq", "balanceq-other"}), rapid.String())
		for range rapid.IntRange(0, 5).Draw(t, "headers") {
			if name := names.Draw(t, "name"); !deadLetterHeaders[name] && !replayHeaders[name] {
				rec.Headers = append(rec.Headers, Header{name, value.Draw(t, "header")})
			}
		}
		original, _ := DecodeRequest(rec)
		now := rec
		for round := range rapid.IntRange(1, 4).Draw(t, "rounds") {
			d := DeadLetter{Record: now, Reason: ReasonExpired, RequestID: "other", Attempts: 1}
			m := d.Message(Origin{Group: "g"})
			letter := &Record{Position: Position{"letters", 1, int64(round)}, Key: m.Key, Value: m.Value, Headers: m.Headers}
			run := "run" + strconv.Itoa(round)
			m = ReplayMessage(letter, run, Trace{})
			own := m.Headers[len(m.Headers)-4:]
			want := []Header{
				{HeaderReplayCount, strconv.AppendInt(nil, int64(round)+1, 10)}, {HeaderReplayOf, []byte(letter.String())},
				{HeaderReplayRun, []byte(run)}, {HeaderReplaySource, []byte("requests/3/17")},
			}
			same := func(a, b Header) bool {
				return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
			}
			if !slices.EqualFunc(own, want, same) || !slices.EqualFunc(m.Headers[:len(m.Headers)-4], rec.Headers, same) {
				t.Fatalf("headers %v of %v", m.Headers, rec.Headers)
			}
			if !same(Header{"", m.Key}, Header{"", rec.Key}) || !same(Header{"", m.Value}, Header{"", rec.Value}) {
				t.Fatalf("%q=%q, want %q=%q", m.Key, m.Value, rec.Key, rec.Value)
			}
			now = &Record{Position: Position{"requests", 0, 1000 + int64(round)}, Key: m.Key, Value: m.Value, Headers: m.Headers}
			if again, _ := DecodeRequest(now); again.ID != original.ID {
				t.Fatalf("the id is %q, was %q", again.ID, original.ID)
			}
		}
	})
}

// A letter of another writer may say nothing of where it comes from.
func TestReplayWithoutSource(t *testing.T) {
	m := ReplayMessage(&Record{Position: Position{"letters", 0, 1}, Value: []byte("{}")}, "r", Trace{})
	if len(m.Headers) != 3 {
		t.Errorf("headers %v", m.Headers)
	}
	rec := &Record{Position: Position{"requests", 0, 5}, Value: []byte("{}"),
		Headers: []Header{{HeaderReplaySource, []byte("a\x1b[1m")}}}
	if r, _ := DecodeRequest(rec); r.ID != "requests/0/5" {
		t.Errorf("id %q", r.ID)
	}
}
