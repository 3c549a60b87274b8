package producer

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// Messages are made in memory that was others' before. Whatever brokers answer, and however often a batch is sent, each
// message is in the log with nothing of another one. With the race detector, memory that is given back is spoiled
// (internal/poison).
func TestNoMessageHasAnothersMemory(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 100
	var answers atomic.Int32
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(3, "results", "deadletters", "replies"), tap(func(key int16) bool {
		return key == int16(kmsg.Produce) && answers.Add(1)%5 == 0
	}))
	o := Outcomes{Results: "results", DeadLetters: "deadletters", Replies: []string{"replies"}, SchemaID: 9}
	o.Producer, _ = start(t, cluster.ListenAddrs(), Config{Topics: o.Topics(), Outcomes: o, BatchBytes: 4 << 10})
	for _, answer := range []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, // these are applied
		kerr.NotEnoughReplicas, kerr.CorruptMessage, kerr.InvalidTimestamp} {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "results", Err: answer, Count: 1})
	}
	acked := newAcks()
	want := make([]schemas.Message, writers*each)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				n := w*each + i
				req, out := numbered(n)
				framed := *out.Result
				framed.SchemaID, framed.Trace = o.SchemaID, req.Request.Trace
				want[n] = framed.Message(req.Record.Key)
				if err := o.Write(deadline(t), acked.with(req, strconv.Itoa(n)), out); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	acked.wait(t, writers*each+writers*each/10)
	got := messagesOf(t, cluster, "results", writers*each)
	for n, m := range want {
		m.Time = time.Time{} // one with a time that was refused has another one
		for _, is := range got[n] {
			if !reflect.DeepEqual(is, m) {
				t.Errorf("message %d is %q with key %q and headers %q, want %q", n, is.Value, is.Key, is.Headers, m.Value)
			}
		}
	}
	for n, copies := range messagesOf(t, cluster, "replies", writers*each/10) {
		for _, is := range copies {
			if !bytes.Equal(is.Value, want[n].Value) {
				t.Errorf("the copy of %d is %q", n, is.Value)
			}
		}
	}
}

// numbered makes a request and its result, some with a key, a trace, an echo or a copy.
func numbered(n int) (*inflight.Request, schemas.Outcome) {
	text := strconv.Itoa(n)
	req := &inflight.Request{Record: schemas.Record{Position: schemas.Position{Topic: "requests", Offset: int64(n)}}}
	result := &schemas.Result{RequestID: text, ContractID: int64(1_000_000 + n), Outcome: schemas.OutcomeComplete,
		Balances:    []schemas.Balance{{Code: "AVAILABLE", ID: text, Currency: "EUR", Value: text + ".01"}},
		RetrievedAt: time.UnixMilli(int64(1_700_000_000_000 + n)), Source: req.Record.Position,
		Log: schemas.LogID{TopicID: "of-" + text, LeaderEpoch: int32(n)}}
	out := schemas.Outcome{Result: result}
	if n%2 == 0 {
		req.Record.Key = []byte("key-" + text)
	}
	if n%3 == 0 {
		req.Request.Trace = schemas.Trace{Parent: fmt.Appendf(nil, "00-%032x-%016x-01", n+1, n+1)}
	}
	if n%5 == 0 {
		result.Echo = []schemas.Header{{Key: "reply-to", Value: []byte(text)}}
	}
	if n%10 == 0 {
		out.Reply = &schemas.Reply{Topic: "replies", Partition: int32(n / 10 % 3)}
	}
	if n%7 == 0 { // longer than others, so that the memory of one that was longer is used for a shorter one
		result.CorrelationID = string(bytes.Repeat([]byte(text), 200))
	}
	return req, out
}

// messagesOf reads a topic until it has seen so many messages, by the offset in their ce_id.
func messagesOf(t *testing.T, cluster *kfake.Cluster, topic string, n int) map[int][]schemas.Message {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all := map[int][]schemas.Message{}
	for len(all) < n {
		fetches := client.PollFetches(deadline(t))
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d: %v", len(all), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			m := schemas.Message{Key: r.Key, Value: r.Value}
			offset := -1
			for _, h := range r.Headers {
				m.Headers = append(m.Headers, schemas.Header{Key: h.Key, Value: h.Value})
				if h.Key == schemas.HeaderEventID {
					_, _ = fmt.Sscanf(string(h.Value), "requests/0/%d@", &offset)
				}
			}
			all[offset] = append(all[offset], m)
		})
	}
	return all
}
