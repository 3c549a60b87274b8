package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"balanceq/kafkawire"
	"balanceq/schemas"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testTopic = "requests"
	testGroup = "balanceq"
	patience  = 20 * time.Second // of a test that waits for something that should come at once
)

// eventually waits for cond without guessing how long it takes.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// broker is kfake with the topic in it. It listens below the ephemeral ports.
func broker(t *testing.T, partitions int32, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	opts = append(opts, kfake.SeedTopics(partitions, testTopic), kfake.ListenFn(listen))
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

var ports struct {
	sync.Mutex
	next int
}

func listen(network, _ string) (net.Listener, error) {
	ports.Lock()
	defer ports.Unlock()
	for range 2000 {
		ports.next++
		l, err := net.Listen(network, net.JoinHostPort("127.0.0.1", strconv.Itoa(21000+ports.next)))
		if err == nil {
			return l, nil
		}
	}
	return nil, errors.New("no free port")
}

func settings(c *kfake.Cluster) kafkawire.Settings {
	return kafkawire.Settings{Brokers: c.ListenAddrs(), ClientID: "test"}
}

// produce writes values to one partition.
func produce(t *testing.T, c *kfake.Cluster, partition int32, values ...string) {
	t.Helper()
	witness(t, c, func(cl *kgo.Client) error {
		return cl.ProduceSync(t.Context(), records(partition, values)...).FirstErr()
	})
}

// produceTransaction does the same in a transaction, which leaves a control record behind.
func produceTransaction(t *testing.T, c *kfake.Cluster, partition int32, commit bool, values ...string) {
	t.Helper()
	witness(t, c, func(cl *kgo.Client) error {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		if err := cl.ProduceSync(t.Context(), records(partition, values)...).FirstErr(); err != nil {
			return err
		}
		return cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit))
	}, kgo.TransactionalID("txn-"+values[0]))
}

func witness(t *testing.T, c *kfake.Cluster, do func(*kgo.Client) error, opts ...kgo.Opt) {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := do(cl); err != nil {
		t.Fatal(err)
	}
}

func records(partition int32, values []string) []*kgo.Record {
	list := make([]*kgo.Record, len(values))
	for i, v := range values {
		list[i] = &kgo.Record{Topic: testTopic, Partition: partition, Value: []byte(v)}
	}
	return list
}

// requests makes n valid requests of contracts from…from+n-1.
func requests(from, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"contractId":"%d","balanceCodes":["AVAILABLE"]}`, from+i)
	}
	return list
}

// fakeEpoch remembers what was committed under it.
type fakeEpoch struct {
	before func(offsets map[int32]int64) error // called first; an error is the commit's

	mu      sync.Mutex
	history []map[int32]int64
}

func (e *fakeEpoch) Commit(_ context.Context, offsets map[int32]int64) error {
	if e.before != nil {
		if err := e.before(offsets); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.history = append(e.history, maps.Clone(offsets))
	return nil
}

// offset returns what the partition's last commit said; NoOffset: there was none.
func (e *fakeEpoch) offset(partition int32) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, offsets := range slices.Backward(e.history) {
		if offset, ok := offsets[partition]; ok {
			return offset
		}
	}
	return kafkawire.NoOffset
}

func (e *fakeEpoch) commits() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.history)
}

// storeOffsets commits for the group as somebody who is no member of it.
func storeOffsets(c *kfake.Cluster, offsets map[int32]int64) error {
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = testTopic
	for partition, offset := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		topic.Partitions = append(topic.Partitions, p)
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 7, testGroup, -1
	req.Topics = append(req.Topics, topic)
	resp, err := wire.Coordinator(context.Background(), testGroup, req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// brokerEpoch stores what is committed under it on the broker, too.
func brokerEpoch(c *kfake.Cluster) *fakeEpoch {
	return &fakeEpoch{before: func(offsets map[int32]int64) error { return storeOffsets(c, offsets) }}
}

// fakeMember is a membership that does what the test says.
type fakeMember struct {
	owner chan Owner
}

func (m *fakeMember) Join(ctx context.Context, owner Owner) error {
	m.owner <- owner
	<-ctx.Done()
	return nil
}

// fakeGate is closed by the test.
type fakeGate struct {
	asked   atomic.Int64 // how often
	mu      sync.Mutex
	cause   string
	changed chan struct{}
}

func newFakeGate() *fakeGate { return &fakeGate{changed: make(chan struct{})} }

func (g *fakeGate) Waiting() (string, <-chan struct{}) {
	defer g.asked.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause, g.changed
}

func (g *fakeGate) set(cause string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cause = cause
	close(g.changed)
	g.changed = make(chan struct{})
}

// fakeDelivery acknowledges at once, or when the test says so.
type fakeDelivery struct {
	mu        sync.Mutex
	hold      bool // acknowledgements wait for release
	delivered []schemas.Position
	held      []Acknowledger
}

func (d *fakeDelivery) Deliver(_ context.Context, inq *schemas.Inquiry, _ schemas.Outcome, ack Acknowledger) error {
	d.mu.Lock()
	d.delivered = append(d.delivered, inq.Record.Position)
	hold := d.hold
	if hold {
		d.held = append(d.held, ack)
	}
	d.mu.Unlock()
	if !hold {
		ack.Acknowledged()
	}
	return nil
}

func (d *fakeDelivery) Commit(ctx context.Context, epoch Epoch, offsets map[int32]int64) error {
	return epoch.Commit(ctx, offsets)
}

func (d *fakeDelivery) setHold(hold bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = hold
}

// release acknowledges what was held.
func (d *fakeDelivery) release() {
	d.mu.Lock()
	held := d.held
	d.held = nil
	d.mu.Unlock()
	for _, ack := range held {
		ack.Acknowledged()
	}
}

// offsets returns the offsets that were delivered of a partition, in that order.
func (d *fakeDelivery) offsets(partition int32) []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []int64
	for _, p := range d.delivered {
		if p.Partition == partition {
			list = append(list, p.Offset)
		}
	}
	return list
}

func (d *fakeDelivery) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.delivered)
}

type jump struct {
	partition int32
	from, to  int64
}

// fakeObserver remembers.
type fakeObserver struct {
	mu       sync.Mutex
	settled  int
	failures int // commits that failed
	jumps    []jump
}

func (o *fakeObserver) Settled(string, schemas.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settled++
}

func (o *fakeObserver) Committed(_ time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.failures++
	}
}

func (o *fakeObserver) OffsetJumped(partition int32, from, to int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.jumps = append(o.jumps, jump{partition, from, to})
}

func (o *fakeObserver) seen() (settled, failures int, jumps []jump) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.settled, o.failures, slices.Clone(o.jumps)
}

// rig is a running consumer with everything around it faked, except for the broker.
type rig struct {
	*Consumer
	t        *testing.T
	cluster  *kfake.Cluster
	owner    Owner
	delivery *fakeDelivery
	gate     *fakeGate
	observer *fakeObserver
	offsets  *kafkawire.Client
	fetch    *kafkawire.Client
	stop     func() error // ends Run and returns its error
}

// answerAll is a handler that answers what waits, at once.
func answerAll(ctx context.Context, lane *Lane) {
	for _, inq := range lane.Take(nil, func(*schemas.Inquiry) bool { return true }) {
		lane.Settle(ctx, inq, schemas.Outcome{Result: &schemas.Result{Outcome: schemas.OutcomeComplete}})
	}
}

func testConfig() Config {
	return Config{
		Topic: testTopic, Group: testGroup, Start: Earliest, MaxInFlight: 8, RunAhead: 64, FetchBytes: 64 << 10,
		CommitInterval: 5 * time.Millisecond, SessionTimeout: 10 * time.Second, DrainTimeout: patience,
	}
}

// start runs a consumer until the test ends. Its partitions come from the test.
func start(t *testing.T, cluster *kfake.Cluster, handler HandlerFunc, change func(*Config)) *rig {
	t.Helper()
	member := &fakeMember{owner: make(chan Owner, 1)}
	r := startMember(t, cluster, handler, change, member)
	r.owner = <-member.owner
	return r
}

func startMember(t *testing.T, cluster *kfake.Cluster, handler HandlerFunc, change func(*Config), member Membership) *rig {
	t.Helper()
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	r := &rig{t: t, cluster: cluster, delivery: &fakeDelivery{}, gate: newFakeGate(), observer: &fakeObserver{}}
	r.offsets, r.fetch = kafkawire.NewClient(settings(cluster), testTopic), kafkawire.NewClient(settings(cluster), testTopic)
	r.Consumer = New(cfg, Parts{
		Offsets: r.offsets, Fetch: r.fetch, Member: member, Delivery: r.delivery, Handler: handler, Gate: r.gate,
		Log: zerolog.Nop(), Observer: r.observer,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		defer r.fetch.Close()
		defer r.offsets.Close()
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("Run did not return")
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// committed is what the broker has for the group, whether or not a consumer runs.
func committed(t *testing.T, c *kfake.Cluster, partitions ...int32) map[int32]int64 {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	offsets, err := wire.CommittedOffsets(t.Context(), testGroup, testTopic, partitions)
	if err != nil {
		t.Fatal(err)
	}
	return offsets
}

// committed is the same while the consumer runs, for conditions that are looked at again and again.
func (r *rig) committed(partition int32) int64 {
	r.t.Helper()
	offsets, err := r.offsets.CommittedOffsets(context.Background(), testGroup, testTopic, []int32{partition})
	if err != nil {
		r.t.Logf("reading the committed offset: %v", err)
		r.offsets.Reset()
		return kafkawire.NoOffset
	}
	return offsets[partition]
}

// grant hands partitions over and takes them back when the test ends, if it has not done so itself.
func (r *rig) grant(partitions ...int32) *fakeEpoch {
	r.t.Helper()
	epoch := &fakeEpoch{}
	r.grantUnder(epoch, partitions...)
	return epoch
}

func (r *rig) grantUnder(epoch *fakeEpoch, partitions ...int32) {
	r.t.Helper()
	r.owner.Grant(context.Background(), epoch, partitions)
	r.t.Cleanup(func() {
		r.gate.set("over") // whatever hangs does not have to end
		r.owner.Release(partitions)
	})
}

// partition returns the status of a held partition.
func (r *rig) partition(id int32) (PartitionStatus, bool) {
	for _, p := range r.Status().Partitions {
		if p.Partition == id {
			return p, true
		}
	}
	return PartitionStatus{}, false
}

func sequence(from, to int64) []int64 {
	list := []int64{}
	for ; from < to; from++ {
		list = append(list, from)
	}
	return list
}
