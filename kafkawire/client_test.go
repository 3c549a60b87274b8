package kafkawire

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"balanceq/internal/kafkatest"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

var limits = FetchLimits{MaxWait: 100 * time.Millisecond, MaxBytes: 8 << 20, PartitionMaxBytes: 1 << 20}

// patient repeats a call until it works: a cluster that has just come up asks for that.
func patient(tb testing.TB, c *Client, what string, call func() error) {
	tb.Helper()
	var err error
	kafkatest.Eventually(tb, within, what, func() bool {
		if err = call(); err != nil {
			if !Transient(err) {
				tb.Fatalf("%s: %v", what, err)
			}
			c.Reset()
		}
		return err == nil
	})
}

func TestLeaders(t *testing.T) {
	broker := kafkatest.Shared()
	topic := broker.Topic(t, 5)
	c := wire(t, broker.Brokers())
	leaders, n, err := c.Leaders(deadline(t), topic)
	if err != nil || n != 5 || len(leaders) != 5 {
		t.Errorf("%d leaders of %d partitions, error %v; want 5", len(leaders), n, err)
	}
	if _, _, err := c.Leaders(deadline(t), topic+"-no"); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("no such topic: error %v", err)
	}
}

func TestLeadersMoveAndVanish(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(3, "topic"))
	c := wire(t, cluster.ListenAddrs(), "topic")
	before, _, err := c.Leaders(deadline(t), "topic")
	if err != nil {
		t.Fatal(err)
	}
	to := (before[1] + 1) % 3
	if err := cluster.MoveTopicPartition("topic", 1, to); err != nil {
		t.Fatal(err)
	}
	c.Reset()
	after, _, err := c.Leaders(deadline(t), "topic")
	if err != nil || after[1] != to || after[0] != before[0] {
		t.Errorf("after a move and a Reset: %v, error %v; want partition 1 on broker %d, the rest of %v", after, err, to, before)
	}
	withoutLeader(cluster, 2)
	c.Reset()
	leaders, n, err := c.Leaders(deadline(t), "topic")
	if _, known := leaders[2]; err != nil || n != 3 || known || len(leaders) != 2 {
		t.Errorf("one without a leader: %v of %d, error %v", leaders, n, err)
	}
}

// withoutLeader makes metadata say from now on that a partition has no leader.
func withoutLeader(cluster *kfake.Cluster, partition int32) {
	cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = req.GetVersion()
		for i, addr := range cluster.ListenAddrs() {
			var host string
			var port int32
			if i := strings.LastIndexByte(addr, ':'); i >= 0 {
				host = addr[:i]
				_, _ = fmt.Sscan(addr[i+1:], &port)
			}
			resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: int32(i), Host: host, Port: port})
		}
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("topic")
		for id := range int32(3) {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader = id, cluster.LeaderFor("topic", id)
			if id == partition {
				p.Leader, p.ErrorCode = -1, int16(kafka.LeaderNotAvailable)
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
}

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
			tb.Fatalf("committing offsets: %v", codeError(p.ErrorCode))
		}
	}
}

func TestCommittedOffsets(t *testing.T) {
	broker := kafkatest.Shared()
	topic := broker.Topic(t, 3)
	c, cl := wire(t, broker.Brokers()), oracle(t, broker.Brokers(), kgo.MaxVersions(kversion.V3_5_0()))
	var got map[int32]int64
	read := func() (err error) {
		got, err = c.CommittedOffsets(deadline(t), topic, topic, []int32{0, 1, 2})
		return err
	}
	patient(t, c, "offsets of a group that never was", read)
	if want := map[int32]int64{0: NoOffset, 1: NoOffset, 2: NoOffset}; !maps.Equal(got, want) {
		t.Errorf("a group that never was: %v", got)
	}
	commitOffsets(t, cl, topic, topic, map[int32]int64{0: 0, 2: 42})
	patient(t, c, "some offsets", read)
	if want := map[int32]int64{0: 0, 1: NoOffset, 2: 42}; !maps.Equal(got, want) {
		t.Errorf("some committed: %v, want %v", got, want)
	}

	end := openTransaction(t, cl, topic, map[int32]int64{2: 50})
	if err := read(); !errors.Is(err, kafka.UnstableOffsetCommit) || !Transient(err) {
		t.Errorf("a transaction over partition 2 is open: %v, error %v, want a transient UNSTABLE_OFFSET_COMMIT", got, err)
	}
	if broker.Kind() != kafkatest.KindEmbedded { // which says it of the whole group
		others, err := c.CommittedOffsets(deadline(t), topic, topic, []int32{0, 1})
		if want := map[int32]int64{0: 0, 1: NoOffset}; err != nil || !maps.Equal(others, want) {
			t.Errorf("the other partitions: %v, error %v, want %v", others, err, want)
		}
	}
	end(true)
	patient(t, c, "offsets after the transaction", read) // never the offset from before it
	if want := map[int32]int64{0: 0, 1: NoOffset, 2: 50}; !maps.Equal(got, want) {
		t.Errorf("after the transaction: %v, want %v", got, want)
	}
}

// openTransaction commits offsets (of the group named like the topic) in a transaction and leaves it open.
func openTransaction(tb testing.TB, cl *kgo.Client, topic string, offsets map[int32]int64) (end func(commit bool)) {
	tb.Helper()
	check := func(what string, code int16, err error) {
		tb.Helper()
		if err == nil {
			err = codeError(code)
		}
		if err != nil {
			tb.Fatalf("%s: %v", what, err)
		}
	}
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis, begin.ProducerID, begin.ProducerEpoch = kmsg.StringPtr(topic), 60_000, -1, -1
	begun, err := begin.RequestWith(deadline(tb), cl)
	check("beginning", begun.ErrorCode, err)

	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = topic, begun.ProducerID, begun.ProducerEpoch, topic
	added, err := add.RequestWith(deadline(tb), cl)
	check("adding offsets", added.ErrorCode, err)

	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = topic, topic, begun.ProducerID, begun.ProducerEpoch
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
	broker := kafkatest.Shared()
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
	if _, err := c.ListOffsets(deadline(t), topic, []int32{0, 7}, Latest); err == nil || !strings.Contains(err.Error(), topic+"/7") {
		t.Errorf("a partition that is not there: error %v", err)
	}
}

func TestNewProducerID(t *testing.T) {
	c := wire(t, kafkatest.Shared().Brokers())
	seen := map[ProducerID]bool{}
	for range 3 {
		var id ProducerID
		patient(t, c, "a producer id", func() (err error) {
			id, err = c.NewProducerID(deadline(t))
			return err
		})
		if id.ID < 0 || id.Epoch != 0 || seen[id] {
			t.Errorf("got %+v after %v", id, seen)
		}
		seen[id] = true
	}
}

func message(i int) kafka.Message { return kafka.Message{Value: fmt.Appendf(nil, "%d", i)} }

func TestFetch(t *testing.T) {
	broker := kafkatest.Shared()
	topic := broker.Topic(t, 4)
	c := wire(t, broker.Brokers(), topic)
	for p := range int32(3) {
		for i := range 3 {
			broker.ProduceTo(t, topic, p, message(int(p)*100+i))
		}
	}
	leader := leaderOf(t, c, topic)
	// Partition 1 is paused, 3 is empty, 2 asks for what is not there: it alone fails.
	fetched := map[int32]Fetched{}
	for p := range int32(4) {
		offsets := map[int32]int64{0: 1, 3: 0, 2: 99}
		if of, err := c.ListOffsets(deadline(t), topic, []int32{p}, Latest); err != nil {
			t.Fatalf("%v, error %v", of, err)
		}
		leaders, _, err := c.Leaders(deadline(t), topic)
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(offsets, func(p int32, _ int64) bool { return leaders[p] != leader })
		got, err := c.Fetch(deadline(t), leader, topic, offsets, limits)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			fetched[f.Partition] = f
		}
		leader = leaders[(p+1)%4]
	}
	if _, there := fetched[1]; there || len(fetched) != 3 {
		t.Errorf("%d partitions answered, the paused one among them: %t", len(fetched), there)
	}
	if f := fetched[0]; f.Err != nil || len(f.Records) != 2 || string(f.Records[0].Value) != "1" || f.Next != 3 || f.Stable != 3 {
		t.Errorf("partition 0: %+v", f)
	}
	if f := fetched[3]; f.Err != nil || len(f.Records) != 0 || f.Next != 0 {
		t.Errorf("partition 3: %+v", f)
	}
	if f := fetched[2]; !errors.Is(f.Err, kafka.OffsetOutOfRange) || f.Next != 99 {
		t.Errorf("partition 2: %+v", f)
	}
}

func TestFetchTransactions(t *testing.T) {
	broker := kafkatest.Shared()
	topic := broker.Topic(t, 1)
	c := wire(t, broker.Brokers(), topic)
	// One producer for all transactions: its second one must not be taken for its first, aborted one.
	cl := oracle(t, broker.Brokers(), kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic), kgo.MaxVersions(kversion.V3_5_0()))
	for i := range 4 {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		value := fmt.Append(nil, i)
		if err := cl.ProduceSync(deadline(t), &kgo.Record{Value: value}, &kgo.Record{Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(deadline(t), kgo.TransactionEndTry(i%2 == 1)); err != nil {
			t.Fatal(err)
		}
	}
	broker.Produce(t, topic, message(9))
	want := []string{"1", "1", "3", "3", "9"}
	end := broker.EndOffsets(t, topic)[0]
	kafkatest.Eventually(t, within, "the last marker is written", func() bool { // the answer to EndTxn comes before it
		stable, err := c.ListOffsets(deadline(t), topic, []int32{0}, Latest)
		return err == nil && stable[0] == end && end == 13
	})
	leader := leaderOf(t, c, topic)
	for from := range end { // a fetch may begin anywhere: with a marker, in an aborted transaction, between
		var got []string
		next := from
		for next < end {
			f, err := c.Fetch(deadline(t), leader, topic, map[int32]int64{0: next}, limits)
			if err != nil || len(f) != 1 || f[0].Err != nil || f[0].Next <= next {
				t.Fatalf("from %d: %+v, error %v", next, f, err)
			}
			for _, r := range f[0].Records {
				got = append(got, string(r.Value))
			}
			next = f[0].Next
		}
		if !strings.HasSuffix(" "+strings.Join(want, " "), " "+strings.Join(got, " ")) || from == 0 && len(got) != len(want) || from == end-1 && len(got) != 1 {
			t.Errorf("from %d: %v, want the end of %v", from, got, want)
		}
		// Two markers and two records make up a transaction, so what lies below from can be counted.
		if n := int(from/6*2 + min(max(from%6-3, 0), 2)); len(got) != len(want)-n {
			t.Errorf("from %d: %v, want all but %d of %v", from, got, n, want)
		}
	}
}

// Batches of different producer ids and topics ride in one request.
func TestProduce(t *testing.T) {
	broker := kafkatest.Shared()
	a, b := broker.Topic(t, 2), broker.Topic(t, 2)
	c := wire(t, broker.Brokers(), a, b)
	var batches []*Batch
	for i, x := range []struct {
		topic     string
		partition int32
	}{{a, 0}, {b, 0}, {a, 1}, {b, 1}} { // topics take turns: each appears twice in the request
		var id ProducerID
		patient(t, c, "a producer id", func() (err error) {
			id, err = c.NewProducerID(deadline(t))
			return err
		})
		records := []Record{{Key: []byte("k"), Value: fmt.Appendf(nil, "%d", i)}, {Headers: []Header{{Key: "h"}}}}
		batches = append(batches, &Batch{Topic: x.topic, Partition: x.partition, Bytes: AppendBatch(nil, id, 0, records, time.Now())})
	}
	for range 2 { // the second time the identical bytes, as after a lost answer
		produceAll(t, c, batches)
		for _, b := range batches {
			if b.Err != nil {
				t.Fatalf("%s/%d: %v", b.Topic, b.Partition, b.Err)
			}
		}
	}
	for i, topic := range []string{a, b} {
		got := broker.ReadAll(t, topic)
		if len(got) != 4 {
			t.Fatalf("%d records in topic %d, want 4: nothing lost, nothing twice", len(got), i)
		}
		if string(got[0].Value) != fmt.Sprint(i) || string(got[2].Value) != fmt.Sprint(i+2) || got[1].Key != nil || got[1].Value != nil ||
			len(got[1].Headers) != 1 || got[1].Headers[0].Value != nil {
			t.Errorf("topic %d: %+v", i, got)
		}
	}

	gap := &Batch{Topic: a, Partition: 0, Bytes: bytes.Clone(batches[0].Bytes)}
	Stamp(gap.Bytes, producerOf(gap.Bytes), 7)
	wrong := &Batch{Topic: a, Partition: 1, Bytes: bytes.Clone(batches[2].Bytes)}
	wrong.Bytes[len(wrong.Bytes)-1] ^= 1
	fine := &Batch{Topic: b, Partition: 0, Bytes: bytes.Clone(batches[1].Bytes), Err: errors.New("of an earlier try")}
	Stamp(fine.Bytes, producerOf(fine.Bytes), 2)
	produceAll(t, c, []*Batch{gap, wrong, fine})
	if !errors.Is(gap.Err, kafka.OutOfOrderSequenceNumber) || !ProducerStateLost(gap.Err) {
		t.Errorf("a gap in the sequence: %v", gap.Err)
	}
	if !errors.Is(wrong.Err, kafka.InvalidMessage) {
		t.Errorf("a wrong checksum: %v", wrong.Err)
	}
	if fine.Err != nil {
		t.Errorf("the one that is right: %v", fine.Err)
	}
	if n := broker.EndOffsets(t, a)[0] + broker.EndOffsets(t, a)[1]; n != 4 {
		t.Errorf("%d records, want still 4", n)
	}
}

func producerOf(b []byte) ProducerID {
	return ProducerID{ID: int64(be.Uint64(b[atProducerID:])), Epoch: int16(be.Uint16(b[atEpoch:]))}
}

// produceAll sends each batch to its leader, those of one leader together.
func produceAll(t *testing.T, c *Client, batches []*Batch) {
	t.Helper()
	byLeader := map[int32][]*Batch{}
	for _, b := range batches {
		leaders, _, err := c.Leaders(deadline(t), b.Topic)
		if err != nil {
			t.Fatal(err)
		}
		byLeader[leaders[b.Partition]] = append(byLeader[leaders[b.Partition]], b)
	}
	for leader, group := range byLeader {
		if err := c.Produce(deadline(t), leader, group); err != nil {
			t.Fatalf("producing to broker %d: %v", leader, err)
		}
	}
}

func TestProduceToTheWrongBroker(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, "topic"))
	c := wire(t, cluster.ListenAddrs())
	leader := leaderOf(t, c, "topic")
	b := &Batch{Topic: "topic", Bytes: AppendBatch(nil, ProducerID{ID: 1}, 0, []Record{{}}, time.Now())}
	if err := c.Produce(deadline(t), (leader+1)%3, []*Batch{b}); err != nil || !errors.Is(b.Err, kafka.NotLeaderForPartition) {
		t.Errorf("error %v of the call, %v of the batch; want NOT_LEADER of the batch", err, b.Err)
	}
	if err := c.Produce(deadline(t), 9, []*Batch{b}); err == nil || !Transient(err) {
		t.Errorf("a broker that is not there: error %v", err)
	}
}

func TestTopics(t *testing.T) {
	broker := kafkatest.Shared()
	name := broker.Topic(t, 1) + "-made" // unique
	c := wire(t, broker.Brokers())
	if _, err := c.DescribeTopic(deadline(t), name); !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), name) {
		t.Errorf("before: error %v", err)
	}
	want := Topic{Name: name, Partitions: 3, ReplicationFactor: -1, Configs: map[string]string{"max.message.bytes": "12345", "cleanup.policy": "delete"}}
	for i, existed := range []bool{false, true} {
		got, err := c.CreateTopic(deadline(t), want)
		if err != nil || got != existed {
			t.Errorf("creation %d: existed %t, error %v", i, got, err)
		}
	}
	kafkatest.Eventually(t, within, "the topic is described", func() bool {
		got, err := c.DescribeTopic(deadline(t), name, "max.message.bytes", "cleanup.policy", "no.such.config")
		if errors.Is(err, ErrNoTopic) { // metadata lags
			return false
		}
		if err != nil || got.Partitions != 3 || got.ReplicationFactor < 1 || got.MaxMessageBytes() != 12345 || got.Configs["cleanup.policy"] != "delete" {
			t.Errorf("after: %+v, error %v", got, err)
		}
		return true
	})
	if got, err := c.DescribeTopic(deadline(t), name); err != nil || got.MaxMessageBytes() != 0 {
		t.Errorf("without configs: %+v, error %v", got, err)
	}
	bad := Topic{Name: name + "-bad", Partitions: 0, ReplicationFactor: -1}
	if _, err := c.CreateTopic(deadline(t), bad); !errors.Is(err, kafka.InvalidPartitionNumber) || !strings.Contains(err.Error(), bad.Name) {
		t.Errorf("no partitions: error %v", err)
	}
	if _, err := c.API().DeleteTopics(deadline(t), &kafka.DeleteTopicsRequest{Topics: []string{name}}); err != nil {
		t.Logf("tidying up: %v", err)
	}
}
