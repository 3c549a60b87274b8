package consumer

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// kind is a kind of membership under test.
type kind struct {
	name   string
	member func(cfg group.Config, session time.Duration, wire *kafkawire.Client) Membership
}

var (
	classic = kind{"classic", func(cfg group.Config, session time.Duration, wire *kafkawire.Client) Membership {
		return group.NewClassic(group.ClassicConfig{Config: cfg, SessionTimeout: session}, wire, zerolog.Nop())
	}}
	kip848 = kind{"kip848", func(cfg group.Config, _ time.Duration, wire *kafkawire.Client) Membership {
		return group.NewKIP848(cfg, wire, zerolog.Nop()) // its session is the brokers'
	}}
)

// eachKind runs a test for both.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range []kind{classic, kip848} {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// stage is a topic and a group of its name on the shared broker.
type stage struct {
	kind     kind
	settings kafkawire.Settings
	topic    string
	n        int32
	admin    *kafkawire.Client
	ledger   *kafkatest.Ledger
	oracle   *kgo.Client
}

// stageSession is the least that brokers allow by default.
const stageSession = 6 * time.Second

// newStage skips the test where the brokers do not offer the protocol.
func newStage(t *testing.T, k kind, partitions int32) *stage {
	t.Helper()
	shared := kafkatest.Shared(t)
	s := &stage{kind: k, topic: shared.Topic(t, int(partitions)), n: partitions, ledger: kafkatest.NewLedger()}
	s.settings = kafkawire.Settings{Brokers: shared.Brokers(), ClientID: "test"}
	s.admin = kafkawire.NewClient(s.settings)
	t.Cleanup(s.admin.Close)
	if k.name == kip848.name {
		offered, err := s.admin.OffersConsumerProtocol(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !offered {
			t.Skip("the brokers do not offer the consumer group protocol")
		}
	}
	oracle, err := kgo.NewClient(kgo.SeedBrokers(s.settings.Brokers...), kgo.DefaultProduceTopic(s.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(oracle.Close)
	s.oracle = oracle
	return s
}

// write adds n requests to each partition.
func (s *stage) write(t *testing.T, n int) {
	t.Helper()
	for id := range s.n {
		for _, r := range records(id, requests(1, n)) {
			r.Topic = s.topic
			s.oracle.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	if err := s.oracle.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type ledgerOwner = kafkatest.Owner[group.Lease]

// watchedOwner keeps the ledger in front of a consumer.
type watchedOwner struct {
	*ledgerOwner
	consumer group.Owner
}

func (o *watchedOwner) Grant(ctx context.Context, lease group.Lease, ids []int32) {
	o.ledgerOwner.Grant(ctx, lease, ids)
	o.consumer.Grant(ctx, lease, ids)
}

func (o *watchedOwner) Release(ids []int32) {
	o.consumer.Release(ids)
	o.ledgerOwner.Release(ids)
}

type watchedMember struct {
	Membership
	owner *ledgerOwner
}

func (m watchedMember) Join(ctx context.Context, owner group.Owner) error {
	return m.Membership.Join(ctx, &watchedOwner{m.owner, owner})
}

// worker is a consumer that answers at once.
type worker struct {
	*rig
	owner *ledgerOwner
}

func (s *stage) start(t *testing.T, name, instance string) *worker {
	t.Helper()
	cfg := testConfig()
	cfg.Topic, cfg.Group = s.topic, s.topic
	r := &rig{t: t, delivery: &fakeDelivery{}, gate: newFakeGate(), observer: &fakeObserver{}}
	r.offsets, r.fetch = kafkawire.NewClient(s.settings, s.topic), kafkawire.NewClient(s.settings, s.topic)
	w := &worker{rig: r, owner: &ledgerOwner{Name: name, Ledger: s.ledger}}
	member := s.kind.member(group.Config{
		Group: s.topic, Topic: s.topic, InstanceID: instance, RebalanceTimeout: testTimeout,
	}, stageSession, r.offsets)
	r.Consumer = New(cfg, Parts{
		Offsets: r.offsets, Fetch: r.fetch, Member: watchedMember{member, w.owner}, Delivery: r.delivery,
		Handler: HandlerFunc(answerAll), Gate: r.gate, Log: zerolog.Nop(), Observer: r.observer,
	})
	r.begin(t)
	return w
}

func answered(workers []*worker) int {
	n := 0
	for _, w := range workers {
		n += w.delivery.count()
	}
	return n
}

// evenly says that the given workers share the partitions evenly, and hold nothing but their own.
func (s *stage) evenly(workers ...*worker) func() bool {
	return func() bool {
		for _, w := range workers {
			n, even := len(s.ledger.Of(w.owner.Name)), int(s.n)/len(workers)
			if n != atHand(w.rig) || n < even || n > even+min(1, int(s.n)%len(workers)) {
				return false
			}
		}
		return true
	}
}

// atHand is how many partitions a consumer has.
func atHand(r *rig) int { return len(r.Status().Partitions) }

// Members come, go and restart while requests flow: each is answered once and in order, all is committed in the end,
// and partitions that stay with their owner are not asked back.
func TestConsumersInAGroup(t *testing.T) { eachKind(t, consumersInAGroup) }

func consumersInAGroup(t *testing.T, k kind) {
	const partitions, each = 6, 20
	s := newStage(t, k, partitions)
	var all []*worker
	written := 0
	flow := func(until string, cond func() bool) {
		t.Helper()
		eventually(t, until, func() bool {
			s.write(t, each)
			written += each
			return cond()
		})
	}
	start := func(name, instance string) *worker {
		w := s.start(t, name, instance)
		all = append(all, w)
		return w
	}
	a := start("a", "0")
	flow("a has all", s.evenly(a))
	b := start("b", "1")
	flow("a and b share", s.evenly(a, b))
	if grants, releases := a.owner.Calls(); grants != 1 || releases != 1 || len(a.owner.Released()[0]) != partitions/2 {
		t.Errorf("a: %d grants, gave back %v", grants, a.owner.Released())
	}
	c := start("c", "") // dynamic
	flow("all three share", s.evenly(a, b, c))
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	flow("a and b share again", s.evenly(a, b))
	kept := s.ledger.Of("a")
	_, before := a.owner.Calls()
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b = start("b", "1")
	flow("b is back", s.evenly(a, b))
	if _, after := a.owner.Calls(); after != before || !slices.Equal(s.ledger.Of("a"), kept) {
		t.Errorf("a gave back %v as b restarted", a.owner.Released()[before:])
	}
	eventually(t, "all is answered", func() bool { return answered(all) >= partitions*written })
	for _, w := range []*worker{a, b} {
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := s.admin.CommittedOffsets(t.Context(), s.topic, s.topic, []int32{0, 1, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	for id := range int32(partitions) {
		var got []int64
		for _, w := range all {
			got = append(got, w.delivery.offsets(id)...)
		}
		slices.Sort(got)
		if !slices.Equal(got, sequence(0, int64(written))) {
			t.Errorf("partition %d: %d answers to %d requests", id, len(got), written)
		}
		if stored[id].Offset != int64(written) {
			t.Errorf("partition %d: committed %d of %d", id, stored[id].Offset, written)
		}
	}
	if wrong := s.ledger.Faults(); len(wrong) > 0 {
		t.Error(wrong)
	}
	for _, w := range all {
		if _, failures, _ := w.observer.seen(); failures != 0 {
			t.Errorf("%s: %d commits failed", w.owner.Name, failures)
		}
	}
}

// While a member drains for longer than its session, its commits are accepted, and what it keeps goes on.
func TestConsumerDrains(t *testing.T) { eachKind(t, consumerDrains) }

func consumerDrains(t *testing.T, k kind) {
	c := broker(t, 2, kfake.GroupMinSessionTimeout(shortSession), kfake.BrokerConfigs(map[string]string{
		"group.consumer.session.timeout.ms": "2000", "group.consumer.heartbeat.interval.ms": "400",
	}))
	h := head{make(chan struct{})}
	join := func(handler HandlerFunc) *rig {
		wire := kafkawire.NewClient(settings(c), testTopic)
		t.Cleanup(wire.Close)
		return startMember(t, c, handler, nil, k.member(group.Config{
			Group: testGroup, Topic: testTopic, RebalanceTimeout: testTimeout,
		}, shortSession, wire))
	}
	first := join(h.handle)
	eventually(t, "the first member has all", func() bool { return atHand(first) == 2 })
	produce(t, c, 1, requests(30, 5)...)
	produce(t, c, 1, requests(1, 1)...) // contract 1 waits
	eventually(t, "all but one is answered", func() bool { return first.committed(1) == 5 })
	second := join(answerAll)
	draining := func() bool {
		for _, p := range first.held() {
			if p.id == 1 && p.isDraining() {
				return true
			}
		}
		return false
	}
	eventually(t, "the first member drains", draining)
	began := time.Now()
	for n := 1; time.Since(began) < 3*shortSession; n++ {
		produce(t, c, 0, requests(50+n, 1)...)
		eventually(t, "what it keeps goes on", func() bool { return first.committed(0) == int64(n) })
	}
	if !draining() || atHand(second) != 0 {
		t.Fatalf("draining %v, the second has %d", draining(), atHand(second))
	}
	close(h.free)
	eventually(t, "they share", func() bool { return atHand(first) == 1 && atHand(second) == 1 })
	if got := committed(t, c, 1)[1]; got != 6 {
		t.Errorf("committed %d at the hand-over", got)
	}
	if _, failures, _ := first.observer.seen(); failures != 0 {
		t.Errorf("%d commits failed", failures)
	}
}
