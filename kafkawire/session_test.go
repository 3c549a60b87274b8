package kafkawire

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

var quickLimits = FetchLimits{MaxWait: 5 * time.Millisecond, MaxBytes: 8 << 20, PartitionMaxBytes: 1 << 20}

// Whatever is wanted, dropped and written in any order: each record of a wanted partition comes once, in order, and
// none of another.
func TestFetchSession(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 9)
	c := wire(t, broker.Brokers(), topic)
	id, err := c.TopicID(deadline(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	leader := leaderOf(t, c, topic)
	var own []int32 // partitions of that leader
	kafkatest.Eventually(t, within, "all have leaders", func() bool {
		c.Reset()
		leaders, n, err := c.Leaders(deadline(t), topic)
		own = slices.Sorted(maps.Keys(leaders))
		own = slices.DeleteFunc(own, func(p int32) bool { return leaders[p] != leader })
		return err == nil && n == len(leaders)
	})
	s := c.FetchSession(leader, topic)
	written, read, wanted := map[int32]int64{}, map[int32]int64{}, map[int32]bool{}
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 60 {
		p := own[random.IntN(len(own))]
		switch random.IntN(4) {
		case 0:
			s.Drop(p)
			delete(wanted, p)
		case 1:
			s.Want(p, LogPosition{Topic: id, Offset: read[p], Epoch: NoEpoch})
			wanted[p] = true
		default:
			broker.ProduceTo(t, topic, p, message(step))
			written[p]++
		}
		unread := func() bool {
			for p := range wanted {
				if read[p] < written[p] {
					return true
				}
			}
			return false
		}
		kafkatest.Eventually(t, within, "all that is wanted is read", func() bool {
			got, err := s.Fetch(deadline(t), quickLimits)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range got {
				if f.Err != nil || !wanted[f.Partition] || f.From.Offset != read[f.Partition] {
					t.Fatalf("step %d: partition %d at %d: %v", step, f.Partition, f.From.Offset, f.Err)
				}
				for i := range f.Records {
					if f.Records[i].Offset != read[f.Partition]+int64(i) {
						t.Fatalf("step %d: offset %d of partition %d, want %d", step, f.Records[i].Offset, f.Partition,
							read[f.Partition]+int64(i))
					}
				}
				read[f.Partition] = f.Next
				s.Want(f.Partition, LogPosition{Topic: id, Offset: f.Next, Epoch: NoEpoch})
			}
			return !unread()
		})
	}
	if len(read) == 0 {
		t.Error("nothing was read")
	}
}

// asked records what fetches ask a broker for.
type asked struct {
	mu       sync.Mutex
	requests []string
}

func (a *asked) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[len(a.requests)-1]
}

func observed(c *kfake.Cluster) *asked {
	a := &asked{}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true, When: func(req kmsg.Request) bool {
		f := req.(*kmsg.FetchRequest)
		named, dropped := 0, 0
		for _, t := range f.Topics {
			named += len(t.Partitions)
		}
		for _, t := range f.ForgottenTopics {
			dropped += len(t.Partitions)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests = append(a.requests,
			fmt.Sprintf("v%d session %t epoch %d: %d, less %d", f.Version, f.SessionID != 0, f.SessionEpoch, named, dropped))
		return true
	}})
	return a
}

func sessionOn(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, *FetchSession, TopicID) {
	t.Helper()
	cluster := kafkatest.Embedded(t, append(opts, kfake.NumBrokers(1), kfake.SeedTopics(100, "topic"))...)
	c := wire(t, cluster.ListenAddrs(), "topic")
	id, err := c.TopicID(deadline(t), "topic")
	if err != nil {
		t.Fatal(err)
	}
	return cluster, c.FetchSession(leaderOf(t, c, "topic"), "topic"), id
}

// What a fetch says does not grow with the partitions at rest; what was lost of a session is said again.
func TestFetchSessionSaysWhatChanges(t *testing.T) {
	t.Parallel()
	cluster, s, id := sessionOn(t)
	a := observed(cluster)
	fetch := func(want string) {
		t.Helper()
		if _, err := s.Fetch(deadline(t), quickLimits); err != nil {
			t.Fatal(err)
		}
		if got := a.last(); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
	at := LogPosition{Topic: id, Epoch: NoEpoch}
	for p := range int32(100) {
		s.Want(p, at)
	}
	fetch("v13 session false epoch 0: 100, less 0")
	fetch("v13 session true epoch 1: 0, less 0")
	s.Want(7, at)
	s.Want(8, LogPosition{Topic: id, Offset: 0, Epoch: 0})
	s.Drop(9)
	s.Drop(10)
	s.Want(10, at)
	fetch("v13 session true epoch 2: 2, less 1")
	for _, lost := range []error{kerr.FetchSessionIDNotFound, kerr.InvalidFetchSessionEpoch,
		kerr.FetchSessionTopicIDError} {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: 1, TopLevel: true,
			Err: lost.(*kerr.Error)}) //nolint:errorlint // kerr's own
		fetch("v13 session false epoch 0: 99, less 0")
	}
	fetch("v13 session true epoch 1: 0, less 0")
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: 1, TopLevel: true, Err: kerr.UnknownServerError})
	if _, err := s.Fetch(deadline(t), quickLimits); !errors.Is(err, kafka.Unknown) {
		t.Errorf("error %v", err)
	}
	fetch("v13 session true epoch 0: 99, less 0")
	s.Want(3, LogPosition{Epoch: NoEpoch}) // by name
	fetch("v12 session true epoch 0: 99, less 0")
	s.Drop(3)
	s.epoch = maxSessionEpoch
	s.told(s.id)
	if s.epoch != 1 {
		t.Errorf("epoch %d follows on the largest", s.epoch)
	}
}

// A broker without room for sessions is asked for everything.
func TestFetchSessionWithoutRoom(t *testing.T) {
	t.Parallel()
	cluster, s, id := sessionOn(t)
	a := observed(cluster)
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req.(*kmsg.FetchRequest).SessionEpoch = noSession
		return nil, nil, false
	})
	for p := range int32(3) {
		s.Want(p, LogPosition{Topic: id, Epoch: NoEpoch})
	}
	for range 2 {
		if _, err := s.Fetch(deadline(t), quickLimits); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range a.requests {
		if want := "v13 session false epoch -1: 3, less 0"; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
}

// A topic that was made again is another one: the session goes on with that alone.
func TestFetchSessionOfAnotherTopic(t *testing.T) {
	t.Parallel()
	cluster, s, id := sessionOn(t)
	a := observed(cluster)
	other := id
	other[3] ^= 1
	for name, change := range map[string]func(){
		"wanted again":       func() { s.Want(1, LogPosition{Topic: other}) },
		"dropped and wanted": func() { s.Drop(1); s.Want(1, LogPosition{Topic: id}) },
		"the same as it was": func() { s.Want(1, LogPosition{Topic: other}); s.Want(1, LogPosition{Topic: id}) },
		"dropped, and again": func() {
			s.Drop(1)
			s.Want(1, LogPosition{Topic: other})
			s.Drop(1)
			s.Want(1, LogPosition{Topic: id})
		},
		"both dropped before": func() { s.Drop(1); s.Drop(2); s.Want(1, LogPosition{Topic: other}) },
	} {
		s.Begin()
		s.Want(1, LogPosition{Topic: id})
		s.Want(2, LogPosition{Topic: id})
		if _, err := s.Fetch(deadline(t), quickLimits); err != nil {
			t.Fatal(err)
		}
		change()
		got, err := s.Fetch(deadline(t), quickLimits)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			if f.From.Topic == other && !errors.Is(f.Err, kafka.UnknownTopicID) || f.From.Topic == id && f.Err != nil {
				t.Errorf("%s: partition %d of %v: %v, asked %s", name, f.Partition, f.From.Topic, f.Err, a.last())
			}
		}
	}
}

// In a session, brokers do not tell that a topic was made again as they do without one; in the next session they do.
func TestFetchSessionOfATopicMadeAgain(t *testing.T) {
	t.Parallel()
	_, s, id := sessionOn(t)
	s.Want(1, LogPosition{Topic: id})
	fetch := func() error {
		t.Helper()
		got, err := s.Fetch(deadline(t), quickLimits)
		if err != nil || len(got) > 1 {
			t.Fatalf("%v, error %v", got, err)
		}
		if len(got) == 0 {
			return nil
		}
		return got[0].Err
	}
	if err := fetch(); err != nil {
		t.Fatal(err)
	}
	api := s.client.API()
	if _, err := api.DeleteTopics(deadline(t), &kafka.DeleteTopicsRequest{Topics: []string{"topic"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CreateTopic(deadline(t), Topic{Name: "topic", Partitions: 2, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	if err := fetch(); err == nil || MadeAgain(err) {
		t.Errorf("in the session: %v", err)
	}
	s.Begin()
	if err := fetch(); !MadeAgain(err) {
		t.Errorf("in the next session: %v", err)
	}
}
