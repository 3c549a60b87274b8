package kafkawire

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A whole transaction with every call of it, twice in one epoch; an aborted one between them leaves nothing.
func TestTransaction(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	results, requests := broker.Topic(t, 2), broker.Topic(t, 2)
	group, id := "g-"+requests, "t-"+results
	c := wire(t, broker.Brokers(), results)
	var txn Transactional
	call := func(what string, do func() error) {
		t.Helper()
		kafkatest.Eventually(t, within, what, func() bool {
			err := do()
			if err != nil && !Transient(err) && !ConcurrentTransactions(err) {
				t.Fatalf("%s: %v", what, err)
			}
			return err == nil
		})
	}
	call("a transactional id", func() (err error) {
		txn, err = c.InitTransactional(deadline(t), id, 10*time.Second)
		return err
	})
	sequence := int32(0)
	for i, commit := range []bool{true, false, true} {
		call("adding partitions", func() error {
			return c.AddPartitions(deadline(t), txn,
				map[string][]int32{results: {0, 1}})
		})
		var batches []*Batch
		for p := range int32(2) {
			records := []Record{{Value: fmt.Appendf(nil, "%d/%d", i, p)}, {Value: []byte("more")}}
			batches = append(batches, &Batch{Topic: results, Partition: p,
				Bytes: AppendTransactionalBatch(nil, txn.Producer, sequence, records, time.Now())})
		}
		call("producing", func() error {
			err := c.ProduceTransactional(deadline(t), txn, leaderOf(t, c, results), batches)
			for _, b := range batches {
				err = errors.Join(err, b.Err)
			}
			return err
		})
		sequence = NextSequence(sequence, 2)
		call("adding offsets", func() error { return c.AddOffsets(deadline(t), txn, group) })
		call("committing offsets", func() error {
			return c.CommitTransactionOffsets(deadline(t), txn, Member{Group: group, Generation: -1}, requests,
				map[int32]OffsetAndMetadata{0: {Offset: int64(10 * i)}, 1: {Offset: 7}})
		})
		for range 2 { // the same decision again is answered alike
			call("ending it", func() error { return c.EndTransaction(deadline(t), txn, commit) })
		}
	}
	kafkatest.Eventually(t, within, "both are seen", func() bool { return len(broker.ReadAll(t, results)) == 8 })
	for _, m := range broker.ReadAll(t, results) {
		if strings.HasPrefix(string(m.Value), "1/") {
			t.Errorf("of the aborted one is seen %s", m.Value)
		}
	}
	if got := broker.Committed(t, group, requests); !maps.Equal(got, map[int32]int64{0: 20, 1: 7}) {
		t.Errorf("offsets %v", got)
	}
	if _, err := c.InitTransactional(deadline(t), id, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := c.AddPartitions(deadline(t), txn, map[string][]int32{results: {0}}); !Fenced(err) || Transient(err) {
		t.Errorf("the epoch before is answered %v", err)
	}
	if err := c.EndTransaction(deadline(t), txn, true); !Fenced(err) {
		t.Errorf("the epoch before is answered %v", err)
	}
}

// The transactional bit is set under a checksum that holds.
func TestAppendTransactionalBatch(t *testing.T) {
	t.Parallel()
	prefix := []byte("before")
	b := AppendTransactionalBatch(prefix, ProducerID{ID: 5, Epoch: 2}, 9, []Record{{Value: []byte("x")}}, time.Unix(1, 0))
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(b[len(prefix):]); err != nil {
		t.Fatal(err)
	}
	if batch.Attributes != attrTransactional || batch.ProducerID != 5 || batch.ProducerEpoch != 2 ||
		batch.FirstSequence != 9 || string(b[:6]) != "before" {
		t.Errorf("%+v", batch)
	}
	plain := AppendBatch(nil, ProducerID{ID: 5, Epoch: 2}, 9, []Record{{Value: []byte("x")}}, time.Unix(1, 0))
	plain[atAttributes+1] = attrTransactional
	Stamp(plain, ProducerID{ID: 5, Epoch: 2}, 9)
	if string(plain) != string(b[6:]) {
		t.Error("it differs from a batch in more than the bit")
	}
}

// What the coordinators answer comes out as an error that names the step; a partition that was only not attempted is
// not the cause, and one without an answer is not taken for done.
func TestTransactionAnswers(t *testing.T) {
	t.Parallel()
	txn := Transactional{ID: "t", Producer: ProducerID{ID: 1}}
	cases := map[string]struct {
		key    kmsg.Key
		answer func(kmsg.Response)
		call   func(*Client) error
		is     error
		text   string
	}{
		"init": {kmsg.InitProducerID, func(r kmsg.Response) { r.(*kmsg.InitProducerIDResponse).ErrorCode = 53 },
			func(c *Client) error { _, err := c.InitTransactional(deadline(t), "t", time.Second); return err },
			kafka.TransactionalIDAuthorizationFailed, "transactional id t"},
		"partitions": {kmsg.AddPartitionsToTxn, func(r kmsg.Response) {
			r.(*kmsg.AddPartitionsToTxnResponse).Topics = []kmsg.AddPartitionsToTxnResponseTopic{{Topic: "results",
				Partitions: []kmsg.AddPartitionsToTxnResponseTopicPartition{
					{Partition: 0, ErrorCode: 55}, {Partition: 1}, {Partition: 2, ErrorCode: 29}, {Partition: 3, ErrorCode: 55},
				}}}
		}, func(c *Client) error {
			return c.AddPartitions(deadline(t), txn, map[string][]int32{"results": {0, 1, 2, 3}})
		},
			kafka.TopicAuthorizationFailed, "results/2"},
		"offsets": {kmsg.AddOffsetsToTxn, func(r kmsg.Response) { r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode = 51 },
			func(c *Client) error { return c.AddOffsets(deadline(t), txn, "g") }, kafka.ConcurrentTransactions,
			"adding offsets"},
		"one offset": {kmsg.TxnOffsetCommit, func(r kmsg.Response) {
			r.(*kmsg.TxnOffsetCommitResponse).Topics = []kmsg.TxnOffsetCommitResponseTopic{{Topic: "requests",
				Partitions: []kmsg.TxnOffsetCommitResponseTopicPartition{
					{Partition: 0}, {Partition: 1, ErrorCode: 22},
				}}}
		}, commitTwo(t, txn), kafka.IllegalGeneration, "partition 1"},
		"an offset too few": {kmsg.TxnOffsetCommit, func(r kmsg.Response) {
			r.(*kmsg.TxnOffsetCommitResponse).Topics = []kmsg.TxnOffsetCommitResponseTopic{{Topic: "requests",
				Partitions: []kmsg.TxnOffsetCommitResponseTopicPartition{{}}}}
		}, commitTwo(t, txn), nil, "1 of 2 partitions"},
		"end": {kmsg.EndTxn, func(r kmsg.Response) { r.(*kmsg.EndTxnResponse).ErrorCode = 90 },
			func(c *Client) error { return c.EndTransaction(deadline(t), txn, true) }, kafka.ProducerFenced,
			"ending a transaction"},
		"a batch too few": {kmsg.Produce, func(r kmsg.Response) {
			r.(*kmsg.ProduceResponse).Topics = []kmsg.ProduceResponseTopic{{Topic: "results",
				Partitions: []kmsg.ProduceResponseTopicPartition{{Partition: 3}}}}
		}, func(c *Client) error {
			b := AppendTransactionalBatch(nil, txn.Producer, 0, []Record{{}}, time.Now())
			return c.ProduceTransactional(deadline(t), txn, leaderOf(t, c, "results"), []*Batch{{Topic: "results", Bytes: b}})
		}, nil, "results/0"},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(4, "results", "requests"))
			cluster.ControlKey(int16(x.key), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if p, ok := req.(*kmsg.ProduceRequest); ok && (p.TransactionID == nil || *p.TransactionID != "t" || p.Acks != -1) {
					t.Errorf("produce request %+v", p)
				}
				resp := req.ResponseKind()
				x.answer(resp)
				return resp, nil, true
			})
			err := x.call(wire(t, cluster.ListenAddrs()))
			if err == nil || !strings.Contains(err.Error(), x.text) || x.is != nil && !errors.Is(err, x.is) {
				t.Errorf("error %v, want %v with %q", err, x.is, x.text)
			}
		})
	}
}

func commitTwo(t *testing.T, txn Transactional) func(*Client) error {
	return func(c *Client) error {
		return c.CommitTransactionOffsets(deadline(t), txn, Member{Group: "g", ID: "m", Generation: 4}, "requests",
			map[int32]OffsetAndMetadata{0: {Offset: 1}, 1: {Offset: 1}})
	}
}
