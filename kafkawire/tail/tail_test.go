package tail

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// collect returns a callback for Read that notes "partition:value", and what it noted, sorted by partition.
func collect() (each func(int32, *kafkawire.Record) bool, got func() string) {
	var all []string
	each = func(partition int32, r *kafkawire.Record) bool {
		all = append(all, fmt.Sprintf("%d:%s", partition, r.Value))
		return true
	}
	got = func() string {
		slices.SortStableFunc(all, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
		return strings.Join(all, " ")
	}
	return each, got
}

func TestReaderToEnd(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 3)
	c := wire(t, broker.Brokers())
	write := func(partition int32, n, minute int) {
		broker.ProduceTo(t, topic, partition, kafka.Message{Value: fmt.Append(nil, n),
			Time: time.UnixMilli(1_700_000_000_000).Add(time.Duration(minute) * time.Minute)})
	}
	read := func(from int64, ready func(int64)) string {
		t.Helper()
		each, got := collect()
		if err := (Reader{Client: c, Topic: topic, From: from, ToEnd: true, Ready: ready}).
			Read(deadline(t), each); err != nil {
			t.Errorf("reading: %v", err)
		}
		return got()
	}
	if got := read(kafkawire.Earliest, nil); got != "" {
		t.Errorf("an empty topic: %s", got)
	}
	for i := range 3 {
		write(0, i, i)
		write(2, 10+i, i)
	}
	if got, want := read(kafkawire.Earliest, nil), "0:0 0:1 0:2 2:10 2:11 2:12"; got != want {
		t.Errorf("from the beginning: %s, want %s", got, want)
	}
	if got := read(kafkawire.Latest, nil); got != "" {
		t.Errorf("from the end: %s", got)
	}
	if got, want := read(time.UnixMilli(1_700_000_000_000).Add(90*time.Second).UnixMilli(), nil), "0:2 2:12"; got != want {
		t.Errorf("from a time: %s, want %s", got, want)
	}
	if got := read(time.UnixMilli(1_700_000_000_000).Add(time.Hour).UnixMilli(), nil); got != "" {
		t.Errorf("from after everything: %s", got)
	}
	// The end is that of the start, also where a fetch brings more: else a tool that writes what it reads never ends.
	late := func(int64) { write(0, 3, 3); write(1, 7, 3) }
	if got, want := read(kafkawire.Earliest, late), "0:0 0:1 0:2 2:10 2:11 2:12"; got != want {
		t.Errorf("with later writes: %s, want %s", got, want)
	}
	// An aborted transaction at the end holds no reader up.
	broker.ProduceTransaction(t, topic, []kafka.Message{{Key: []byte("a"), Value: []byte("no")},
		{Key: []byte("b"), Value: []byte("no")}}, false)
	if got, want := read(kafkawire.Earliest, nil), "0:0 0:1 0:2 0:3 1:7 2:10 2:11 2:12"; got != want {
		t.Errorf("with an aborted transaction: %s, want %s", got, want)
	}
}

// A topic that is followed is read with the partitions that are added to it, from their beginning, also by a share
// that had none before.
func TestReaderFollowsAddedPartitions(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	broker.ProduceTo(t, topic, 0, kafka.Message{Value: []byte("old")})
	settings := kafkawire.Settings{Brokers: broker.Brokers(), ClientID: "tail-test", Metadata: 100 * time.Millisecond}
	c := kafkatest.Closing(t, kafkawire.NewClient(settings, topic))
	each, got := collect()
	n, ready, done := 0, make(chan struct{}), make(chan error, 1)
	go func() {
		done <- Reader{Client: c, Topic: topic, From: kafkawire.Latest, Ready: func(int64) { close(ready) }}.Read(deadline(t),
			func(p int32, r *kafkawire.Record) bool {
				n++
				return each(p, r) && n < 4
			})
	}()
	<-ready
	kafkatest.AddPartitions(t, broker.Brokers(), topic, 4)
	for p := range int32(4) {
		broker.ProduceTo(t, topic, p, kafka.Message{Value: fmt.Append(nil, p)})
	}
	if err := <-done; err != nil || got() != "0:0 1:1 2:2 3:3" {
		t.Errorf("read %s, error %v", got(), err)
	}
}

func TestReaderFollows(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 2)
	broker.ProduceTo(t, topic, 0, kafka.Message{Value: fmt.Append(nil, 0)})
	c := wire(t, broker.Brokers())
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	ready, seen, done := make(chan struct{}), make(chan string), make(chan error, 1)
	go func() {
		done <- Reader{Client: c, Topic: topic, From: kafkawire.Latest, Ready: func(int64) { close(ready) }}.Read(ctx,
			func(p int32, r *kafkawire.Record) bool {
				seen <- fmt.Sprintf("%d:%s", p, r.Value)
				return string(r.Value) != "stop"
			})
	}()
	<-ready // what is written from here on is read, though nothing was fetched yet
	for i := 1; i < 4; i++ {
		broker.ProduceTo(t, topic, int32(i%2), kafka.Message{Value: fmt.Append(nil, i)})
		if got, want := <-seen, fmt.Sprintf("%d:%d", i%2, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	broker.ProduceTo(t, topic, 1, kafka.Message{Value: []byte("stop")}, kafka.Message{Value: []byte("never")})
	if got := <-seen; got != "1:stop" {
		t.Errorf("got %s", got)
	}
	if err := <-done; err != nil {
		t.Errorf("stopped by its callback: error %v", err)
	}
}

func TestReaderCancelled(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	for name, topic := range map[string]string{"following": broker.Topic(t, 1), "no such topic": "no-such-topic"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(deadline(t))
			defer cancel()
			time.AfterFunc(300*time.Millisecond, cancel)
			err := Reader{Client: wire(t, broker.Brokers()), Topic: topic, From: kafkawire.Earliest}.Read(ctx,
				func(int32, *kafkawire.Record) bool { return true })
			if err == nil || ctx.Err() == nil {
				t.Errorf("error %v, context %v", err, ctx.Err())
			}
		})
	}
}

// batch is what a log holds at an offset.
func batch(base int64, values ...string) []byte {
	records := make([]kafkawire.Record, len(values))
	for i, v := range values {
		records[i].Value = []byte(v)
	}
	b := kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1, records, time.Now())
	binary.BigEndian.PutUint64(b, uint64(base))
	return b
}

// serveOnce answers the next fetch with these bytes as the log of partition 0.
func serveOnce(cluster *kfake.Cluster, topic string, log []byte) {
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = req.GetVersion()
		p := kmsg.NewFetchResponseTopicPartition()
		p.RecordBatches = log
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.Partitions = topic, append(t.Partitions, p)
		resp.Topics = append(resp.Topics, t)
		return resp, nil, true
	})
}

func produceValue(t *testing.T, c *kafkawire.Client, values ...string) {
	t.Helper()
	var records []kafkawire.Record
	for _, v := range values {
		records = append(records, kafkawire.Record{Value: []byte(v)})
	}
	leaders, _, err := c.Leaders(deadline(t), "topic")
	if err != nil {
		t.Fatal(err)
	}
	b := &kafkawire.Batch{Topic: "topic", Bytes: kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1,
		records, time.Now())}
	if err := errors.Join(c.Produce(deadline(t), leaders[0], []*kafkawire.Batch{b}), b.Err); err != nil {
		t.Fatal(err)
	}
}

// A log that cannot be read will not become readable: a tool must say so instead of trying for ever.
func TestReaderOfCorruptLog(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	c := wire(t, cluster.ListenAddrs())
	produceValue(t, c, "a", "b")
	bad := batch(1, "b")
	bad[len(bad)-1] ^= 1
	serveOnce(cluster, "topic", slices.Concat(batch(0, "a"), bad))
	each, got := collect()
	err := Reader{Client: c, Topic: "topic", From: kafkawire.Earliest, ToEnd: true}.Read(deadline(t), each)
	if !errors.Is(err, kafkawire.ErrCorrupt) || got() != "0:a" {
		t.Errorf("error %v after %s, want kafkawire.ErrCorrupt after 0:a", err, got())
	}
}

// Who wants to know what cannot be read goes on behind it.
func TestReaderSkips(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	c := wire(t, cluster.ListenAddrs())
	produceValue(t, c, "a", "b", "c", "d", "e")
	bad := batch(1, "b", "c")
	bad[len(bad)-1] ^= 1
	serveOnce(cluster, "topic", slices.Concat(batch(0, "a"), bad, batch(3, "d", "e")))
	each, got := collect()
	var gaps []string
	r := Reader{Client: c, Topic: "topic", From: kafkawire.Earliest, ToEnd: true,
		Skipped: func(p int32, gap Span, why error) {
			gaps = append(gaps, fmt.Sprintf("%d:%d-%d %t", p, gap.From, gap.To, errors.Is(why, kafkawire.ErrCorrupt)))
		}}
	if err := r.Read(deadline(t), each); err != nil || got() != "0:a 0:d 0:e" {
		t.Errorf("read %s, error %v", got(), err)
	}
	if want := []string{"0:1-3 true"}; !slices.Equal(gaps, want) {
		t.Errorf("gaps %v, want %v", gaps, want)
	}
}

// The head of a corrupt batch may say anything: reading goes on behind it, no further than the next batch.
func TestReaderSkipsNonsense(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(bad []byte){
		"last offset": func(bad []byte) { binary.BigEndian.PutUint32(bad[23:], 1<<30) },
		"base offset": func(bad []byte) { binary.BigEndian.PutUint64(bad, math.MaxInt64) },
		"count":       func(bad []byte) { binary.BigEndian.PutUint32(bad[57:], 1<<31-1) },
		"format":      func(bad []byte) { bad[16] = 1 },
	} {
		for _, more := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, more %t", name, more), func(t *testing.T) {
				cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
				c := wire(t, cluster.ListenAddrs())
				produceValue(t, c, "a", "b", "c", "d")
				bad := batch(1, "b", "c")
				change(bad)
				log := slices.Concat(batch(0, "a"), bad)
				if more {
					log = slices.Concat(log, batch(3, "d"))
				}
				serveOnce(cluster, "topic", log)
				each, got := collect()
				r := Reader{Client: c, Topic: "topic", From: kafkawire.Earliest, ToEnd: true, Skipped: func(int32, Span, error) {}}
				err := r.Read(deadline(t), each)
				if err != nil || !strings.HasPrefix(got(), "0:a ") || !strings.HasSuffix(got(), "0:d") {
					t.Errorf("read %s, error %v", got(), err)
				}
			})
		}
	}
}

// A topic that deletes old records while it is read is read on from where it begins now.
func TestReaderOfExpiringLog(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	c := wire(t, broker.Brokers())
	for i := range 5 {
		broker.ProduceTo(t, topic, 0, kafka.Message{Value: fmt.Append(nil, i)})
	}
	each, got := collect()
	var gaps []string
	r := Reader{Client: c, Topic: topic, From: kafkawire.Earliest, ToEnd: true,
		Ready: func(int64) { broker.DeleteRecords(t, topic, map[int32]int64{0: 3}) },
		Skipped: func(p int32, gap Span, why error) {
			gaps = append(gaps, fmt.Sprintf("%d:%d-%d %t", p, gap.From, gap.To, errors.Is(why, kafka.OffsetOutOfRange)))
		}}
	if err := r.Read(deadline(t), each); err != nil || got() != "0:3 0:4" {
		t.Errorf("read %s, error %v", got(), err)
	}
	if want := []string{"0:0-3 true"}; !slices.Equal(gaps, want) {
		t.Errorf("gaps %v, want %v", gaps, want)
	}
}

func TestReaderWithin(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 3)
	c := wire(t, broker.Brokers())
	for p := range int32(3) {
		for i := range 4 {
			broker.ProduceTo(t, topic, p, kafka.Message{Value: fmt.Append(nil, i)})
		}
	}
	each, got := collect()
	var size int64
	r := Reader{Client: c, Topic: topic, ToEnd: true, Within: map[int32]Span{0: {1, 3}, 2: {3, 99}, 7: {0, 1}},
		Ready: func(ahead int64) { size = ahead }}
	if err := r.Read(deadline(t), each); err != nil || got() != "0:1 0:2 2:3" || size != 3 {
		t.Errorf("read %s of %d, error %v", got(), size, err)
	}
}

// Leaders move, brokers err, connections break: what passes is waited out, and nothing is read twice or left out.
func TestReaderWaitsOut(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	c := wire(t, cluster.ListenAddrs())
	produceValue(t, c, "a", "b")
	var faults int
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if faults++; faults <= 2 {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	each, got := collect()
	ready := func(int64) {
		if err := cluster.MoveTopicPartition("topic", 0, (cluster.LeaderFor("topic", 0)+1)%3); err != nil {
			t.Error(err)
		}
	}
	err := Reader{Client: c, Topic: "topic", From: kafkawire.Earliest, ToEnd: true, Ready: ready}.Read(deadline(t), each)
	if err != nil || got() != "0:a 0:b" {
		t.Errorf("error %v after %q, want both records", err, got())
	}
}

// A partition without a leader for a while is not asked of a broker that happens to have the number 0.
func TestReaderWithoutLeader(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(3, "topic"))
	c := wire(t, cluster.ListenAddrs())
	asked := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "topic", Partitions: []int32{2}, Observe: true,
		Count: -1})
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	ready := func(int64) {
		kafkatest.WithoutLeader(cluster, 2)
		c.Reset()
		time.AfterFunc(500*time.Millisecond, cancel)
	}
	_ = Reader{Client: c, Topic: "topic", From: kafkawire.Earliest, Ready: ready}.Read(ctx,
		func(int32, *kafkawire.Record) bool { return true })
	if n := asked.Hits(); n > 0 {
		t.Errorf("asked %d times for a partition without a leader", n)
	}
}
