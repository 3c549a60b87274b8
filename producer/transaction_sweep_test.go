package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// steps answers what the coordinator is asked of the state of the transactional id with states, one after the other,
// and returns what is asked of it from then on, in order.
func steps(cluster *kfake.Cluster, states ...string) func() []string {
	var mu sync.Mutex
	var seen []string
	cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		switch r := req.(type) {
		case *kmsg.DescribeTransactionsRequest:
			resp := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
			state := kmsg.NewDescribeTransactionsResponseTransactionState()
			state.TransactionalID, state.State = r.TransactionalIDs[0], states[0]
			states = append(states[1:], states[0])
			resp.TransactionStates = append(resp.TransactionStates, state)
			return resp, nil, true
		case *kmsg.InitProducerIDRequest:
			seen = append(seen, "epoch")
		case *kmsg.AddOffsetsToTxnRequest:
			seen = append(seen, "offsets")
		case *kmsg.AddPartitionsToTxnRequest:
			n := 0
			for i := range r.Topics {
				n += len(r.Topics[i].Partitions)
			}
			seen = append(seen, fmt.Sprintf("%d partitions", n))
		case *kmsg.EndTxnRequest:
			seen = append(seen, map[bool]string{true: "commit", false: "abort"}[r.Commit])
		}
		return nil, nil, false
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// again is how a transaction is ended again, all partitions of both topics.
func again(end string) []string { return []string{"epoch", "offsets", "8 partitions", end} }

// A new epoch of an id whose last transaction has ended, as far as its coordinator knows, has it end once more, the
// same way, in all partitions. What the coordinator does not decide is not decided by us.
func TestSweepRepeatsTheDecision(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		states []string
		want   []string
	}{
		"committed":           {[]string{"CompleteCommit"}, again("commit")},
		"aborted":             {[]string{"CompleteAbort"}, again("abort")},
		"about to commit":     {[]string{"PrepareCommit", "PrepareCommit", "CompleteCommit"}, again("commit")},
		"about to be aborted": {[]string{"PrepareAbort", "CompleteAbort"}, again("abort")},
		"under way":           {[]string{"Ongoing"}, []string{"epoch"}},
		"without one":         {[]string{"Empty"}, []string{"epoch"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, transactionTopics...)
			b := onEmbedded(t, cluster, nil)
			asked := steps(cluster, test.states...)
			b.again("a")
			if got := asked(); !slices.Equal(got, test.want) {
				t.Errorf("asked %v, want %v", got, test.want)
			}
		})
	}
}

// A transaction begins after we have asked how the last one ended, and before we have the id: a new epoch aborts it, so
// the endAgain must not commit. Where only the answer to InitProducerId was lost, what was said before stands.
func TestSweepKnowsWhatBeganMeanwhile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		states []string
		answer error // to the first InitProducerId
		want   []string
	}{
		"it is being aborted": {[]string{"CompleteCommit", "PrepareAbort", "CompleteAbort"}, kerr.ConcurrentTransactions,
			again("abort")},
		"it was aborted": {[]string{"CompleteCommit", "CompleteAbort"}, kerr.ConcurrentTransactions,
			again("abort")},
		"the answer was lost": {[]string{"CompleteCommit", "Empty"}, errors.New("cut"), again("commit")},
		"the brokers were busy": {[]string{"CompleteCommit", "CompleteCommit"}, kerr.CoordinatorNotAvailable,
			again("commit")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, transactionTopics...)
			b := onEmbedded(t, cluster, nil)
			asked := steps(cluster, test.states...)
			cluster.ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) { // once
				var code *kerr.Error
				if !errors.As(test.answer, &code) {
					return nil, test.answer, true
				}
				resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
				resp.ErrorCode = code.Code
				return resp, nil, true
			})
			b.again("a")
			if got := asked(); !slices.Equal(got, test.want) {
				t.Errorf("asked %v, want %v after the first", got, test.want)
			}
		})
	}
}

// Kafka answers InitProducerId with an open transaction first of all that it is being aborted: BeginEpoch relies on
// that.
func TestInitProducerSaysWhatItAborts(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	b.write(0, 0, 5)
	if err := b.underWay(map[int32]int64{0: 5}); err != nil {
		t.Fatal(err)
	}
	_, err := b.committer.wire.InitTransactional(deadline(t), b.committer.cfg.ID, b.committer.cfg.Timeout)
	if kafkatest.Shared(t).Kind() == kafkatest.KindContainer && !kafkawire.ConcurrentTransactions(err) {
		t.Errorf("InitProducerId is answered %v", err)
	}
	b.committer.ready = false
	b.mustCommit(map[int32]int64{0: 5})
}

// A partition that the brokers refuse keeps a sweep from nothing else; with all of them refused it fails.
func TestSweepWithoutWhatIsRefused(t *testing.T) {
	t.Parallel()
	for _, answer := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
			b := onEmbedded(t, cluster, nil)
			refusal := kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: "deadletters",
				Partitions: []int32{0, 1, 2, 3}, Err: answer, Count: -1}
			cluster.Fault(refusal)
			names := append([]string{"requests/0/0"}, b.write(0, 1, 5)...)
			asked := steps(cluster, "CompleteCommit")
			err := b.committer.initProducer(deadline(t))
			got := asked()
			if want := []string{"4 partitions", "commit"}; err != nil || !slices.Equal(got[len(got)-2:], want) {
				t.Fatalf("%v; asked %v, want %v in the end", err, got, want)
			}
			b.mustCommit(map[int32]int64{0: 6})
			b.wantSeen(names)
			refusal.Topic = "results"
			cluster.Fault(refusal)
			// not cut off while it waits for an answer
			kafkatest.Eventually(t, within, "with all of them refused it fails", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 2*transientTimeout)
				defer cancel()
				err := b.committer.initProducer(ctx)
				return errors.Is(err, kafka.Error(answer.Code))
			})
		})
	}
}

// Where the brokers left nothing open, a sweep changes nothing that a reader could see.
func TestSweepIsNotSeen(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	var names []string
	for n := range int64(3) {
		names = append(names, b.write(0, n, 1)...)
		b.mustCommit(map[int32]int64{0: n + 1})
		b = b.again("a")
	}
	names = append(names, b.write(0, 3, 1)...)
	for _, aborted := range []bool{false, true, true} {
		if err := b.committer.initProducer(deadline(t)); err != nil {
			t.Fatal(err)
		}
		if aborted {
			if err := b.underWay(map[int32]int64{0: 4}); err != nil {
				t.Fatal(err)
			}
			b.committer.abort(deadline(t))
		}
	}
	b.committer.ready = false
	b.mustCommit(map[int32]int64{0: 4})
	b.wantSeen(names)
	if got := b.stored(0)[0]; got != 4 {
		t.Errorf("stored offset %d", got)
	}
}

// The brokers have left open what they call committed, and what is to end it fails, at each of its steps. It is never
// aborted: the next try ends its own transaction as it would have, and then all of it again.
func TestSweepFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		step  kmsg.Key
		state string // after that
	}{
		"before it has begun": {kmsg.AddOffsetsToTxn, "Empty"},
		"under way":           {kmsg.AddPartitionsToTxn, "CompleteCommit"},
		"at its end":          {kmsg.EndTxn, "CompleteCommit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
			b := onEmbedded(t, cluster, nil)
			asked := steps(cluster, "CompleteCommit", test.state)
			refusal := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{test.step}, Err: kerr.CoordinatorNotAvailable, Count: -1})
			// not cut off before it has come that far
			kafkatest.Eventually(t, within, "it is refused", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 2*transientTimeout)
				defer cancel()
				if err := b.committer.initProducer(ctx); err == nil {
					t.Fatal("it did not fail")
				}
				return refusal.Hits() > 0
			})
			before := len(asked())
			refusal.Remove()
			if err := b.committer.initProducer(deadline(t)); err != nil {
				t.Fatal(err)
			}
			if got, want := asked()[before:], append([]string{"commit"}, again("commit")...); !slices.Equal(got, want) {
				t.Errorf("asked %v, want %v", got, want)
			}
		})
	}
}

// Between the end of a transaction and the next, something happens after which the brokers may have left the former
// open. Then nothing is written before it has ended again, and what has begun is not aborted.
func TestNextTransactionWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	const nothing, cut, moved, away = "nothing", "the first request is lost", "another leader", "no leader"
	for _, what := range []string{nothing, cut, moved, away} {
		for _, alone := range []bool{false, true} { // offsets, without an outcome
			t.Run(fmt.Sprintf("%s, offsets alone %t", what, alone), func(t *testing.T) {
				t.Parallel()
				cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(2))...)
				b := onEmbedded(t, cluster, func(c *TransactionConfig) { c.Timeout = 3 * time.Second })
				names := []string{"requests/0/0"}
				want := []string{"offsets", "commit"}
				if !alone {
					names = append(names, b.write(0, 1, 1)...)
					want = slices.Insert(want, 0, "1 partitions")
				}
				if what != nothing {
					want = slices.Concat(want[:len(want)-1], []string{"commit"}, again("commit"), want)
				}
				asked := steps(cluster, "CompleteCommit")
				switch what {
				case cut:
					lose := func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("cut"), true } // once
					first := kmsg.AddPartitionsToTxn
					if alone {
						first = kmsg.AddOffsetsToTxn
					}
					cluster.ControlKey(int16(first), lose)
				case moved:
					for p := range int32(4) {
						to := (cluster.LeaderFor("results", p) + 1) % 2
						if err := cluster.MoveTopicPartition("results", p, to); err != nil {
							t.Fatal(err)
						}
					}
				case away:
					leader := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "results",
						Err: kerr.LeaderNotAvailable, Count: -1})
					err := b.commit(map[int32]int64{0: 6})
					if !errors.Is(err, kafka.LeaderNotAvailable) || slices.Contains(asked(), "8 partitions") {
						t.Fatalf("without a leader: %v; asked %v", err, asked())
					}
					leader.Remove()
					want = slices.Insert(want, slices.Index(want, "epoch"), "epoch", "commit") // once more
				}
				b.mustCommit(map[int32]int64{0: 6})
				if got := asked(); !slices.Equal(got, want) {
					t.Errorf("asked %v, want %v", got, want)
				}
				if len(b.obs.seen()) > 0 {
					t.Errorf("told %v", b.obs.seen())
				}
				b.wantSeen(names)
			})
		}
	}
}

// A partition that has had no leader for long keeps the others waiting no more.
func TestSweepWithoutALeader(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, transactionTopics...)
	b := onEmbedded(t, cluster, nil)
	away := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "deadletters", Partitions: []int32{3},
		Err: kerr.LeaderNotAvailable, Count: -1})
	asked := steps(cluster, "CompleteCommit")
	without := place{"deadletters", 3}
	b.committer.leaderless[without] = time.Now().Add(-leaderWait)
	for range 2 {
		if err := b.committer.initProducer(deadline(t)); err != nil {
			t.Fatal(err)
		}
		if got := asked(); !slices.Equal(got[len(got)-4:], again("commit")) {
			t.Errorf("asked %v", got)
		}
		if _, known := b.committer.written[without]; known || len(b.committer.written) != 7 {
			t.Errorf("leader epochs %v", b.committer.written)
		}
	}
	names := append([]string{"requests/0/0"}, b.write(0, 1, 5)...)
	b.mustCommit(map[int32]int64{0: 6})
	away.Remove()
	b.committer.ready = false
	b.mustCommit(map[int32]int64{1: 1})
	if len(b.committer.leaderless) != 0 {
		t.Errorf("it has a leader: %v", b.committer.leaderless)
	}
	b.wantSeen(names)
}
