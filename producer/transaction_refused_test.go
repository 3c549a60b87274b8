package producer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// everywhere keeps an outcome for each of n records of every partition: dead letters of the first two, results of the
// others. It returns what is asked to be committed.
func (b *rig) everywhere(from, n int64) map[int32]int64 {
	b.tb.Helper()
	asked := map[int32]int64{}
	for p := range int32(4) {
		for offset := from; offset < from+n; offset++ {
			if p < 2 {
				b.letter(p, offset, 10)
			} else {
				b.write(p, offset, 1)
			}
		}
		asked[p] = from + n
	}
	return asked
}

// What only an operator can cure holds the requests that it concerns. All others are committed, also new ones; status
// and error name the partition and what the brokers say. When it is cured, everything is committed.
func TestRefusalHoldsWhatItConcerns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault kfake.Fault
		held  int64 // offset at which partition 1 stands: its next outcome, or its offset, is refused
		says  string
	}{
		{"writing is not allowed", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed}, 1,
			"deadletters/1"},
		{"a policy", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.PolicyViolation}, 1, "deadletters/1"},
		{"a name", kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.InvalidTopicException}, 1,
			"deadletters/1"},
		{"adding is not allowed", kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.TopicAuthorizationFailed},
			1, "deadletters/1"},
		{"a record without a key", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord}, 1, "deadletters/1"},
		{"a time", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidTimestamp}, 1, "deadletters/1"},
		{"an offset", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.InvalidCommitOffsetSize}, 1,
			"partition 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
			b := onEmbedded(t, cluster, nil)
			b.mustCommit(b.everywhere(1, 1))
			test.fault.Topic, test.fault.Partitions, test.fault.Count = "deadletters", []int32{1}, -1
			if test.fault.Keys[0] == kmsg.TxnOffsetCommit {
				test.fault.Topic = "requests"
			}
			refusal := cluster.Fault(test.fault)
			for round := range int64(2) {
				asked := b.everywhere(2+5*round, 5)
				var err error
				kafkatest.Eventually(t, within, "the others are committed", func() bool {
					err = b.commit(asked)
					stored := b.stored(0, 2, 3)
					return stored[0] == asked[0] && stored[2] == asked[2] && stored[3] == asked[3]
				})
				if err = b.commit(asked); err == nil || !strings.Contains(err.Error(), test.says) ||
					!strings.Contains(err.Error(), kafkawire.Fix(err)) || !errors.Is(err, kafka.Error(test.fault.Err.Code)) {
					t.Errorf("it is told %v", err)
				}
				if failing := b.Status().Failing; failing == nil || failing.Error() != err.Error() {
					t.Errorf("the status says %v", failing)
				}
				if at := b.stored(1)[1]; at != 2 {
					t.Errorf("partition 1 stands at %d, want 2", at)
				}
			}
			tries := refusal.Hits()
			for range 5 {
				if err := b.commit(map[int32]int64{1: 12}); err == nil {
					t.Error("committed")
				}
			}
			if n := refusal.Hits(); n != tries {
				t.Errorf("it is tried %d times before it is due", n-tries)
			}
			refusal.Remove()
			kafkatest.Eventually(t, within, "all is committed", func() bool {
				b.due()
				return b.commit(map[int32]int64{0: 12, 1: 12, 2: 12, 3: 12}) == nil
			})
			kafkatest.Eventually(t, within, "they are seen, each once",
				func() bool { return len(b.outcomesSeen(true)) == 1+4+2*20 })
			if s := b.Status(); s.Failing != nil || s.Buffered != 0 || b.stored(1)[1] != 12 {
				t.Errorf("afterwards the status is %+v, partition 1 stands at %d", s, b.stored(1)[1])
			}
		})
	}
}

// A partition that has no broker for longer than a transaction may last holds its own requests; the others lose the
// time of one transaction, once.
func TestUnavailablePartitionIsHeld(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
	b := onEmbedded(t, cluster, func(c *TransactionConfig) { c.Timeout = 10 * time.Second })
	outage := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "deadletters", Partitions: []int32{1},
		Err: kerr.NotEnoughReplicas, Count: -1})
	asked := b.everywhere(1, 5)
	if err := b.commit(asked); err == nil {
		t.Fatal("committed")
	}
	began := time.Now()
	if err := b.commit(asked); err == nil || !strings.Contains(err.Error(), "deadletters/1") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > b.committer.cfg.Timeout {
		t.Errorf("the others wait for %v", took)
	}
	if stored := b.stored(0, 1, 2, 3); stored[0] != 6 || stored[1] > 1 || stored[2] != 6 || stored[3] != 6 {
		t.Errorf("stored %v", stored)
	}
	if b.committer.pace.limit < firstPortion/4 {
		t.Errorf("it is taken for a slow line: %d bytes", b.committer.pace.limit)
	}
	outage.Remove()
	kafkatest.Eventually(t, within, "all is committed", func() bool { b.due(); return b.commit(asked) == nil })
}

// When the time for another try of what is held is up before the brokers have said anything about it, it is held for
// the reason that is known, and that is what is told: not the request that came too late.
func TestHeldForTheReasonThatIsKnown(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
	b := onEmbedded(t, cluster, func(c *TransactionConfig) { c.Timeout = time.Minute })
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "deadletters", Partitions: []int32{1},
		Err: kerr.NotEnoughReplicas, Count: -1})
	asked := b.everywhere(1, 5)
	kafkatest.Eventually(t, within, "the others are committed", func() bool {
		_ = b.commit(asked)
		return b.stored(0)[0] == 6
	})
	cluster.ControlKey(int16(kmsg.AddPartitionsToTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, errors.New("cut"), true // all that is asked for now is what is held
	})
	b.due()
	if err := b.commit(asked); err == nil || !strings.Contains(err.Error(), "held: deadletters/1") {
		t.Errorf("error %v", err)
	}
}

// A topic of outcomes that is deleted holds the requests whose outcome belongs there, until it exists again.
func TestDeletedTopicHoldsWhatBelongsThere(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	b := transactions(t, broker.Brokers(), broker.Topic(t, 4), broker.Topic(t, 4), broker.Topic(t, 4), "a",
		func(c *TransactionConfig) { c.Timeout = 5 * time.Second })
	b.mustCommit(b.everywhere(0, 1))
	admin, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ask := func(req kmsg.Request) {
		t.Helper()
		if _, err := admin.Request(deadline(t), req); err != nil {
			t.Fatal(err)
		}
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	name := kmsg.NewDeleteTopicsRequestTopic()
	name.Topic = &b.outcomes.DeadLetters
	del.TopicNames, del.Topics, del.TimeoutMillis = []string{b.outcomes.DeadLetters}, append(del.Topics, name), 10_000
	ask(del)
	kafkatest.Eventually(t, within, "the topic is gone", func() bool {
		req := kmsg.NewPtrMetadataRequest()
		of := kmsg.NewMetadataRequestTopic()
		of.Topic = &b.outcomes.DeadLetters
		req.Topics = append(req.Topics, of)
		resp, err := req.RequestWith(deadline(t), admin)
		return err == nil && len(resp.Topics) == 1 && resp.Topics[0].ErrorCode == kerr.UnknownTopicOrPartition.Code
	})
	asked := b.everywhere(1, 5)
	kafkatest.Eventually(t, within, "the others are committed", func() bool {
		err := b.commit(asked)
		if err == nil {
			t.Fatal("committed, though a dead letter has nowhere to go")
		}
		stored := b.stored(0, 1, 2, 3)
		return stored[2] == 6 && stored[3] == 6 && strings.Contains(err.Error(), b.outcomes.DeadLetters)
	})
	create := kmsg.NewPtrCreateTopicsRequest()
	again := kmsg.NewCreateTopicsRequestTopic()
	again.Topic, again.NumPartitions, again.ReplicationFactor = b.outcomes.DeadLetters, 4, 1
	create.Topics, create.TimeoutMillis = append(create.Topics, again), 10_000
	ask(create)
	kafkatest.Eventually(t, within, "all is committed", func() bool { b.due(); return b.commit(asked) == nil })
	if stored := b.stored(0, 1, 2, 3); stored[0] != 6 || stored[1] != 6 || b.Status().Buffered != 0 {
		t.Errorf("stored %v, %d bytes are kept", stored, b.Status().Buffered)
	}
}

// A partition whose leader goes away while a transaction is written keeps the others for a moment, and not as long as
// a transaction may last. What belongs there is committed when it is back, by itself.
func TestLeaderThatGoesAwayKeepsOthersForAMoment(t *testing.T) {
	t.Parallel()
	for _, answer := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicas} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
			b := onEmbedded(t, cluster, func(c *TransactionConfig) { c.Timeout = time.Minute })
			b.mustCommit(b.everywhere(1, 1))
			away := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "deadletters", Partitions: []int32{1},
				Err: answer, Count: -1})
			asked := b.everywhere(2, 5)
			began := time.Now()
			kafkatest.Eventually(t, within, "the others are committed", func() bool {
				_ = b.commit(asked)
				stored := b.stored(0, 2, 3)
				return stored[0] == asked[0] && stored[2] == asked[2] && stored[3] == asked[3]
			})
			if took := time.Since(began); took > b.committer.cfg.Timeout/4 {
				t.Errorf("the others wait for %v", took)
			}
			away.Remove()
			kafkatest.Eventually(t, within, "all is committed", func() bool { return b.commit(asked) == nil })
		})
	}
}

// With every partition failing none is held: then it is the brokers, and they come back.
func TestOutageHoldsNothing(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
	b := onEmbedded(t, cluster, nil)
	outage := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	asked := b.everywhere(1, 5)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := b.Commit(ctx, outsider(b.group), at(asked)); !kafkawire.Transient(err) ||
		len(b.committer.holds.list) != 0 {
		t.Errorf("%v; held %v", err, b.committer.holds.list)
	}
	outage.Remove()
	b.mustCommit(asked)
}
