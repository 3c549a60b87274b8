package kafkawire

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func commitOffsets(tb testing.TB, cl *kgo.Client, group, topic string, offsets map[int32]int64) {
	tb.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	for partition, offset := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(deadline(tb), cl)
	if err != nil {
		tb.Fatalf("committing offsets: %v", err)
	}
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			tb.Fatalf("committing offsets: %v", CodeError(p.ErrorCode))
		}
	}
}

func TestCommittedOffsets(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 3)
	c, cl := wire(t, broker.Brokers()), oracle(t, broker.Brokers(), kgo.MaxVersions(kversion.V3_5_0()))
	var got map[int32]int64
	read := func() error {
		stored, err := c.CommittedOffsets(deadline(t), topic, topic, []int32{0, 1, 2})
		got = offsetsOf(stored)
		return err
	}
	retried(t, c, "offsets of a group that never was", read)
	if want := map[int32]int64{0: NoOffset, 1: NoOffset, 2: NoOffset}; !maps.Equal(got, want) {
		t.Errorf("a group that never was: %v", got)
	}
	commitOffsets(t, cl, topic, topic, map[int32]int64{0: 0, 2: 42})
	retried(t, c, "some offsets", read)
	if want := map[int32]int64{0: 0, 1: NoOffset, 2: 42}; !maps.Equal(got, want) {
		t.Errorf("some committed: %v, want %v", got, want)
	}

	end := openTransaction(t, cl, topic, map[int32]int64{2: 50})
	if err := read(); !errors.Is(err, kafka.UnstableOffsetCommit) || !Transient(err) {
		t.Errorf("a transaction over partition 2 is open: %v, error %v, want a transient UNSTABLE_OFFSET_COMMIT", got, err)
	}
	if broker.Kind() != kafkatest.KindEmbedded { // which says it of the whole group
		others, err := c.CommittedOffsets(deadline(t), topic, topic, []int32{0, 1})
		if want := map[int32]int64{0: 0, 1: NoOffset}; err != nil || !maps.Equal(offsetsOf(others), want) {
			t.Errorf("the other partitions: %v, error %v, want %v", others, err, want)
		}
	}
	end(true)
	retried(t, c, "offsets after the transaction", read) // never the offset from before it
	if want := map[int32]int64{0: 0, 1: NoOffset, 2: 50}; !maps.Equal(got, want) {
		t.Errorf("after the transaction: %v, want %v", got, want)
	}
}

func offsetsOf(stored map[int32]OffsetAndMetadata) map[int32]int64 {
	offsets := map[int32]int64{}
	for partition, o := range stored {
		offsets[partition] = o.Offset
	}
	return offsets
}

func TestCommitMetadata(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 4)
	c := wire(t, broker.Brokers())
	alone := Member{Group: topic, Generation: -1} // a group without members takes commits from anybody
	commit := func(offsets map[int32]OffsetAndMetadata) {
		t.Helper()
		retried(t, c, "committing", func() error { return c.CommitOffsets(deadline(t), alone, topic, offsets) })
	}
	check := func(want map[int32]OffsetAndMetadata) {
		t.Helper()
		retried(t, c, "reading", func() error {
			got, err := c.CommittedOffsets(deadline(t), topic, topic, []int32{0, 1, 2, 3})
			if err == nil && !maps.Equal(got, want) {
				t.Errorf("stored %v, want %v", got, want)
			}
			return err
		})
	}
	const limit = 4096
	stored := map[int32]OffsetAndMetadata{
		0: {Offset: 5, Metadata: "sQUBAQ"}, 1: {Offset: 6}, 2: {Offset: 7, Metadata: strings.Repeat("x", limit)},
		3: {Offset: NoOffset, Epoch: NoEpoch},
	}
	commit(map[int32]OffsetAndMetadata{0: stored[0], 1: stored[1], 2: stored[2]})
	check(stored)
	// A commit without metadata takes back what was there.
	stored[0] = OffsetAndMetadata{Offset: 5}
	commit(map[int32]OffsetAndMetadata{0: stored[0]})
	check(stored)

	if broker.Kind() == kafkatest.KindEmbedded { // it takes everything
		return
	}
	err := c.CommitOffsets(deadline(t), alone, topic, map[int32]OffsetAndMetadata{
		0: {Offset: 8, Metadata: "sQgBAQ"}, 1: {Offset: 9, Metadata: strings.Repeat("x", limit+1)},
	})
	if !errors.Is(err, kafka.OffsetMetadataTooLarge) || Transient(err) {
		t.Errorf("%d characters: error %v, want OFFSET_METADATA_TOO_LARGE", limit+1, err)
	}
	stored[0] = OffsetAndMetadata{Offset: 8, Metadata: "sQgBAQ"} // the others are stored
	check(stored)
}

// openTransaction commits offsets (of the group named like the topic) in a transaction and leaves it open.
func openTransaction(tb testing.TB, cl *kgo.Client, topic string, offsets map[int32]int64) (end func(commit bool)) {
	tb.Helper()
	check := func(what string, code int16, err error) {
		tb.Helper()
		if err == nil {
			err = CodeError(code)
		}
		if err != nil {
			tb.Fatalf("%s: %v", what, err)
		}
	}
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis, begin.ProducerID, begin.ProducerEpoch = kmsg.StringPtr(topic),
		60_000, -1, -1
	begun, err := begin.RequestWith(deadline(tb), cl)
	check("beginning", begun.ErrorCode, err)

	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = topic, begun.ProducerID, begun.ProducerEpoch, topic
	added, err := add.RequestWith(deadline(tb), cl)
	check("adding offsets", added.ErrorCode, err)

	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = topic, topic, begun.ProducerID,
		begun.ProducerEpoch
	commit.Generation = -1
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic = topic
	for partition, offset := range offsets {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		t.Partitions = append(t.Partitions, p)
	}
	commit.Topics = append(commit.Topics, t)
	committed, err := commit.RequestWith(deadline(tb), cl)
	check("committing in the transaction", 0, err)
	check("committing in the transaction", committed.Topics[0].Partitions[0].ErrorCode, nil)

	return func(ok bool) {
		tb.Helper()
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = topic, begun.ProducerID, begun.ProducerEpoch, ok
		resp, err := req.RequestWith(deadline(tb), cl)
		check("ending", resp.ErrorCode, err)
	}
}

func TestListOffsets(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 2)
	c := wire(t, broker.Brokers())
	began := time.UnixMilli(1_700_000_000_000)
	for i := range 10 {
		broker.ProduceTo(t, topic, 1, kafka.Message{Value: []byte("x"), Time: began.Add(time.Duration(i) * time.Second)})
	}
	for name, x := range map[string]struct {
		at   int64
		want map[int32]int64
	}{
		"earliest":   {Earliest, map[int32]int64{0: 0, 1: 0}},
		"latest":     {Latest, map[int32]int64{0: 0, 1: 10}},
		"before all": {began.Add(-time.Hour).UnixMilli(), map[int32]int64{0: -1, 1: 0}},
		"between":    {began.Add(3500 * time.Millisecond).UnixMilli(), map[int32]int64{0: -1, 1: 4}},
		"at a time":  {began.Add(3 * time.Second).UnixMilli(), map[int32]int64{0: -1, 1: 3}},
		"after all":  {began.Add(time.Hour).UnixMilli(), map[int32]int64{0: -1, 1: -1}},
	} {
		got, err := c.ListOffsets(deadline(t), topic, []int32{0, 1}, x.at)
		if err != nil || !maps.Equal(got, x.want) {
			t.Errorf("%s: %v, error %v, want %v", name, got, err, x.want)
		}
	}
	if _, err := c.ListOffsets(deadline(t), topic, []int32{0, 7}, Latest); err == nil ||
		!strings.Contains(err.Error(), topic+"/7") {
		t.Errorf("a partition that is not there: error %v", err)
	}
}

// A partition that fails takes no other along, and each has its own error.
func TestFailures(t *testing.T) {
	t.Parallel()
	request, one := errors.New("the request failed"), errors.New("partition 2 failed")
	answers := map[int32]int64{0: 5}
	if got := Failures([]int32{0, 1, 2}, answers, request); !maps.Equal(got, map[int32]error{1: request, 2: request}) {
		t.Errorf("of a request that failed: %v", got)
	}
	err := fmt.Errorf("asking: %w", PartitionsError{2: one})
	if got := Failures([]int32{0, 2}, answers, err); !maps.Equal(got, map[int32]error{2: one}) {
		t.Errorf("of one partition that failed: %v", got)
	}
	if got := Failures([]int32{0}, answers, nil); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestOffsetsByPartition(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(3, "topic"))
	c := wire(t, cluster.ListenAddrs())
	commitOffsets(t, oracle(t, cluster.ListenAddrs(), kgo.MaxVersions(kversion.V3_5_0())), "group", "topic",
		map[int32]int64{0: 7})
	fault := func(key kmsg.Key, partition int32, err *kerr.Error) {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Partitions: []int32{partition}, Err: err, Count: -1})
	}
	fault(kmsg.OffsetFetch, 1, kerr.UnstableOffsetCommit)
	fault(kmsg.ListOffsets, 0, kerr.NotLeaderForPartition)
	fault(kmsg.ListOffsets, 2, kerr.TopicAuthorizationFailed)
	ids := []int32{0, 1, 2}
	stored, err := c.CommittedOffsets(deadline(t), "group", "topic", ids)
	var each PartitionsError
	if want := map[int32]int64{0: 7, 2: NoOffset}; !maps.Equal(offsetsOf(stored), want) || !errors.As(err, &each) ||
		len(each) != 1 || !errors.Is(each[1], kafka.UnstableOffsetCommit) || !errors.Is(err, kafka.UnstableOffsetCommit) {
		t.Errorf("committed offsets %v, error %v", stored, err)
	}
	for what, list := range map[string]func() (map[int32]int64, error){
		"offsets": func() (map[int32]int64, error) { return c.ListOffsets(deadline(t), "topic", ids, Earliest) },
		"ends":    func() (map[int32]int64, error) { return c.LogEnds(deadline(t), "topic", ids) },
	} {
		got, err := list()
		each = nil
		if !maps.Equal(got, map[int32]int64{1: 0}) || !errors.As(err, &each) || len(each) != 2 ||
			!errors.Is(each[0], kafka.NotLeaderForPartition) || !errors.Is(each[2], kafka.TopicAuthorizationFailed) {
			t.Errorf("%s %v, error %v", what, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "topic/0") {
			t.Errorf("%s: the error names no partition: %v", what, err)
		}
	}
}
