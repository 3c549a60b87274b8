package kafkawire

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

var limits = FetchLimits{MaxWait: 100 * time.Millisecond, MaxBytes: 8 << 20, PartitionMaxBytes: 1 << 20}

func message(i int) kafka.Message { return kafka.Message{Value: fmt.Appendf(nil, "%d", i)} }

func TestFetch(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
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
	if f := fetched[0]; f.Err != nil || len(f.Records) != 2 || string(f.Records[0].Value) != "1" || f.Next != 3 ||
		f.Stable != 3 {
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
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	c := wire(t, broker.Brokers(), topic)
	// One producer for all transactions: its second one must not be taken for its first, aborted one.
	cl := oracle(t, broker.Brokers(), kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic),
		kgo.MaxVersions(kversion.V3_5_0()))
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
		if !strings.HasSuffix(" "+strings.Join(want, " "), " "+strings.Join(got, " ")) || from == 0 &&
			len(got) != len(want) || from == end-1 && len(got) != 1 {
			t.Errorf("from %d: %v, want the end of %v", from, got, want)
		}
		// Two markers and two records make up a transaction, so what lies below from can be counted.
		if n := int(from/6*2 + min(max(from%6-3, 0), 2)); len(got) != len(want)-n {
			t.Errorf("from %d: %v, want all but %d of %v", from, got, n, want)
		}
	}
}

// Fetches by topic id tell a topic that was made again, and one that is gone, from the one that was read.
func TestFetchByTopicID(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	c := wire(t, broker.Brokers(), topic)
	broker.Produce(t, topic, message(1), message(2), message(3))
	id, err := c.TopicID(deadline(t), topic)
	if err != nil || id == (TopicID{}) {
		t.Fatalf("topic id %v, error %v", id, err)
	}
	leader := leaderOf(t, c, topic)
	fetch := func(at LogPosition) Fetched {
		t.Helper()
		got, err := c.FetchLog(deadline(t), leader, topic, map[int32]LogPosition{0: at}, limits)
		if err != nil || len(got) != 1 {
			t.Fatalf("%+v, error %v", got, err)
		}
		return got[0]
	}
	f := fetch(LogPosition{Topic: id, Offset: 1, Epoch: 0})
	if f.Err != nil || f.Diverged != nil || len(f.Records) != 2 || f.Next != 3 || f.Records[0].LeaderEpoch != 0 {
		t.Errorf("%+v", f)
	}
	if len(f.Epochs) != 1 || f.Epochs[0] != (EpochStart{From: 1, Epoch: 0}) {
		t.Errorf("epochs %v", f.Epochs)
	}
	other := id
	other[3] ^= 1
	if f := fetch(LogPosition{Topic: other, Offset: 1, Epoch: NoEpoch}); !errors.Is(f.Err, kafka.UnknownTopicID) {
		t.Errorf("another id: %+v", f)
	}
	// The epoch ends before our offset: brokers say where, the embedded one that there is no such offset.
	switch f := fetch(LogPosition{Topic: id, Offset: 30, Epoch: 0}); {
	case broker.Kind() == kafkatest.KindEmbedded && !errors.Is(f.Err, kafka.OffsetOutOfRange):
		t.Errorf("behind the end: %+v", f)
	case broker.Kind() != kafkatest.KindEmbedded &&
		(f.Err != nil || f.Diverged == nil || *f.Diverged != EpochEnd{Epoch: 0, End: 3}):
		t.Errorf("behind the end: %+v, diverged %v", f, f.Diverged)
	}
	end, err := c.EpochEnd(deadline(t), topic, 0, 0)
	if err != nil || end != (EpochEnd{Epoch: 0, End: 3}) {
		t.Errorf("the epoch ends at %v, error %v", end, err)
	}
}

func TestFetchDiverged(t *testing.T) {
	t.Parallel()
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 2, 4, 20
	f, _ := new(Client).decodePartition("t", &p, LogPosition{Offset: 30, Epoch: 5}, limits, 0)
	if f.Partition != 2 || f.Diverged == nil || *f.Diverged != (EpochEnd{Epoch: 4, End: 20}) || f.Next != 30 ||
		f.Err != nil {
		t.Errorf("%+v", f)
	}
	if f, _ := new(Client).decodePartition("t", &kmsg.FetchResponseTopicPartition{
		DivergingEpoch: kmsg.NewFetchResponseTopicPartitionDivergingEpoch(),
	}, LogPosition{Offset: 30, Epoch: 5}, limits, 0); f.Diverged != nil {
		t.Errorf("diverged at %v, though the broker said nothing", f.Diverged)
	}
}
