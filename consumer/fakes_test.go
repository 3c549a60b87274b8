package consumer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// storeOffsets commits for the group as somebody who is no member of it.
func storeOffsets(c *kfake.Cluster, offsets map[int32]kafkawire.OffsetAndMetadata) error {
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = testTopic
	for partition, o := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, o.Offset, o.Epoch, &o.Metadata
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

// brokerLease stores what is committed under it on the broker, too.
func brokerLease(c *kfake.Cluster) *fakeLease {
	return &fakeLease{before: func(offsets map[int32]kafkawire.OffsetAndMetadata) error {
		return storeOffsets(c,
			offsets)
	}}
}

// fakeMember is a membership that does what the test says.
type fakeMember struct {
	owner chan group.Owner
}

func (m *fakeMember) Join(ctx context.Context, owner group.Owner) error {
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
	fleeting bool // outcomes do not outlive a crash
	doubt    atomic.Bool

	mu        sync.Mutex
	hold      bool // acknowledgements wait for release
	delivered []schemas.Position
	held      []*inflight.Request
	pending   []*inflight.Request // which wait for their commit
}

func (d *fakeDelivery) Deliver(_ context.Context, req *inflight.Request, _ schemas.Outcome) error {
	d.mu.Lock()
	d.delivered = append(d.delivered, req.Record.Position)
	hold := d.hold
	if hold {
		d.held = append(d.held, req)
	}
	d.mu.Unlock()
	if !hold {
		d.acknowledge(req)
	}
	return nil
}

func (d *fakeDelivery) acknowledge(req *inflight.Request) {
	if !d.fleeting {
		req.Acknowledged()
		return
	}
	d.mu.Lock()
	d.pending = append(d.pending, req)
	d.mu.Unlock()
	req.Pending()
}

func (d *fakeDelivery) Commit(ctx context.Context, lease group.Lease, o Offsets) (Offsets, error) {
	committed, err := AtLeastOnce{}.Commit(ctx, lease, o)
	if err == nil {
		d.committed(o)
	}
	return committed, err
}

// committed tells the pending requests below the offsets, and forgets those that were given back.
func (d *fakeDelivery) committed(o Offsets) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = slices.DeleteFunc(d.pending, func(req *inflight.Request) bool {
		offset, ok := o[req.Record.Partition]
		below := ok && req.Record.Offset < offset.Offset
		if below && req.Owned() {
			req.Committed()
		}
		return below || !req.Owned()
	})
}

func (d *fakeDelivery) Answered(p Progress) Progress {
	if d.fleeting {
		return ExactlyOnce{}.Answered(p)
	}
	return p
}

func (d *fakeDelivery) InDoubt(int32) bool { return d.doubt.Load() }

func (d *fakeDelivery) Revoked() {}

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
	for _, req := range held {
		d.acknowledge(req)
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
	answered int
	failures int // commits that failed
	jumps    []jump
	// rebalances and drains, as they came
	rebalances []string
	drains     int
}

func (o *fakeObserver) Rebalanced(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rebalances = append(o.rebalances, reason)
}

func (o *fakeObserver) Drained(time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drains++
}

func (o *fakeObserver) Answered(*inflight.Request, string, schemas.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered++
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

func (o *fakeObserver) seen() (answered, failures int, jumps []jump) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answered, o.failures, slices.Clone(o.jumps)
}
