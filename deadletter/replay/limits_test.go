package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// recreate replaces a topic by an empty one of the same name.
func (b *topics) recreate(c cluster, topic string, partitions int32, configs map[string]string) {
	b.Helper()
	if err := errors.Join(c.DeleteTopic(topic), c.CreateTopic(topic, partitions, configs)); err != nil {
		b.Fatal(err)
	}
	c.other.PurgeTopicsFromProducing(topic) // it knows topics by their ids
}

// A topic that takes only so much at once gets it in smaller transactions, be it that of the requests or the ledger's.
func TestReplayHalves(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"requests", "ledger"} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			b, c, letters := onCluster(t, 100)
			b.recreate(c, topic, int32(len(c.PartitionInfos(topic))), map[string]string{"max.message.bytes": "2000"})
			r := b.shortTimeouts("one")
			b.mustPut(r, letters, 100, 100)
			b.check(c, letters)
			if r.Replayed.Len() != 100 {
				t.Errorf("%d are known to be replayed", r.Replayed.Len())
			}
		})
	}
}

// A letter that is too large is named. What of its chunk stands before it was put back and is told; what stands behind
// was not.
func TestReplayTooLarge(t *testing.T) {
	t.Parallel()
	b, c, letters := onCluster(t, 40)
	b.recreate(c, "requests", 3, map[string]string{"max.message.bytes": "2000"})
	large := *letters[21].Record
	large.Value = bytes.Repeat([]byte("x"), 3000)
	chunk := slices.Clone(letters)
	chunk[21] = deadletter.Read(&large)
	r := b.shortTimeouts("one")
	replayed, err := r.Put(t.Context(), prepare(r, chunk))
	want := "dead letter " + large.String() + " does not fit: writing to requests/"
	if !kafkawire.TooLarge(err) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v", err)
	}
	if len(replayed) != 21 {
		t.Errorf("%d replayed", len(replayed))
	}
	b.check(c, letters[:21])
	for _, a := range replayed {
		if a.Request.Topic != "requests" {
			t.Errorf("%s stands at %v", a.Letter.Value, a.Request)
		}
	}
	// The same chunk without it goes on, in this run and in another.
	b.mustPut(r, letters[22:30], 100, 8)
	b.mustPut(b.shortTimeouts("two"), slices.Concat(letters[:21], letters[22:]), 100, 10)
	b.check(c, slices.Concat(letters[:21], letters[22:]))
}

// A request that stood in a partition which is no more, or does not say where it stood, goes where its key belongs.
func TestReplayWithoutItsPartition(t *testing.T) {
	t.Parallel()
	b, c, _ := onCluster(t, 0)
	var letters []*deadletter.Letter
	for i, source := range []string{"7", "", "2147483647", "x", "-1", "2"} {
		rec := &schemas.Record{Position: schemas.Position{Topic: "letters", Offset: int64(i)}, Key: []byte("key"),
			Value: []byte("v")}
		for _, h := range [][2]string{
			{schemas.HeaderErrorsTopic, "requests"}, {schemas.HeaderErrorsPartition, source}, {schemas.HeaderErrorsOffset, "1"},
		} {
			rec.Headers = append(rec.Headers, schemas.Header{Key: h[0], Value: []byte(h[1])})
		}
		letters = append(letters, deadletter.Read(rec))
	}
	letters[1].Headers = nil
	letters[4].Key = nil
	r := b.shortTimeouts("one")
	ctx, cancel := context.WithTimeout(t.Context(), transactionTimeout/2)
	defer cancel()
	replayed, err := r.Put(ctx, prepare(r, letters))
	if err != nil || len(replayed) != len(letters) {
		t.Fatalf("%d replayed, error %v", len(replayed), err)
	}
	home := int32(kafkawire.KeyPartition([]byte("key"), 0, 1, 2))
	for i, want := range []int32{home, home, home, home, int32(kafkawire.KeyPartition(nil, 0, 1, 2)), 2} {
		if got := replayed[i].Request.Partition; got != want {
			t.Errorf("letter %d went to partition %d, want %d", i, got, want)
		}
	}
	if n := len(c.ReadAll(t, "requests")); n != len(letters) {
		t.Errorf("%d replayed", n)
	}
}

// Of a ledger with several partitions only the first one counts.
func TestReplayLedgerPartitions(t *testing.T) {
	t.Parallel()
	b, c, letters := onCluster(t, 20)
	b.recreate(c, "ledger", 3, nil)
	entry := kafka.Message{Value: []byte("broken"),
		Headers: []kafka.Header{{Key: schemas.HeaderReplayRun, Value: []byte("x")}}}
	c.ProduceTo(t, "ledger", 1, entry)
	c.ProduceTo(t, "ledger", 2, entry)
	b.mustPut(b.shortTimeouts("one"), letters, 6, 20)
	b.mustPut(b.shortTimeouts("two"), letters, 6, 0)
	b.check(c, letters)
	if got := c.PartitionInfos("ledger"); got[1].HighWatermark != 1 || got[2].HighWatermark != 1 {
		t.Errorf("the ledger has %+v and %+v", got[1], got[2])
	}
}

// A dead-letter topic that is made again has new dead letters, at the positions of old ones.
func TestReplayOfARecreatedTopic(t *testing.T) {
	t.Parallel()
	b, c, letters := onCluster(t, 12)
	b.mustPut(b.shortTimeouts("one"), letters, 12, 12)
	b.recreate(c, "letters", 3, nil)
	again := b.fill(c, 12)
	if !slices.ContainsFunc(again, func(l *deadletter.Letter) bool { return l.Position == letters[0].Position }) {
		t.Fatal("they stand elsewhere: the test proves nothing")
	}
	r := b.shortTimeouts("two")
	if r.Replayed.Len() != 0 {
		t.Errorf("%d count as replayed", r.Replayed.Len())
	}
	b.mustPut(r, again, 12, 12)
	b.mustPut(b.shortTimeouts("three"), again, 12, 0)
	if n := len(c.ReadAll(t, "requests")); n != 24 {
		t.Errorf("%d replayed", n)
	}
}

// A caller that gives up in the middle does not wait long, and leaves nothing half done.
func TestReplayCancelled(t *testing.T) {
	t.Parallel()
	b, c, letters := onCluster(t, 30)
	r := b.shortTimeouts("one")
	b.mustPut(r, letters[:10], 10, 10)
	// Within a transaction: it is brought to its end.
	ctx, cancel := context.WithCancel(t.Context())
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) { cancel(); return nil, nil, false })
	if replayed, err := r.Put(ctx, prepare(r, letters[10:20])); err != nil || len(replayed) != 10 || ctx.Err() == nil {
		t.Errorf("%d replayed, error %v", len(replayed), err)
	}
	b.check(c, letters[:20])
	// While Kafka fails: nothing was replayed.
	ctx, cancel = context.WithCancel(t.Context())
	var cuts atomic.Int32
	var up atomic.Bool
	c.cut(kmsg.AddPartitionsToTxn, func() bool {
		if cuts.Add(1) == 3 {
			cancel()
		}
		return !up.Load()
	})
	began := time.Now()
	replayed, err := r.Put(ctx, prepare(r, letters[20:]))
	if err == nil || len(replayed) > 0 || strings.Contains(err.Error(), "history") {
		t.Errorf("%d replayed, error %v", len(replayed), err)
	}
	if took := time.Since(began); took > transactionTimeout/2 {
		t.Errorf("it took %v", took)
	}
	up.Store(true)
	b.check(c, letters[:20])
	if _, err := b.run(ctx, "late"); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that is given up before it begins: %v", err)
	}
	b.mustPut(b.shortTimeouts("two"), letters, 10, 10)
	b.check(c, letters)
}

// A transaction that another program has left open in the ledger's topic hides what stands behind it. Then no run can
// know what has been replayed.
func TestReplayHiddenLedger(t *testing.T) {
	t.Parallel()
	b, c, letters := onCluster(t, 30)
	b.mustPut(b.shortTimeouts("one"), letters[:10], 10, 10)
	stranger, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.TransactionalID("stranger"),
		kgo.DefaultProduceTopic("ledger"))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	err = stranger.BeginTransaction()
	if err = errors.Join(err, stranger.ProduceSync(t.Context(), kgo.StringRecord("open")).FirstErr()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"two", "three"} {
		replayed, err := put(t.Context(), b.shortTimeouts(name), letters, 10)
		if !errors.Is(err, errHidden) || len(replayed) > 0 {
			t.Errorf("%d replayed, error %v", len(replayed), err)
		}
	}
	if err := stranger.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	// What is committed there is no entry, and does not keep anybody from going on.
	r := b.shortTimeouts("four")
	b.mustPut(r, letters, 5, 20)
	if r.ledger.Foreign != 1 {
		t.Errorf("%d strangers", r.ledger.Foreign)
	}
	b.check(c, letters)
}

// Somebody else writes to the ledger's topic while a run goes on: it reads on, and goes on.
func TestReplayLedgerGrows(t *testing.T) {
	t.Parallel()
	b, c, letters := onCluster(t, 30)
	r := b.shortTimeouts("one")
	for chunk := range slices.Chunk(letters, 10) {
		c.ProduceTo(t, "ledger", 0, kafka.Message{Value: []byte("a stranger's")})
		b.mustPut(r, chunk, 10, 10)
	}
	if r.ledger.Foreign != 3 {
		t.Errorf("%d strangers", r.ledger.Foreign)
	}
	b.check(c, letters)
}

// A run that fences another has the last transaction end once more, the same way, in all partitions.
func TestReplayRepeatsTheDecision(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{
		"CompleteCommit": "4 true", "PrepareCommit": "4 true", "CompleteAbort": "4 false", "PrepareAbort": "4 false",
		"Ongoing": "", "Empty": "",
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			b, c, letters := onCluster(t, 10)
			b.mustPut(b.shortTimeouts("one"), letters[:5], 5, 5)
			var added, ended atomic.Value
			ended.Store("")
			c.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				switch r := req.(type) {
				case *kmsg.DescribeTransactionsRequest:
					resp := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
					s := kmsg.NewDescribeTransactionsResponseTransactionState()
					s.TransactionalID, s.State = r.TransactionalIDs[0], state
					state = strings.Replace(state, "Prepare", "Complete", 1) // by the next time
					resp.TransactionStates = append(resp.TransactionStates, s)
					return resp, nil, true
				case *kmsg.AddPartitionsToTxnRequest:
					n := 0
					for i := range r.Topics {
						n += len(r.Topics[i].Partitions)
					}
					added.Store(n)
				case *kmsg.EndTxnRequest:
					ended.Store(fmt.Sprint(added.Load(), r.Commit))
				}
				return nil, nil, false
			})
			r := b.shortTimeouts("two")
			if got := ended.Load(); got != want {
				t.Errorf("ended %q, want %q", got, want)
			}
			b.mustPut(r, letters, 5, 5)
			b.check(c, letters)
		})
	}
}

// Another run begins while this one is within a transaction: the leader of a partition may say so in its own words.
func TestReplayOvertakenWithin(t *testing.T) {
	t.Parallel()
	for _, answer := range []*kerr.Error{kerr.InvalidTxnState, kerr.UnknownServerError, kerr.RequestTimedOut} {
		b, c, letters := onCluster(t, 10)
		r := b.shortTimeouts("one")
		rival := b.shortTimeouts("two") // r does not know yet
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: answer, Count: 1})
		if replayed, err := r.Put(t.Context(), prepare(r, letters)); !errors.Is(err, ErrFenced) || len(replayed) > 0 {
			t.Errorf("%s: %d replayed, error %v", answer.Message, len(replayed), err)
		}
		b.mustPut(rival, letters, 5, 10)
		b.check(c, letters)
	}
}
