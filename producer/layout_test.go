package producer

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// A broker that hangs holds up its own partitions only.
func TestHungLeader(t *testing.T) {
	t.Parallel()
	cluster, _, release := holding(t, 1, kfake.NumBrokers(3), kfake.SeedTopics(3, "topic"))
	for p := range int32(3) {
		if err := cluster.MoveTopicPartition("topic", p, p); err != nil {
			t.Fatal(err)
		}
	}
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
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("", 50), 1: sequence("", 50),
		2: sequence("", 50)})
}

func TestLeadersMove(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(2, "topic"))
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

// A partition without a leader cannot be sent to; other partitions go on.
func TestLeaderUnknownForAWhile(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(2, "topic"))
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

// Partitions may be added while it runs: keys spread over them, and nothing breaks.
func TestPartitionsAdded(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	p, _ := start(t, broker.Brokers(), Config{Topics: []string{topic}})
	a := newAcks()
	write(t, p, topic, 0, "before", a)
	a.wait(t, 1)
	kafkatest.AddPartitions(t, broker.Brokers(), topic, 4)
	n := 0
	kafkatest.Eventually(t, within, "the new partitions are used", func() bool {
		for range 20 {
			n++
			key := fmt.Sprint("key", n)
			if err := p.Write(deadline(t), topic, Keyed, schemas.Message{Key: []byte(key), Value: []byte(key)},
				a.of(key)); err != nil {
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

// The broker goes away (kill -9 where it is a container) with messages on their way, and comes back.
func TestBrokerRestart(t *testing.T) {
	t.Parallel()
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
