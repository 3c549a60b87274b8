package producer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

var transactionTopics = []kfake.Opt{kfake.SeedTopics(4, "requests", "results", "deadletters")}

// transactionRequests are those of a transaction, in order.
var transactionRequests = []kmsg.Key{
	kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn,
}

func onEmbedded(t *testing.T, cluster *kfake.Cluster, change func(*TransactionConfig)) *rig {
	t.Helper()
	b := transactions(t, cluster.ListenAddrs(), "requests", "results", "deadletters", "a", change)
	b.write(0, 0, 1) // the group exists from here on, and the coordinator knows the id
	b.mustCommit(map[int32]int64{0: 1})
	return b
}

// Every request of a transaction, answered in error: what passes is repeated and not noticed; after what does not,
// nothing is seen, and the next commit carries it, once.
func TestTransactionAnswersInError(t *testing.T) {
	t.Parallel()
	keys := []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn,
		kmsg.TxnOffsetCommit, kmsg.EndTxn}
	passing := []*kerr.Error{kerr.ConcurrentTransactions, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.CoordinatorLoadInProgress,
		kerr.RequestTimedOut, kerr.NotEnoughReplicas}
	failing := []*kerr.Error{kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.ProducerFenced,
		kerr.InvalidProducerIDMapping,
		kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.TransactionalIDAuthorizationFailed, kerr.UnknownServerError,
		kerr.OutOfOrderSequenceNumber}
	for _, key := range keys {
		t.Run(kmsg.NameForKey(int16(key)), func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
			b := onEmbedded(t, cluster, nil)
			names := []string{"requests/0/0"}
			for i, answer := range slices.Concat(passing, failing) {
				passes, from := i < len(passing), int64(len(names))
				want := map[int32]int64{0: from + 5}
				more := b.write(0, from, 5)
				b.committer.ready = key != kmsg.InitProducerID
				handle := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: answer, Count: 1})
				err := b.commit(want)
				if handle.Hits() != 1 || passes != (err == nil) {
					t.Fatalf("%s: committing: %v, with %d faults", answer.Message, err, handle.Hits())
				}
				if !passes {
					if got := b.outcomesSeen(true); len(got) != len(names) {
						t.Errorf("after %v is seen %v", err, got)
					}
					if s := b.Status(); s.Failing == nil || s.Buffered == 0 {
						t.Errorf("after %v the status is %+v", err, s)
					}
					b.mustCommit(want)
				}
				names = append(names, more...)
				b.wantSeen(names)
				if s := b.Status(); s.Failing != nil || s.Buffered != 0 || b.stored(0)[0] != want[0] {
					t.Errorf("%s: afterwards the status is %+v, %v are stored", answer.Message, s, b.stored(0))
				}
			}
		})
	}
}

// Every code there is, in answer to every request of a transaction, once each: in the end all is committed and seen,
// once.
func TestEveryAnswerInATransaction(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn,
		kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		t.Run(kmsg.NameForKey(int16(key)), func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
			b := onEmbedded(t, cluster, nil)
			names := []string{"requests/0/0"}
			for _, a := range kafkawire.Answers {
				if key == kmsg.Produce && a.Code == kafka.DuplicateSequenceNumber {
					continue // says that it is in the log
				}
				from := int64(len(names))
				names = append(names, b.write(0, from, 2)...)
				want := map[int32]int64{0: from + 2}
				b.committer.ready = key != kmsg.InitProducerID
				refusal := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.TypedErrorForCode(int16(a.Code)), Count: 1})
				kafkatest.Eventually(t, within, "it is committed after "+a.Name, func() bool {
					b.due()
					return b.commit(want) == nil && b.stored(0)[0] == want[0]
				})
				if refusal.Hits() != 1 {
					t.Errorf("%s was not answered: the test proves nothing", a.Name)
				}
				if s := b.Status(); s.Failing != nil || s.Buffered != 0 {
					t.Errorf("%s: afterwards the status is %+v", a.Name, s)
				}
			}
			b.wantSeen(names)
		})
	}
}

// One partition's offset is refused: ending the transaction would store the others without it.
func TestOneOffsetRefused(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, transactionTopics...)
	b := onEmbedded(t, cluster, nil)
	names := slices.Concat([]string{"requests/0/0"}, b.write(0, 1, 5), b.write(1, 0, 5), b.write(2, 0, 5))
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Topic: "requests", Partitions: []int32{1},
		Err: kerr.OffsetMetadataTooLarge})
	offsets := map[int32]int64{0: 6, 1: 5, 2: 5}
	if err := b.commit(offsets); err == nil || !strings.Contains(err.Error(), "partition 1") {
		t.Errorf("error %v", err)
	}
	if _, err := connect(t, b.brokers).CommittedOffsets(deadline(t), b.group, "requests", []int32{0, 1, 2}); err != nil {
		t.Errorf("it was not aborted at once: %v", err)
	}
	if got := b.stored(0, 1, 2); got[0] != 1 || got[1] != kafkawire.NoOffset || got[2] != kafkawire.NoOffset {
		t.Errorf("stored %v", got)
	}
	b.wantSeen(names[:1])
	b.mustCommit(offsets)
	b.wantSeen(names)
}

// An answer gets lost after its request was applied, at every step. The same request again is answered alike, and
// nothing is seen twice. As the first one might still arrive, the next transaction has an epoch of its own.
func TestLostAnswersOfTransactions(t *testing.T) {
	t.Parallel()
	for _, key := range transactionRequests {
		t.Run(kmsg.NameForKey(int16(key)), func(t *testing.T) {
			t.Parallel()
			var lose atomic.Int32
			cluster := kafkatest.Embedded(t, append(transactionTopics,
				tap(func(k int16) bool { return k == int16(key) && lose.Add(-1) >= 0 }))...)
			b := onEmbedded(t, cluster, nil)
			b.committer.ready = key != kmsg.InitProducerID
			before := b.committer.txn.Producer
			names := append([]string{"requests/0/0"}, b.write(0, 1, 20)...)
			lose.Store(2)
			b.mustCommit(map[int32]int64{0: 21})
			if lose.Load() >= 0 {
				t.Error("no answer was lost: the test proves nothing")
			}
			b.wantSeen(names)
			names = append(names, b.write(0, 21, 5)...)
			b.mustCommit(map[int32]int64{0: 26})
			if b.committer.txn.Producer == before {
				t.Errorf("the next transaction has the same epoch, %+v", before)
			}
			b.wantSeen(names)
		})
	}
}

// The end of a transaction is never answered. It may have been committed or not: the next commit finds out.
func TestUnknownEnd(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			t.Parallel()
			var silent atomic.Bool
			cluster := kafkatest.Embedded(t, append(transactionTopics,
				tap(func(k int16) bool { return k == int16(kmsg.EndTxn) && silent.Load() }))...)
			cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if silent.Load() && !applied {
					return nil, errors.New("cut"), true
				}
				return nil, nil, false
			})
			b := onEmbedded(t, cluster, func(c *TransactionConfig) { c.Timeout = 5 * time.Second })
			names := append([]string{"requests/0/0"}, b.write(0, 1, 20)...)
			later := b.write(0, 21, 4)
			silent.Store(true)
			if err := b.commit(map[int32]int64{0: 21}); err == nil {
				t.Fatal("committed, without an answer")
			}
			silent.Store(false)
			if !b.InDoubt(0) || b.InDoubt(1) {
				t.Errorf("in doubt: %t, and of a partition that it has nothing of: %t", b.InDoubt(0), b.InDoubt(1))
			}
			if applied {
				b.wantSeen(names)
			} else if got := b.outcomesSeen(true); len(got) != 1 {
				t.Errorf("seen %v", got)
			}
			b.mustCommit(map[int32]int64{0: 23})
			b.wantSeen(slices.Concat(names, later[:2]))
			if got := b.stored(0)[0]; got != 23 || b.InDoubt(0) {
				t.Errorf("stored offset %d, in doubt: %t", got, b.InDoubt(0))
			}
		})
	}
}

// The end of a transaction is not known. Its requests hear that it was committed even if the next one fails, and
// nothing is in doubt about a partition that is given back.
func TestDoubtEnds(t *testing.T) {
	t.Parallel()
	var silent atomic.Bool
	cluster := kafkatest.Embedded(t, append(transactionTopics,
		tap(func(k int16) bool { return k == int16(kmsg.EndTxn) && silent.Load() }))...)
	b := onEmbedded(t, cluster, func(c *TransactionConfig) { c.Timeout = 5 * time.Second })
	var slots [2]slot
	for p := range slots {
		req, out := b.result(int32(p), 1)
		slots[p].offset, req.Slot = 1, &slots[p]
		if err := b.Write(deadline(t), req, out); err != nil {
			t.Fatal(err)
		}
	}
	silent.Store(true)
	if err := b.commit(map[int32]int64{0: 2, 1: 2}); err == nil || !b.InDoubt(0) || !b.InDoubt(1) {
		t.Fatalf("without an answer: %v, in doubt: %t and %t", err, b.InDoubt(0), b.InDoubt(1))
	}
	silent.Store(false)
	slots[1].revoked.Store(true)
	if b.Revoked(); !b.InDoubt(0) || b.InDoubt(1) {
		t.Errorf("with one of them given back, in doubt: %t and %t", b.InDoubt(0), b.InDoubt(1))
	}
	b.write(0, 2, 1)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.InvalidCommitOffsetSize, Count: 1})
	if err := b.commit(map[int32]int64{0: 3}); err == nil || b.InDoubt(0) || slots[0].committed.Load() != 1 {
		t.Errorf("the next one: %v; in doubt: %t, told %d times", err, b.InDoubt(0), slots[0].committed.Load())
	}
}

// However many partitions, a transaction is one produce request to each leader and four requests besides; and none at
// all if nothing has moved.
func TestTransactionRequests(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(2))...)
	for p := range int32(4) {
		if err := cluster.MoveTopicPartition("results", p, p%2); err != nil {
			t.Fatal(err)
		}
	}
	b := onEmbedded(t, cluster, nil)
	var mu sync.Mutex
	seen := map[string]int{}
	for _, key := range transactionRequests {
		cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			seen[kmsg.NameForKey(req.Key())]++
			return nil, nil, false
		})
	}
	for p := range int32(4) {
		b.write(p, 1, 50)
	}
	offsets := map[int32]int64{0: 51, 1: 51, 2: 51, 3: 51}
	b.mustCommit(offsets)
	for range 3 {
		b.mustCommit(offsets) // nothing has moved
		b.mustCommit(nil)
	}
	want := map[string]int{"AddPartitionsToTxn": 1, "Produce": 2, "AddOffsetsToTxn": 1, "TxnOffsetCommit": 1, "EndTxn": 1}
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("requests %v, want %v", seen, want)
	}
}

// Offsets move without an outcome, over control records: that is a transaction too, and not an empty one.
func TestOffsetsAlone(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	b.mustCommit(map[int32]int64{1: 17})
	if got := b.stored(1)[1]; got != 17 {
		t.Errorf("stored offset %d", got)
	}
	if b.committer.ready == false {
		t.Error("it did not end well")
	}
}

// Connections break before a request is applied and after, brokers answer in error, the process is replaced: at the end
// a reader sees each outcome once, and after every restart what the stored offsets say and no more.
func TestTransactionsUnderFire(t *testing.T) {
	t.Parallel()
	var faulty atomic.Bool
	roll := func(percent int) bool { return faulty.Load() && rand.IntN(100) < percent }
	cluster := kafkatest.Embedded(t, append(transactionTopics, tap(func(int16) bool { return roll(3) }))...)
	cluster.ControlKey(-1, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if roll(3) {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	// There is room for all that is ever written: on a slow machine none of the commits may be through before it is cut
	// off.
	large := func(c *TransactionConfig) { c.BufferBytes = 32 << 20 }
	b := onEmbedded(t, cluster, large)
	names := []string{"requests/0/0"}
	stands := map[int32]int64{0: 1, 1: 0, 2: 0, 3: 0}
	errs := []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.UnknownServerError, kerr.NotEnoughReplicas,
		kerr.InvalidTxnState}
	keys := []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn}
	failures := 0
	for round := range 60 {
		faulty.Store(true)
		for p := range int32(4) {
			n := rand.Int64N(20)
			names = append(names, b.write(p, stands[p], n)...)
			stands[p] += n
		}
		if round%3 == 0 {
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{keys[rand.IntN(len(keys))]}, Err: errs[rand.IntN(len(errs))], Count: 1})
		}
		// it may be cut off anywhere
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(400))*time.Millisecond)
		if _, err := b.Commit(ctx, outsider(b.group), at(stands)); err != nil {
			failures++
		}
		cancel()
		faulty.Store(false)
		if round%10 == 9 { // killed and started again: it answers again what is above the stored offsets
			b = transactions(t, b.brokers, b.requests, b.outcomes.Results, b.outcomes.DeadLetters, "a", large)
			stored := b.stored(0, 1, 2, 3)
			b.wantSeen(below(names, stored))
			for p, offset := range stored {
				offset = max(offset, 0)
				if n := stands[p] - offset; n > 0 {
					b.write(p, offset, n)
				}
			}
		}
	}
	kafkatest.Eventually(t, within, "commits work again", func() bool { return b.commit(stands) == nil })
	b.wantSeen(names)
	if failures == 0 {
		t.Error("nothing failed: the test proves nothing")
	}
	t.Logf("%d of 60 commits failed", failures)
}

// below returns the records below the offsets.
func below(names []string, offsets map[int32]int64) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		var p int32
		var offset int64
		if _, err := fmt.Sscanf(name, "requests/%d/%d", &p, &offset); err != nil {
			panic(err)
		}
		return offset >= offsets[p]
	})
}

// An end that is not known, and an offset in the group that was committed for a topic of the same name that is no more:
// it is above all outcomes of the one at hand, and they are not in the log.
func TestUnknownEndAndAFormerTopic(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, transactionTopics...)
	b := onEmbedded(t, cluster, nil)
	names := append([]string{"requests/0/0"}, b.write(0, 1, 20)...)
	// The transaction fails, and before the next one begins the group has another's offset.
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Topic: "requests", Err: kerr.InvalidCommitOffsetSize,
		Count: 1})
	if err := b.commit(map[int32]int64{0: 21}); err == nil {
		t.Fatal("committed, in spite of the refusal")
	}
	former := map[int32]kafkawire.OffsetAndMetadata{0: {Offset: 500, Epoch: kafkawire.NoEpoch, Metadata: ofFormerTopic}}
	if err := b.committer.wire.CommitOffsets(t.Context(), outsider(b.group)(), b.requests, former); err != nil {
		t.Fatal(err)
	}
	kafkatest.Eventually(t, within, "it is committed",
		func() bool { return b.commit(map[int32]int64{0: 21}) == nil && b.stored(0)[0] == 21 })
	b.wantSeen(names)
}

// An end that is not known, and an offset in the group that was committed before the log of requests lost its end: what
// was written there since is below it, and has no outcome in the log. What was answered before the cut has.
func TestUnknownEndAndALostTail(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, transactionTopics...)
	b := onEmbedded(t, cluster, nil)
	names := append([]string{"requests/0/0"}, b.write(0, 1, 20)...)
	b.mustCommit(map[int32]int64{0: 21})
	// Of what lies before the cut, at 31, two are done again; a transaction that had them may be committed or not.
	again := b.write(0, 29, 2)
	names = append(names, b.writeUnder(2, 0, 31, 10)...)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Topic: "requests", Err: kerr.InvalidCommitOffsetSize,
		Count: 1})
	if err := b.commit(map[int32]int64{0: 41}); err == nil {
		t.Fatal("committed, in spite of the refusal")
	}
	before := map[int32]kafkawire.OffsetAndMetadata{0: {Offset: 50}}
	if err := b.committer.wire.CommitOffsets(t.Context(), outsider(b.group)(), b.requests, before); err != nil {
		t.Fatal(err)
	}
	kafkatest.Eventually(t, within, "it is committed",
		func() bool { return b.commit(map[int32]int64{0: 41}) == nil && b.stored(0)[0] == 41 })
	b.wantSeen(names)
	seen := strings.Join(b.outcomesSeen(true), " ") + " "
	for _, name := range again {
		if strings.Contains(seen, name+" ") {
			t.Errorf("%s is answered again", name)
		}
	}
}
