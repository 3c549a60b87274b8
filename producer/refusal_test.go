package producer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// deliveries write one outcome after the other, in both ways, and return when all of them are in the log.
var deliveries = map[string]func(t *testing.T, brokers []string, o Outcomes, requests string, req []*inflight.Request,
	out []schemas.Outcome){
	"at-least-once": func(t *testing.T, brokers []string, o Outcomes, _ string, req []*inflight.Request,
		out []schemas.Outcome) {
		p, _ := start(t, brokers, Config{Topics: o.Topics(), Outcomes: o})
		o.Producer = p
		a := newAcks()
		for i := range req {
			if err := o.Write(deadline(t), a.with(req[i], fmt.Sprint(i)), out[i]); err != nil {
				t.Fatal(err)
			}
		}
		a.wait(t, len(req))
		a.once(t, len(req))
		awaitIdle(t, p)
	},
	"exactly-once": func(t *testing.T, brokers []string, o Outcomes, requests string, req []*inflight.Request,
		out []schemas.Outcome) {
		b := transactions(t, brokers, requests, o.Results, o.DeadLetters, "a", nil)
		for i := range req {
			req[i].Slot = &slot{offset: req[i].Record.Offset}
			if err := b.Write(deadline(t), req[i], out[i]); err != nil {
				t.Fatal(err)
			}
		}
		b.mustCommit(map[int32]int64{0: int64(len(req))}) // at once, without a failed one before it
		if n := len(b.obs.seen()); n > 2*len(losses) {
			t.Errorf("%d tries were refused", n)
		}
		if s := b.Status(); s.Failing != nil || s.Buffered != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	},
}

// Whatever a publisher can get in comes out, with the smallest loss, and what is behind it too; in both deliveries.
func TestWhateverComesInComesOut(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	small := []string{"max.message.bytes=5000"}
	for name, c := range map[string]struct {
		results, dead []string // configuration of the topics
		key, value    []byte
		result        bool // its outcome, rather than a dead letter
		check         func(t *testing.T, rec kafka.Message, info schemas.DeadLetterInfo)
	}{
		"a dead letter that fits compressed": {dead: small, value: bytes.Repeat([]byte(" "), 300_000),
			check: func(t *testing.T, rec kafka.Message, info schemas.DeadLetterInfo) {
				if len(rec.Value) != 300_000 || info.Omission != nil {
					t.Errorf("%d bytes of value, %+v", len(rec.Value), info.Omission)
				}
			}},
		"a dead letter that does not fit": {dead: small, key: []byte("k"), value: random(t, 9000, 1),
			check: func(t *testing.T, rec kafka.Message, info schemas.DeadLetterInfo) {
				o := info.Omission
				if rec.Value != nil || string(rec.Key) != "k" || o == nil || o.String() != "value" || o.ValueSize != 9000 ||
					len(o.ValueSHA256) != 64 || !strings.HasSuffix(info.Detail,
					"left out, as it is too large for the dead-letter topic: value") {
					t.Errorf("%d bytes of value, %+v, %q", len(rec.Value), o, info.Detail)
				}
			}},
		"a dead letter with a large key": {dead: small, key: random(t, 9000, 2), value: []byte("v"),
			check: func(t *testing.T, rec kafka.Message, info schemas.DeadLetterInfo) {
				if o := info.Omission; rec.Key != nil || string(rec.Value) != "v" || o == nil || o.String() != "key" ||
					o.KeySize != 9000 {
					t.Errorf("%d bytes of key, %+v", len(rec.Key), o)
				}
			}},
		"a result that does not fit": {results: small, key: random(t, 9000, 3), value: []byte("v"), result: true,
			check: func(t *testing.T, rec kafka.Message, info schemas.DeadLetterInfo) {
				if info.Reason != schemas.ReasonResultTooLarge || len(rec.Key) != 9000 || info.Omission != nil {
					t.Errorf("%+v", info)
				}
			}},
		"no key in a compacted topic": {dead: []string{"cleanup.policy=compact"}, value: []byte("v"),
			check: func(t *testing.T, rec kafka.Message, info schemas.DeadLetterInfo) {
				if rec.Key == nil && broker.Kind() != kafkatest.KindEmbedded { // which takes it without a key
					t.Error("it has no key")
				}
				if (rec.Key != nil) != info.KeyWasNull || rec.Key != nil && string(rec.Key) != info.Source.String() {
					t.Errorf("key %q, %+v", rec.Key, info)
				}
			}},
		"a time that is too old": {dead: []string{"message.timestamp.before.max.ms=600000"}, value: []byte("old"),
			key: []byte("k"),
			check: func(t *testing.T, rec kafka.Message, _ schemas.DeadLetterInfo) {
				if broker.Kind() != kafkatest.KindEmbedded && time.Since(rec.Time) > within {
					t.Errorf("written with the time %v", rec.Time)
				}
			}},
	} {
		for delivery, deliver := range deliveries {
			t.Run(name+", "+delivery, func(t *testing.T) {
				requests := broker.Topic(t, 1)
				o := Outcomes{Results: broker.Topic(t, 1, c.results...), DeadLetters: broker.Topic(t, 1, c.dead...)}
				var req []*inflight.Request
				var out []schemas.Outcome
				for i := range int64(4) { // the second one is it; the others are behind and before it
					rec := &schemas.Record{Position: schemas.Position{Topic: requests, Offset: i}, Key: []byte("k"),
						Value: fmt.Append(nil, i)}
					if i == 1 {
						rec.Key, rec.Value = c.key, c.value
					}
					req = append(req, &inflight.Request{Record: *rec, Request: schemas.Request{ID: fmt.Sprint(i)}})
					d := &schemas.DeadLetter{Record: rec, Reason: schemas.ReasonInvalidRequest, DecidedAt: time.Now()}
					if i == 1 && len(c.dead) > 0 && strings.Contains(c.dead[0], "timestamp") {
						d.DecidedAt = time.Now().Add(-time.Hour)
					}
					if c.result {
						r := &schemas.Result{RequestID: "r", ContractID: 1, Outcome: schemas.OutcomeComplete, RetrievedAt: time.Now(),
							Source: rec.Position}
						out = append(out, schemas.Outcome{Result: r})
						continue
					}
					out = append(out, schemas.Outcome{DeadLetter: d})
				}
				deliver(t, broker.Brokers(), o, requests, req, out)
				// The coordinator has the end of a transaction before its markers are in all logs.
				var letters []kafka.Message
				kafkatest.Eventually(t, within, "there are four outcomes", func() bool {
					letters = broker.ReadAll(t, o.DeadLetters)
					return len(letters)+len(broker.ReadAll(t, o.Results)) == 4
				})
				for _, rec := range letters {
					if info := readLetter(rec); info.Source.Offset == 1 {
						c.check(t, rec, info)
						return
					}
				}
				t.Error("there is no dead letter of it")
			})
		}
	}
}

func readLetter(rec kafka.Message) schemas.DeadLetterInfo {
	r := &schemas.Record{Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		r.Headers = append(r.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	return schemas.ReadDeadLetter(r)
}

// Every code that Produce can be answered with, once: the message is written, once, in the end; another partition does
// not wait for it; and what only people can cure is said with what to do.
func TestEveryAnswerToProduce(t *testing.T) {
	t.Parallel()
	for _, a := range kafkawire.Answers {
		if code := kerr.TypedErrorForCode(int16(a.Code)); a.Code != kafka.DuplicateSequenceNumber { // which is a success
			t.Run(a.Name, func(t *testing.T) {
				t.Parallel()
				cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "results", "deadletters"))
				refusal := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "deadletters", Partitions: []int32{0},
					Err: code, Count: 1})
				o := Outcomes{Results: "results", DeadLetters: "deadletters"}
				p, obs := start(t, cluster.ListenAddrs(), Config{Topics: o.Topics(), Outcomes: o})
				o.Producer = p
				held, others := newAcks(), newAcks()
				letter := func(partition int32, a *acks) {
					rec := &schemas.Record{Position: schemas.Position{Topic: "requests", Partition: partition}, Value: []byte("v")}
					out := schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: rec, Reason: schemas.ReasonExpired,
						DecidedAt: time.Now()}}
					if err := o.Write(deadline(t), a.with(&inflight.Request{Record: *rec}, "it"), out); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				letter(0, held)
				kafkatest.Eventually(t, within, "it is refused", func() bool { return len(obs.seen()) > 0 })
				if s := p.Status(); a.Remedy == kafkawire.Operator &&
					(s.Failing == nil || !strings.Contains(s.Failing.Error(), "deadletters/0") ||
						!strings.Contains(s.Failing.Error(), a.Fix)) {
					t.Errorf("the status says %v", s.Failing)
				}
				letter(1, others)
				others.wait(t, 1)
				if a.Remedy == kafkawire.Operator && held.tooEarly(began) {
					t.Error("it does not wait for people")
				}
				held.wait(t, 1)
				wantLog(t, cluster.ListenAddrs(), "deadletters", map[int32][]string{0: {"v"}, 1: {"v"}})
				awaitIdle(t, p)
				if n := refusal.Hits(); n != 1 {
					t.Errorf("refused %d times", n)
				}
			})
		}
	}
}
