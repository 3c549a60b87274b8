package producer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

var errNotEnoughReplicas = kerr.NotEnoughReplicas

// What a broker answers to a batch, before applying it or after: each message is in the log once all the same, in
// order, and what is sent again is sent byte for byte.
func TestAnswersInError(t *testing.T) {
	t.Parallel()
	for _, answer := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas,
		kerr.KafkaStorageError,
		kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, // these two are applied and answered with an error
		// waited out as well: nothing is dropped
		kerr.TopicAuthorizationFailed, kerr.UnknownServerError, kerr.PolicyViolation,
	} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
			batches := capture(t, cluster)
			p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 300})
			faults := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: answer, Count: 3})
			a := newAcks()
			for _, name := range sequence("", 100) {
				write(t, p, "topic", 0, name, a)
			}
			a.wait(t, 100)
			a.once(t, 100)
			wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 100)})
			if n := len(obs.seen()); n != 3 || faults.Hits() != 3 || obs.where()[0] != "topic/0" {
				t.Errorf("%d failures were observed (first at %v), %d injected; want 3", n, obs.where(), faults.Hits())
			}
			identical(t, batches())
			awaitIdle(t, p)
		})
	}
}

// identical fails the test unless batches of the same sequence are the same bytes, and there are some.
func identical(t *testing.T, batches []sent) {
	t.Helper()
	first := map[string]string{}
	repeated := 0
	for _, b := range batches {
		key := fmt.Sprint(b.partition, b.id, b.sequence)
		if seen, ok := first[key]; ok {
			repeated++
			if seen != b.bytes {
				t.Errorf("batch %s was sent again with other bytes", key)
			}
		}
		first[key] = b.bytes
	}
	if repeated == 0 {
		t.Error("nothing was sent twice: the test proves nothing")
	}
}

// The broker applies a batch, and the connection breaks before its answer: the classic duplicate.
func TestLostAcknowledgement(t *testing.T) {
	t.Parallel()
	var lose atomic.Int32
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(2, "topic"), tap(func(key int16) bool {
		return key == int16(kmsg.Produce) && lose.Add(-1) >= 0
	}))
	batches := capture(t, cluster)
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 300})
	lose.Store(4)
	a := newAcks()
	for i, name := range sequence("", 200) {
		write(t, p, "topic", int32(i%2), name, a)
	}
	a.wait(t, 200)
	a.once(t, 200)
	all := sequence("", 200)
	want := map[int32][]string{}
	for i, name := range all {
		want[int32(i%2)] = append(want[int32(i%2)], name)
	}
	wantLog(t, cluster.ListenAddrs(), "topic", want)
	identical(t, batches())
	if len(obs.seen()) < 4 {
		t.Errorf("%d failures were observed, want at least the 4 lost answers", len(obs.seen()))
	}
}

// An acknowledgement never comes before the record can be read.
func TestAcknowledgedIsInTheLog(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 200})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 2})
	var acked, early atomic.Int64
	for i := range 100 {
		err := p.Write(deadline(t), "topic", 0, schemas.Message{Value: []byte("x")}, ackFunc(func() {
			if acked.Add(1) != int64(i+1) {
				t.Errorf("message %d is acknowledged out of order", i)
			}
			if info := cluster.PartitionInfo("topic", 0); info.HighWatermark <= int64(i) {
				early.Add(1)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(deadline(t)); err != nil || acked.Load() != 100 {
		t.Fatalf("closing: %v; %d acknowledgements", err, acked.Load())
	}
	if n := early.Load(); n > 0 {
		t.Errorf("%d of 100 were acknowledged before they were in the log", n)
	}
}

type ackFunc func()

func (f ackFunc) Acknowledged() { f() }

// A partition that fails holds back its own later messages, and only those.
func TestNothingOvertakes(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(3, "topic"))
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 200})
	faults := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "topic", Partitions: []int32{1},
		Err: kerr.NotEnoughReplicas, Count: -1})
	failing, fine := newAcks(), newAcks()
	for i := range 100 {
		write(t, p, "topic", 0, fmt.Sprint(i), fine)
		write(t, p, "topic", 1, fmt.Sprint(i), failing)
	}
	fine.wait(t, 100)
	kafkatest.Eventually(t, within, "the status says so", func() bool { return p.Status().Failing != nil })
	for i := range 50 { // they go on while the other one fails
		write(t, p, "topic", 0, fmt.Sprint(100+i), fine)
		write(t, p, "topic", 2, fmt.Sprint(i), fine)
	}
	kafkatest.Eventually(t, within, "the others go on", func() bool { return fine.total.Load() == 200 })
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 150), 2: sequence("", 50)})
	if s := p.Status(); !strings.Contains(s.Failing.Error(), "Not Enough Replicas") || s.Since <= 0 || s.Buffered == 0 {
		t.Errorf("status %+v", s)
	}
	if n := failing.total.Load(); n != 0 {
		t.Errorf("%d acknowledgements of the failing partition", n)
	}
	if slices.ContainsFunc(obs.where(), func(at string) bool { return at != "topic/1" }) {
		t.Errorf("failures were observed at %v", obs.where())
	}
	faults.Remove()
	failing.wait(t, 100)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 150), 1: sequence("", 100),
		2: sequence("", 50)})
	awaitIdle(t, p)
}

// The status tells of the oldest failure, and of the next one as soon as that is over.
func TestStatusOfSeveralFailures(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(2, "topic"))
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	fail := func(partition int32, err *kerr.Error) *kfake.FaultHandle {
		return cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{partition}, Err: err, Count: -1})
	}
	first, second := fail(0, kerr.NotEnoughReplicas), fail(1, kerr.KafkaStorageError)
	a, b := newAcks(), newAcks()
	write(t, p, "topic", 0, "a", a)
	kafkatest.Eventually(t, within, "the first fails", func() bool { return len(obs.seen()) > 2 })
	write(t, p, "topic", 1, "b", b)
	kafkatest.Eventually(t, within, "the second fails, for some time", func() bool {
		n := 0
		for _, err := range obs.seen() {
			if strings.Contains(err.Error(), "Storage") {
				n++
			}
		}
		return n > 5 // its pauses have grown
	})
	both := p.Status()
	if both.Failing == nil || !strings.Contains(both.Failing.Error(), "Not Enough") {
		t.Errorf("both fail: %+v, want the older one", both)
	}
	first.Remove()
	a.wait(t, 1)
	kafkatest.Eventually(t, within, "the second is all that fails", func() bool {
		s := p.Status()
		if s.Failing == nil {
			t.Fatal("nothing fails, says the status")
		}
		return strings.Contains(s.Failing.Error(), "Storage") && s.Since > 100*time.Millisecond && s.Since < both.Since+within
	})
	second.Remove()
	b.wait(t, 1)
	kafkatest.Eventually(t, within, "nothing fails", func() bool { return p.Status().Failing == nil })
}

// The broker has forgotten the producer: a new id goes on, from sequence 0, in order.
func TestProducerStateLost(t *testing.T) {
	t.Parallel()
	for _, answer := range []*kerr.Error{kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch,
		kerr.ProducerFenced} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
			batches := capture(t, cluster)
			p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
			a := newAcks()
			for i, name := range sequence("", 30) {
				if i == 10 || i == 20 {
					a.wait(t, i)
					cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: answer, Count: 1})
				}
				write(t, p, "topic", 0, name, a)
			}
			a.wait(t, 30)
			a.once(t, 30)
			wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 30)})
			var ids []int64
			for _, b := range batches() {
				if !slices.Contains(ids, b.id) {
					ids = append(ids, b.id)
					if b.sequence != 0 {
						t.Errorf("the first batch of producer %d has sequence %d", b.id, b.sequence)
					}
				}
			}
			if len(ids) != 3 {
				t.Errorf("producer ids %v, want three", ids)
			}
		})
	}
}

// Where no producer id is to be had, the messages wait.
func TestProducerIDRefused(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress,
		Count: 3})
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}}) // which asks for one ahead
	a := newAcks()
	for _, name := range sequence("", 10) {
		write(t, p, "topic", 0, name, a)
	}
	a.wait(t, 10)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 10)})
	if !obs.saw("getting a producer id") {
		t.Errorf("observed %v", obs.seen())
	}
}

// Connections break at random, before a request is applied and after, leaders move, brokers answer in error; many
// write.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	const partitions, each = 6, 400
	var faulty atomic.Bool
	roll := func(percent int) bool { return faulty.Load() && rand.IntN(100) < percent }
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(partitions, "topic"), tap(func(int16) bool { return roll(5) }))
	cluster.ControlKey(-1, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if roll(5) {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 500, BufferBytes: 4000})
	batches := capture(t, cluster)
	faulty.Store(true)
	a := newAcks()
	var wg sync.WaitGroup
	for partition := range int32(partitions) {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d-%d", partition, i)
				if err := p.Write(deadline(t), "topic", partition, schemas.Message{Value: []byte(name)}, a.of(name)); err != nil {
					t.Errorf("writing: %v", err)
					return
				}
			}
		})
	}
	errs := []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotEnoughReplicas,
		kerr.NotLeaderForPartition}
	for i := 0; a.total.Load() < partitions*each*9/10; i++ {
		before := a.total.Load()
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{rand.Int32N(partitions)},
			Err: errs[i%len(errs)]})
		if err := cluster.MoveTopicPartition("topic", rand.Int32N(partitions), rand.Int32N(3)); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, within, "it goes on in spite of it", func() bool { return a.total.Load() >= before+20 })
	}
	faulty.Store(false)
	wg.Wait()
	a.wait(t, partitions*each)
	a.once(t, partitions*each)
	want := map[int32][]string{}
	for partition := range int32(partitions) {
		want[partition] = sequence(fmt.Sprintf("%d-", partition), each)
	}
	wantLog(t, cluster.ListenAddrs(), "topic", want)
	identical(t, batches())
}
