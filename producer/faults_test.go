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

	"balanceq/internal/kafkatest"
	"balanceq/schemas"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var notEnoughReplicas = kerr.NotEnoughReplicas

// What a broker answers to a batch, before applying it or after: each message is in the log once all the same, in order, and
// what is sent again is sent byte for byte.
func TestAnswersInError(t *testing.T) {
	for _, answer := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.KafkaStorageError,
		kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, // these two are applied and answered with an error
		kerr.TopicAuthorizationFailed, kerr.UnknownServerError, kerr.PolicyViolation, // waited out as well: nothing is dropped
	} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := embedded(t, kfake.SeedTopics(1, "topic"))
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
			if n := len(obs.seen()); n != 3 || faults.Hits() != 3 || obs.at[0] != "topic/0" {
				t.Errorf("%d failures were observed (first at %v), %d injected; want 3", n, obs.at, faults.Hits())
			}
			identical(t, batches())
			if s := p.Status(); s.Failing != nil || s.Since != 0 || s.Buffered != 0 {
				t.Errorf("afterwards the status is %+v", s)
			}
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
	var lose atomic.Int32
	cluster := embedded(t, kfake.SeedTopics(2, "topic"), tap(func(key int16) bool {
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
	cluster := embedded(t, kfake.SeedTopics(1, "topic"))
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
	cluster := embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(3, "topic"))
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 200})
	faults := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "topic", Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1})
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
	if slices.ContainsFunc(obs.at, func(at string) bool { return at != "topic/1" }) {
		t.Errorf("failures were observed at %v", obs.at)
	}
	faults.Remove()
	failing.wait(t, 100)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 150), 1: sequence("", 100), 2: sequence("", 50)})
	if s := p.Status(); s.Failing != nil {
		t.Errorf("afterwards it still fails: %v", s.Failing)
	}
}

// The status tells of the oldest failure, and of the next one as soon as that is over.
func TestStatusOfSeveralFailures(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(2, "topic"))
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

// A broker that hangs holds up its own partitions only.
func TestHungLeader(t *testing.T) {
	cluster := embedded(t, kfake.NumBrokers(3), kfake.SeedTopics(3, "topic"))
	for p := range int32(3) {
		if err := cluster.MoveTopicPartition("topic", p, p); err != nil {
			t.Fatal(err)
		}
	}
	gate := make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if cluster.CurrentNode() == 1 {
			cluster.SleepControl(func() { <-gate })
		}
		return nil, nil, false
	})
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	fine, hung := newAcks(), newAcks()
	for _, name := range sequence("", 50) {
		write(t, p, "topic", 1, name, hung)
		write(t, p, "topic", 0, name, fine)
		write(t, p, "topic", 2, name, fine)
	}
	kafkatest.Eventually(t, within, "the others go on", func() bool { return fine.total.Load() == 100 })
	if n := hung.total.Load(); n != 0 {
		t.Errorf("%d acknowledgements from a broker that hangs", n)
	}
	release()
	hung.wait(t, 50)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 50), 1: sequence("", 50), 2: sequence("", 50)})
}

// The broker has forgotten the producer: a new id goes on, from sequence 0, in order.
func TestProducerStateLost(t *testing.T) {
	for _, answer := range []*kerr.Error{kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.ProducerFenced} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := embedded(t, kfake.SeedTopics(1, "topic"))
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
	cluster := embedded(t, kfake.SeedTopics(1, "topic"))
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: 3})
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

func TestLeadersMove(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(2, "topic"))
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 300})
	a := newAcks()
	for i, name := range sequence("", 300) {
		if i%30 == 0 {
			for partition := range int32(2) {
				if err := cluster.MoveTopicPartition("topic", partition, (cluster.LeaderFor("topic", partition)+1)%3); err != nil {
					t.Fatal(err)
				}
			}
		}
		write(t, p, "topic", 0, name, a)
		write(t, p, "topic", 1, "b"+name, a)
		if i%30 == 29 {
			a.wait(t, 2*(i+1)-20) // some are on their way as the leader moves, but not all
		}
	}
	a.wait(t, 600)
	a.once(t, 600)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 300), 1: sequence("b", 300)})
}

// Connections break at random, before a request is applied and after, leaders move, brokers answer in error; many write.
func TestEverythingAtOnce(t *testing.T) {
	const partitions, each = 6, 400
	var trouble atomic.Bool
	roll := func(percent int) bool { return trouble.Load() && rand.IntN(100) < percent }
	cluster := embedded(t, kfake.SeedTopics(partitions, "topic"), tap(func(int16) bool { return roll(5) }))
	cluster.ControlKey(-1, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if roll(5) {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 500, BufferBytes: 4000})
	batches := capture(t, cluster)
	trouble.Store(true)
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
	errs := []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotEnoughReplicas, kerr.NotLeaderForPartition}
	for i := 0; a.total.Load() < partitions*each*9/10; i++ {
		before := a.total.Load()
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{rand.Int32N(partitions)}, Err: errs[i%len(errs)]})
		if err := cluster.MoveTopicPartition("topic", rand.Int32N(partitions), rand.Int32N(3)); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, within, "it goes on in spite of it", func() bool { return a.total.Load() >= before+20 })
	}
	trouble.Store(false)
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

// While nobody leads the partition there is nobody to send to; other partitions go on.
func TestLeaderUnknownForAWhile(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(2, "topic"))
	var known atomic.Bool
	hideLeader(cluster, "topic", 2, 1, &known)
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	a, waiting := newAcks(), newAcks()
	for _, name := range sequence("", 10) {
		write(t, p, "topic", 1, name, waiting)
		write(t, p, "topic", 0, name, a)
	}
	a.wait(t, 10)
	if n := waiting.total.Load(); n != 0 {
		t.Errorf("%d acknowledgements of a partition without leader", n)
	}
	known.Store(true)
	waiting.wait(t, 10)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 10), 1: sequence("", 10)})
}

// hideLeader answers metadata requests itself, saying that one partition has no leader until known is set.
func hideLeader(cluster *kfake.Cluster, topic string, partitions, hidden int32, known *atomic.Bool) {
	cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if known.Load() || req.(*kmsg.MetadataRequest).Version > 8 { // of the reading client
			return nil, nil, false
		}
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = req.GetVersion()
		for i, addr := range cluster.ListenAddrs() {
			b := kmsg.MetadataResponseBroker{NodeID: int32(i)}
			host, port, _ := strings.Cut(addr, ":")
			b.Host = host
			_, _ = fmt.Sscan(port, &b.Port)
			resp.Brokers = append(resp.Brokers, b)
		}
		t := kmsg.NewMetadataResponseTopic()
		t.Topic = kmsg.StringPtr(topic)
		for id := range partitions {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader = id, cluster.LeaderFor(topic, id)
			if id == hidden {
				p.Leader, p.ErrorCode = -1, kerr.LeaderNotAvailable.Code
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
		return resp, nil, true
	})
}

// A batch of several records over the topic's limit is split; nothing is lost or reordered, and larger batches are not tried
// again and again.
func TestTooLargeBatchIsSplit(t *testing.T) {
	broker := kafkatest.Shared()
	topic := broker.Topic(t, 1, "max.message.bytes=2000")
	p, obs := start(t, broker.Brokers(), Config{Topics: []string{topic}, BatchBytes: 64 << 10})
	a := newAcks()
	var names []string
	kafkatest.Eventually(t, within, "a batch is too large", func() bool {
		for range 50 {
			name := fmt.Sprintf("%0200d", len(names))
			names = append(names, name)
			write(t, p, topic, 0, name, a)
		}
		return obs.saw("Message Size Too Large")
	})
	a.wait(t, len(names))
	a.once(t, len(names))
	wantLog(t, broker.Brokers(), topic, map[int32][]string{0: names})
	if s := p.Status(); s.Failing != nil || s.Buffered != 0 {
		t.Errorf("afterwards: %+v", s)
	}
	if failures := len(obs.seen()); failures > 20 {
		t.Errorf("%d tries were too large", failures)
	}
}

// A single message over the limit holds its partition up, visibly, until somebody raises the limit.
func TestTooLargeMessageWaits(t *testing.T) {
	broker := kafkatest.Shared()
	topic := broker.Topic(t, 2, "max.message.bytes=2000")
	p, obs := start(t, broker.Brokers(), Config{Topics: []string{topic}})
	a, behind := newAcks(), newAcks()
	large := strings.Repeat("x", 3000)
	write(t, p, topic, 0, large, behind)
	write(t, p, topic, 0, "behind it", behind)
	kafkatest.Eventually(t, within, "the status says so", func() bool {
		s := p.Status()
		return s.Failing != nil && strings.Contains(s.Failing.Error(), "Message Size Too Large") && s.Since > 0
	})
	write(t, p, topic, 1, "elsewhere", a)
	a.wait(t, 1)
	if n := behind.total.Load(); n != 0 || !obs.saw("Message Size Too Large") {
		t.Errorf("%d acknowledgements, observed %v", n, obs.seen())
	}
	raiseLimit(t, broker.Brokers(), topic, "5000")
	behind.wait(t, 2)
	wantLog(t, broker.Brokers(), topic, map[int32][]string{0: {large, "behind it"}, 1: {"elsewhere"}})
	if s := p.Status(); s.Failing != nil {
		t.Errorf("afterwards it still fails: %v", s.Failing)
	}
}

func raiseLimit(t *testing.T, brokers []string, topic, limit string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "max.message.bytes", kmsg.StringPtr(limit)
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.Configs = kmsg.ConfigResourceTypeTopic, topic, append(r.Configs, c)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(deadline(t), cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("raising the limit: %v", err)
	}
}

// Partitions may be added while it runs: keys spread over them, and nothing breaks.
func TestPartitionsAdded(t *testing.T) {
	broker := kafkatest.Shared()
	topic := broker.Topic(t, 1)
	p, _ := start(t, broker.Brokers(), Config{Topics: []string{topic}})
	a := newAcks()
	write(t, p, topic, 0, "before", a)
	a.wait(t, 1)
	addPartitions(t, broker.Brokers(), topic, 4)
	n := 0
	kafkatest.Eventually(t, within, "the new partitions are used", func() bool {
		for range 20 {
			n++
			key := fmt.Sprint("key", n)
			if err := p.Write(deadline(t), topic, Keyed, schemas.Message{Key: []byte(key), Value: []byte(key)}, a.of(key)); err != nil {
				t.Fatal(err)
			}
		}
		return len(logOf(t, broker.Brokers(), topic)) == 4
	})
	a.wait(t, n+1)
	a.once(t, n+1)
	total := 0
	for _, values := range logOf(t, broker.Brokers(), topic) {
		total += len(values)
	}
	if total != n+1 {
		t.Errorf("%d messages in the log, want %d", total, n+1)
	}
}

func addPartitions(t *testing.T, brokers []string, topic string, count int32) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	add := kmsg.NewCreatePartitionsRequestTopic()
	add.Topic, add.Count = topic, count
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics = append(req.Topics, add)
	req.TimeoutMillis = int32(within / time.Millisecond)
	resp, err := req.RequestWith(deadline(t), cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("adding partitions: %v", err)
	}
}

// The broker goes away (kill -9 where it is a container) with messages on their way, and comes back.
func TestBrokerRestart(t *testing.T) {
	broker := kafkatest.New(t)
	topic := broker.Topic(t, 2)
	p, obs := start(t, broker.Brokers(), Config{Topics: []string{topic}, BatchBytes: 300})
	a := newAcks()
	n := 0
	some := func() {
		for range 200 {
			write(t, p, topic, int32(n%2), fmt.Sprint(n), a)
			n++
		}
	}
	some()
	a.wait(t, 100)
	broker.Stop(t, true)
	some()
	kafkatest.Eventually(t, within, "writes fail", func() bool { return len(obs.seen()) > 0 && p.Status().Failing != nil })
	broker.Start(t)
	some()
	a.wait(t, n)
	a.once(t, n)
	want := map[int32][]string{}
	for i, name := range sequence("", n) {
		want[int32(i%2)] = append(want[int32(i%2)], name)
	}
	wantLog(t, broker.Brokers(), topic, want)
}
