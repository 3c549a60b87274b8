package producer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// ending is a transaction that was ended.
type ending struct {
	partitions int
	commit     bool
}

// endings answers what the coordinator is asked of the transactional id with states, one after the other, and returns
// what is ended from then on.
func endings(cluster *kfake.Cluster, states []string) func() []ending {
	var mu sync.Mutex
	var ends []ending
	added := 0
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
		case *kmsg.AddPartitionsToTxnRequest:
			for i := range r.Topics {
				added += len(r.Topics[i].Partitions)
			}
		case *kmsg.EndTxnRequest:
			ends = append(ends, ending{added, r.Commit})
			added = 0
		}
		return nil, nil, false
	})
	return func() []ending {
		mu.Lock()
		defer mu.Unlock()
		return ends
	}
}

// A new epoch of an id whose last transaction has ended, as far as its coordinator knows, has it end once more, the
// same way, in all partitions. What the coordinator does not decide is not decided by us.
func TestSweepRepeatsTheDecision(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		states []string
		want   []ending
	}{
		"committed":           {[]string{"CompleteCommit"}, []ending{{8, true}}},
		"aborted":             {[]string{"CompleteAbort"}, []ending{{8, false}}},
		"about to commit":     {[]string{"PrepareCommit", "PrepareCommit", "CompleteCommit"}, []ending{{8, true}}},
		"about to be aborted": {[]string{"PrepareAbort", "CompleteAbort"}, []ending{{8, false}}},
		"under way":           {[]string{"Ongoing"}, nil},
		"without one":         {[]string{"Empty"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, transactionTopics...)
			b := onEmbedded(t, cluster, nil)
			ended := endings(cluster, test.states)
			b.again("a")
			if got := ended(); !slices.Equal(got, test.want) {
				t.Errorf("ended %v, want %v", got, test.want)
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
		want   []ending
	}{
		"it is being aborted": {[]string{"CompleteCommit", "PrepareAbort", "CompleteAbort"}, kerr.ConcurrentTransactions,
			[]ending{{8, false}}},
		"it was aborted": {[]string{"CompleteCommit", "CompleteAbort"}, kerr.ConcurrentTransactions,
			[]ending{{8, false}}},
		"the answer was lost": {[]string{"CompleteCommit", "Empty"}, errors.New("cut"), []ending{{8, true}}},
		"the brokers were busy": {[]string{"CompleteCommit", "CompleteCommit"}, kerr.CoordinatorNotAvailable,
			[]ending{{8, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, transactionTopics...)
			b := onEmbedded(t, cluster, nil)
			ended := endings(cluster, test.states)
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
			if got := ended(); !slices.Equal(got, test.want) {
				t.Errorf("ended %v, want %v", got, test.want)
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
	if err := b.committer.fill(deadline(t), outsider(b.group), b.committer.gather(at(map[int32]int64{0: 5}))); err != nil {
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
			if err := b.committer.endAgain(deadline(t), kafkawire.EndCommitted); err != nil {
				t.Fatal(err)
			}
			b.mustCommit(map[int32]int64{0: 6})
			b.wantSeen(names)
			refusal.Topic = "results"
			cluster.Fault(refusal)
			// not cut off while it waits for an answer
			kafkatest.Eventually(t, within, "with all of them refused it fails", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 2*transientTimeout)
				defer cancel()
				err := b.committer.endAgain(ctx, kafkawire.EndCommitted)
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
	for _, state := range []kafkawire.Ending{kafkawire.EndCommitted, kafkawire.EndAborted, "Empty", ""} {
		if err := b.committer.endAgain(deadline(t), state); err != nil {
			t.Fatal(err)
		}
	}
	names = append(names, b.write(0, 3, 1)...)
	b.mustCommit(map[int32]int64{0: 4})
	b.wantSeen(names)
	if got := b.stored(0)[0]; got != 4 {
		t.Errorf("stored offset %d", got)
	}
}
