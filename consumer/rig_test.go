package consumer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// rig is a running consumer with everything around it faked, except for the broker.
type rig struct {
	*Consumer
	t        *testing.T
	cluster  *kfake.Cluster
	owner    group.Owner
	delivery *fakeDelivery
	gate     *fakeGate
	observer *fakeObserver
	offsets  *kafkawire.Client
	fetch    *kafkawire.Client
	skips    fakeSkips
	logged   lines
	stop     func() error // ends Run and returns its error
}

// answerAll is a handler that answers what waits, at once.
func answerAll(ctx context.Context, lane *Lane) {
	for _, req := range takeAll(lane) {
		req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{Outcome: schemas.OutcomeComplete}})
	}
}

func testConfig() Config {
	return Config{
		Topic: testTopic, Group: testGroup, Start: Earliest, MaxInFlight: 8, RunAhead: 64, Ahead: 1 << 16,
		FetchBytes:     64 << 10,
		CommitInterval: 5 * time.Millisecond, DrainTimeout: testTimeout,
	}
}

// start runs a consumer until the test ends. Its partitions come from the test.
func start(t *testing.T, cluster *kfake.Cluster, handler HandlerFunc, change func(*Config)) *rig {
	t.Helper()
	return startWith(t, cluster, handler, change, &fakeDelivery{})
}

// startWith is start with a delivery of the test's.
func startWith(t *testing.T, cluster *kfake.Cluster, handler HandlerFunc, change func(*Config),
	delivery *fakeDelivery) *rig {
	t.Helper()
	member := &fakeMember{owner: make(chan group.Owner, 1)}
	r := startRig(t, cluster, handler, change, member, delivery)
	r.owner = <-member.owner
	return r
}

func startMember(t *testing.T, cluster *kfake.Cluster, handler HandlerFunc, change func(*Config),
	member Membership) *rig {
	t.Helper()
	return startRig(t, cluster, handler, change, member, &fakeDelivery{})
}

func startRig(t *testing.T, cluster *kfake.Cluster, handler HandlerFunc, change func(*Config), member Membership,
	delivery *fakeDelivery) *rig {
	t.Helper()
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	r := &rig{t: t, cluster: cluster, delivery: delivery, gate: newFakeGate(), observer: &fakeObserver{}}
	r.offsets, r.fetch = kafkawire.NewClient(settings(cluster), testTopic),
		kafkawire.NewClient(settings(cluster), testTopic)
	r.Consumer = New(cfg, Parts{
		Offsets: r.offsets, Fetch: r.fetch, Member: member, Delivery: r.delivery, Handler: handler, Gate: r.gate,
		Log: zerolog.New(&r.logged), Observer: r.observer, Skips: &r.skips,
	})
	r.begin(t)
	return r
}

// begin runs the consumer until r.stop, or the end of the test.
func (r *rig) begin(t *testing.T) {
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
		case <-time.After(waitTimeout):
			return errors.New("Run did not return")
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

// committed is what the broker has for the group, whether or not a consumer runs.
func committed(t *testing.T, c *kfake.Cluster, partitions ...int32) map[int32]int64 {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	stored, err := wire.CommittedOffsets(t.Context(), testGroup, testTopic, partitions)
	if err != nil {
		t.Fatal(err)
	}
	offsets := map[int32]int64{}
	for id, o := range stored {
		offsets[id] = o.Offset
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
	return offsets[partition].Offset
}

// grant hands partitions over and takes them back when the test ends, if it has not done so itself.
func (r *rig) grant(partitions ...int32) *fakeLease {
	r.t.Helper()
	lease := &fakeLease{}
	r.grantUnder(lease, partitions...)
	return lease
}

func (r *rig) grantUnder(lease *fakeLease, partitions ...int32) {
	r.t.Helper()
	r.owner.Grant(context.Background(), lease, partitions)
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

func (p *partition) isDraining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draining
}
