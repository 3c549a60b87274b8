package producer

import (
	"bytes"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// A copy is the same message in the partition that its request names, and the request has its outcome with both.
func TestReplyIsACopy(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	o := Outcomes{Results: broker.Topic(t, 3), DeadLetters: broker.Topic(t, 3), Replies: []string{broker.Topic(t, 4)}}
	o.Producer, _ = start(t, broker.Brokers(), Config{Topics: o.Topics(), Outcomes: o})
	acked := newAcks()
	write := func(name string, out schemas.Outcome) {
		req := acked.with(&inflight.Request{Record: schemas.Record{Key: []byte("k")}}, name)
		if err := o.Write(deadline(t), req, out); err != nil {
			t.Fatal(err)
		}
	}
	write("here", schemas.Outcome{Result: &schemas.Result{RequestID: "here"}})
	write("there", schemas.Outcome{Result: &schemas.Result{RequestID: "there"},
		Reply: &schemas.Reply{Topic: o.Replies[0], Partition: 2}})
	acked.wait(t, 3)
	results, replies := logOf(t, broker.Brokers(), o.Results), logOf(t, broker.Brokers(), o.Replies[0])
	all := results[0]
	all = append(append(all, results[1]...), results[2]...)
	if len(all) != 2 || len(replies) != 1 || len(replies[2]) != 1 || replies[2][0] != all[1] {
		t.Errorf("results %v, replies %v", results, replies)
	}
}

// replying is a rig whose outcomes may have copies.
func replying(t *testing.T, brokers []string, requests string, o Outcomes) *rig {
	t.Helper()
	b := &rig{tb: t, brokers: brokers, group: groupOf(requests), requests: requests, outcomes: o, obs: &observer{}}
	cfg := TransactionConfig{ID: "balanceq." + b.group + ".0", Group: b.group, Topic: requests, BufferBytes: 1 << 20}
	var err error
	b.Transactions, err = NewTransactions(deadline(t), cfg, o, connect(t, brokers, o.Topics()...), zerolog.Nop(), b.obs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The copy is in the transaction that the result and the offset are in.
func TestReplyInATransaction(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	b := replying(t, broker.Brokers(), broker.Topic(t, 3),
		Outcomes{Results: broker.Topic(t, 3), DeadLetters: broker.Topic(t, 3), Replies: []string{broker.Topic(t, 4)}})
	req, out := b.result(1, 0)
	out.Reply = &schemas.Reply{Topic: b.outcomes.Replies[0], Partition: 3}
	if err := b.Write(deadline(t), req, out); err != nil {
		t.Fatal(err)
	}
	b.wantSeen(nil)
	b.mustCommit(map[int32]int64{1: 1})
	b.wantSeen([]string{req.Record.String(), req.Record.String()})
	replies := b.outcomes.Replies[0]
	ends, err := connect(t, b.brokers).ListOffsets(deadline(t), replies, []int32{0, 1, 2, 3}, kafkawire.Latest)
	if err != nil || ends[3] == 0 || ends[0]+ends[1]+ends[2] != 0 {
		t.Errorf("the copies' topic ends at %v (%v)", ends, err)
	}
}

// A copy that fits in no form is left out; its result is not touched, and no dead letter says so.
func TestReplyTooLarge(t *testing.T) {
	t.Parallel()
	req := &inflight.Request{Record: schemas.Record{Key: random(t, 3000, 1)}}
	o := Outcomes{Results: "results", DeadLetters: "deadletters", Replies: []string{"replies"}}
	e := o.result(req, &schemas.Result{Outcome: schemas.OutcomeComplete}, false).copied()
	size := e.encodedSize()
	next, topic, ok := o.reform(&e, "replies", size, time.Now(), kafka.MessageSizeTooLarge)
	if ok && topic == "replies" { // compressed, it might have fit
		next, topic, ok = o.reform(&next, "replies", next.encodedSize(), time.Now(), kafka.MessageSizeTooLarge)
	}
	if !ok || topic != "" {
		t.Errorf("it goes to %q (%t)", topic, ok)
	}
	if back := e.asIs(o.Origin); !back.reply || !bytes.Equal(back.message.Value, e.message.Value) {
		t.Error("tried again, it is another one")
	}
}

// The same against a broker, whichever way outcomes are delivered.
func TestReplyTooLargeIsDropped(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	dropped := make(chan bool, 8)
	outcomes := func() Outcomes {
		return Outcomes{Results: broker.Topic(t, 1), DeadLetters: broker.Topic(t, 1),
			Replies: []string{broker.Topic(t, 1, "max.message.bytes=2000")}, ReplyDropped: func() { dropped <- true }}
	}
	key := random(t, 4000, 1)
	out := schemas.Outcome{Result: &schemas.Result{Outcome: schemas.OutcomeComplete}}

	o := outcomes()
	out.Reply = &schemas.Reply{Topic: o.Replies[0], Partition: schemas.NoPartition}
	o.Producer, _ = start(t, broker.Brokers(), Config{Topics: o.Topics(), Outcomes: o})
	acked := newAcks()
	if err := o.Write(deadline(t), acked.with(&inflight.Request{Record: schemas.Record{Key: key}}, "x"), out); err != nil {
		t.Fatal(err)
	}
	acked.wait(t, 2)
	<-dropped
	if results := logOf(t, broker.Brokers(), o.Results)[0]; len(results) != 1 {
		t.Errorf("results %.200v", results)
	}
	for _, topic := range []string{o.Replies[0], o.DeadLetters} {
		wantLog(t, broker.Brokers(), topic, nil)
	}

	b := replying(t, broker.Brokers(), broker.Topic(t, 1), outcomes())
	req, out := b.result(0, 0)
	req.Record.Key, out.Reply = key, &schemas.Reply{Topic: b.outcomes.Replies[0], Partition: schemas.NoPartition}
	if err := b.Write(deadline(t), req, out); err != nil {
		t.Fatal(err)
	}
	b.mustCommit(map[int32]int64{0: 1})
	<-dropped
	b.wantSeen([]string{req.Record.String()})
}
