package producer

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// random are bytes that no compression makes much smaller.
func random(tb interface{ Helper() }, n int, seed uint64) []byte {
	tb.Helper()
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = byte(seed >> 56)
	}
	return b
}

func drawRequest(t *rapid.T) *schemas.Record {
	part := func(name string) []byte {
		n := rapid.SampledFrom([]int{-1, 0, 1, 40, 900, 9000}).Draw(t, name)
		if n < 0 {
			return nil
		}
		if rapid.Bool().Draw(t, name+" repeats itself") {
			return bytes.Repeat([]byte(" "), n)
		}
		return random(t, n, uint64(n))
	}
	rec := &schemas.Record{Position: schemas.Position{Topic: "requests", Partition: 3, Offset: 7}, Key: part("key"),
		Value: part("value")}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		rec.Headers = append(rec.Headers, schemas.Header{Key: "h", Value: part("header")})
	}
	return rec
}

func sizeOf(m schemas.Message) int {
	rec := recordOf(&m)
	return kafkawire.RecordSize(&rec)
}

// What fits stays as it is; what does not is written with the smallest loss that makes it fit, in a number of tries
// that ends.
func TestReformLosesLeast(t *testing.T) {
	t.Parallel()
	outcomes := Outcomes{Results: "results", DeadLetters: "deadletters", Origin: schemas.Origin{Group: "g"}}
	rapid.Check(t, func(t *rapid.T) {
		rec := drawRequest(t)
		limit := rapid.IntRange(200, 40_000).Draw(t, "limit")
		d := &schemas.DeadLetter{Record: rec, Reason: schemas.ReasonInvalidRequest, Detail: "value: is no JSON",
			DecidedAt: time.Now()}
		e := outcomes.letter(&inflight.Request{Record: *rec}, d)
		whole := e.encodedSize()
		want, fits := firstFit(e, outcomes.Origin, limit)
		tries := 0
		for e.encodedSize() > limit {
			next, topic, ok := outcomes.reform(&e, "deadletters", e.encodedSize(), time.Now(), kafka.MessageSizeTooLarge)
			if !ok {
				if fits {
					t.Fatalf("given up, and %+v fits", want)
				}
				return
			}
			if topic != "deadletters" || next.encodedSize() >= e.encodedSize() {
				t.Fatalf("from %d to %d bytes in %s", e.encodedSize(), next.encodedSize(), topic)
			}
			e = next
			if tries++; tries > len(losses)+1 {
				t.Fatal("it does not end")
			}
		}
		if !fits || e.form.without.Parts != want.without.Parts || e.form.compressed != want.compressed {
			t.Fatalf("came out as %+v, want %+v (limit %d, whole %d)", e.form, want, limit, whole)
		}
		info := schemas.ReadDeadLetter(&schemas.Record{Headers: e.message.Headers})
		if want.without.Any() != (info.Omission != nil) || info.Omission != nil && info.Omission.Parts != want.without.Parts {
			t.Fatalf("the headers say %+v", info.Omission)
		}
		if !want.without.Value && !bytes.Equal(e.message.Value, rec.Value) || !want.without.Key &&
			!bytes.Equal(e.message.Key, rec.Key) {
			t.Fatal("what is left is not the request's")
		}
		if back := e.asIs(outcomes.Origin); back.encodedSize() != whole || back.size != sizeOf(back.message) {
			t.Fatalf("as it was it has %d bytes, not %d", back.encodedSize(), whole)
		}
	})
}

// firstFit tries all forms in their order.
func firstFit(e entry, origin schemas.Origin, limit int) (form, bool) {
	for i, parts := range losses {
		for _, compressed := range []bool{false, true} {
			if i > 0 && !compressed {
				continue
			}
			e.form = form{compressed: compressed, without: schemas.Without{Parts: parts}}
			e.remake(origin)
			if e.encodedSize() <= limit {
				return e.form, true
			}
		}
	}
	return form{}, false
}

// A result that fits nowhere is a dead letter of its request; one that only says so of a failure has a dead letter
// anyhow.
func TestReformOfAResult(t *testing.T) {
	t.Parallel()
	outcomes := Outcomes{Results: "results", DeadLetters: "deadletters"}
	req := &inflight.Request{Attempts: 1, Request: schemas.Request{ID: "r-1"},
		Record: schemas.Record{Position: schemas.Position{Topic: "requests", Partition: 3, Offset: 7},
			Key: bytes.Repeat([]byte("k"), 5000)}}
	refuse := func(e entry, topic string) (entry, string, bool) {
		return outcomes.reform(&e, topic, e.encodedSize(), time.Now(), fmt.Errorf("writing: %w", kafka.MessageSizeTooLarge))
	}
	e := outcomes.result(req, &schemas.Result{RequestID: "r-1", ContractID: 1, Outcome: schemas.OutcomeComplete}, false)
	e, topic, ok := refuse(e, "results")
	if !ok || topic != "results" || !e.form.compressed {
		t.Fatalf("first in %s as %+v (%t)", topic, e.form, ok)
	}
	e, topic, ok = refuse(e, "results")
	info := schemas.ReadDeadLetter(&schemas.Record{Headers: e.message.Headers})
	if !ok || topic != "deadletters" || info.Reason != schemas.ReasonResultTooLarge ||
		info.Source != req.Record.Position ||
		info.RequestID != "r-1" || info.Omission != nil || !bytes.Equal(e.message.Key, req.Record.Key) {
		t.Errorf("then in %s: %+v", topic, info)
	}
	e = outcomes.result(req, &schemas.Result{Outcome: schemas.OutcomeFailed, Reason: schemas.ReasonExpired,
		Source: req.Record.Position}, false)
	e.form.plain = true
	if _, topic, ok := refuse(e, "results"); topic != "" || !ok {
		t.Errorf("a failure goes to %q (%t)", topic, ok)
	}
}

// Results are framed in each form and each delivery, and nothing else is.
func TestFramedOutcomes(t *testing.T) {
	t.Parallel()
	const frame = "\x00\x00\x00\x00\x2a{"
	outcomes := Outcomes{Results: "results", DeadLetters: "deadletters", Replies: []string{"replies"}, SchemaID: 42}
	req := &inflight.Request{Record: schemas.Record{Value: []byte("\x00\x00\x00\x00\x07{}")}}
	out := schemas.Outcome{Result: &schemas.Result{}, DeadLetter: &schemas.DeadLetter{Record: &req.Record},
		Reply: &schemas.Reply{Topic: "replies"}}
	for _, m := range outcomes.address(req, out) {
		again := m.entry.asIs(outcomes.Origin)
		for _, value := range [][]byte{m.entry.message.Value, again.message.Value} {
			if framed := bytes.HasPrefix(value, []byte(frame)); framed != (m.topic != "deadletters") ||
				!framed && !bytes.Equal(value, req.Record.Value) {
				t.Errorf("in %s: %q", m.topic, value)
			}
		}
	}
}

// Which form a refusal leads to, where it is not about size.
func TestReformByCode(t *testing.T) {
	t.Parallel()
	outcomes := Outcomes{Results: "results", DeadLetters: "deadletters"}
	at := schemas.Position{Topic: "requests", Partition: 3, Offset: 7}
	req := &inflight.Request{Record: schemas.Record{Position: at, Value: []byte("x")}}
	own := time.Now().Add(-time.Hour)
	letter := func() entry {
		return outcomes.letter(req, &schemas.DeadLetter{Record: &req.Record, Reason: schemas.ReasonExpired, DecidedAt: own})
	}
	step := func(e *entry, err error, encoded time.Time) bool {
		next, topic, ok := outcomes.reform(e, "deadletters", e.encodedSize(), encoded, err)
		if ok {
			*e = next
		}
		return ok && topic == "deadletters"
	}
	e := letter()
	if !step(&e, kafka.InvalidRecord, own) || string(e.message.Key) != at.String() || step(&e, kafka.InvalidRecord, own) {
		t.Errorf("without a key it becomes %+v", e.message)
	}
	back := schemas.ReplayMessage(&schemas.Record{Key: e.message.Key, Headers: e.message.Headers, Value: e.message.Value},
		"run", schemas.Trace{})
	if back.Key != nil || string(back.Value) != "x" {
		t.Errorf("replayed it is %+v", back)
	}
	if !step(&e, kafka.InvalidTimestamp, own) || !e.message.Time.IsZero() { // the batch is old: the time of now
		t.Errorf("the time is %v", e.message.Time)
	}
	if !step(&e, kafka.InvalidTimestamp, own) || !e.message.Time.IsZero() { // again an hour later
		t.Errorf("the time is %v", e.message.Time)
	}
	if !step(&e, kafka.InvalidTimestamp, time.Now()) || e.message.Time.UnixMilli() != -1 { // this machine's clock is wrong
		t.Errorf("the time is %v", e.message.Time)
	}
	if step(&e, kafka.InvalidTimestamp, time.Now()) || string(e.message.Key) != at.String() {
		t.Error("a time is found again")
	}
	e = letter()
	if !step(&e, kafka.MessageSizeTooLarge, own) || !e.form.compressed {
		t.Errorf("%+v", e.form)
	}
	for step(&e, kafka.UnsupportedCompressionType, own) {
		if e.form.compressed {
			t.Fatal("compressed all the same")
		}
	}
	for _, a := range kafkawire.Answers { // nothing else changes a message
		e := letter()
		got := step(&e, a.Code, own)
		want := kafkawire.TooLarge(a.Code) || errors.Is(a.Code, kafka.InvalidTimestamp) ||
			errors.Is(a.Code, kafka.InvalidRecord)
		if got != want {
			t.Errorf("%s changes the message: %t", a.Name, got)
		}
	}
}

// A result that people have made room for is tried with the key and the time that it had at first.
func TestAResultAsItWas(t *testing.T) {
	t.Parallel()
	o := Outcomes{Results: "results"}
	req := &inflight.Request{Record: schemas.Record{Position: schemas.Position{Topic: "requests", Offset: 7}}}
	at := time.UnixMilli(1_769_860_798_250)
	first := o.result(req, &schemas.Result{RequestID: "r-1", Outcome: schemas.OutcomeFailed, Reason: schemas.ReasonExpired,
		RetrievedAt: at, Source: req.Record.Position}, true)
	e := first
	for _, refusal := range []error{kafka.InvalidTimestamp, kafka.InvalidRecord, kafka.MessageSizeTooLarge} {
		var ok bool
		if e, _, ok = o.reform(&e, "results", e.encodedSize()+100, time.Now(), refusal); !ok {
			t.Fatalf("%v: no other form", refusal)
		}
	}
	if string(e.message.Key) != "requests/0/7" || e.message.Time.Equal(at) || !e.form.compressed {
		t.Fatalf("refused: key %q, time %v, %+v", e.message.Key, e.message.Time, e.form)
	}
	e = e.asIs(o.Origin)
	if e.message.Key != nil || !e.message.Time.Equal(at) || e.form != (form{}) || e.size != first.size {
		t.Errorf("as it was: key %q, time %v, %+v, %d bytes of %d", e.message.Key, e.message.Time, e.form, e.size, first.size)
	}
}
