package consumer

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// shortSession makes heartbeats come every 400 ms. A busy machine is late by hundreds of them now and then: then the
// session is over, and what was not committed is answered again.
const shortSession = 2 * time.Second

func groupBroker(t *testing.T, partitions int32) *kfake.Cluster {
	t.Helper()
	return broker(t, partitions, kfake.GroupMinSessionTimeout(shortSession))
}

// startInGroup runs a consumer that is a member of the real group.
func startInGroup(t *testing.T, c *kfake.Cluster, handler HandlerFunc, change func(*Config)) *rig {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	t.Cleanup(wire.Close)
	return startMember(t, c, handler, change, group.NewClassic(group.ClassicConfig{
		Config: group.Config{Group: testGroup, Topic: testTopic, RebalanceTimeout: testTimeout}, SessionTimeout: shortSession,
	}, wire, zerolog.Nop()))
}

func (r *rig) holds() int { return len(r.Status().Partitions) }

// Two members share the partitions, and who leaves hands over. As all of it is orderly, each request is answered once.
func TestMembersShareAndHandOver(t *testing.T) {
	t.Parallel()
	const partitions, each = 4, 50
	c := groupBroker(t, partitions)
	written := 0
	write := func() {
		for id := range int32(partitions) {
			produce(t, c, id, requests(1, each)...)
		}
		written += partitions * each
	}
	write()
	first := startInGroup(t, c, answerAll, nil)
	eventually(t, "the first member has everything", func() bool { return first.holds() == partitions })
	write()
	second := startInGroup(t, c, answerAll, nil)
	eventually(t, "they share", func() bool { return first.holds() == partitions/2 && second.holds() == partitions/2 })
	before := second.delivery.count()
	write()
	eventually(t, "all is answered", func() bool { return first.delivery.count()+second.delivery.count() >= written })
	if n := second.delivery.count() - before; n == 0 {
		t.Error("the second member answered nothing")
	}

	write()
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if first.Status().Joined || first.holds() != 0 {
		t.Errorf("status of who left: %+v", first.Status())
	}
	eventually(t, "the second member has everything", func() bool { return second.holds() == partitions })
	write()
	eventually(t, "all is answered", func() bool { return first.delivery.count()+second.delivery.count() >= written })
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	for id := range int32(partitions) {
		got := append(first.delivery.offsets(id), second.delivery.offsets(id)...)
		slices.Sort(got)
		if want := sequence(0, int64(written/partitions)); !slices.Equal(got, want) {
			t.Errorf("partition %d: %d answers to %d requests", id, len(got), len(want))
		}
	}
	offsets := committed(t, c, 0, 1, 2, 3)
	for id, offset := range offsets {
		if offset != int64(written/partitions) {
			t.Errorf("partition %d: committed %d of %d", id, offset, written/partitions)
		}
	}
}

// The end with requests under way: they are answered and committed before the group is left.
func TestLeavingDrains(t *testing.T) {
	t.Parallel()
	c := groupBroker(t, 1)
	produce(t, c, 0, requests(1, 100)...)
	h := newGateHandler()
	r := startInGroup(t, c, h.handle, func(cfg *Config) { cfg.RunAhead = 16 })
	const taken = 8 // MaxInFlight
	eventually(t, "the window is full, and handlers are busy", func() bool {
		p, _ := r.partition(0)
		return p.Open == 16 && len(h.started) == taken
	})
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "it drains", func() bool {
		for _, p := range r.held() {
			return p.released.Load()
		}
		return false
	})
	close(h.free)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if n := r.delivery.count(); n != taken {
		t.Errorf("%d are answered, want those that handlers had taken", n)
	}
	if got := committed(t, c, 0); got[0] != taken {
		t.Errorf("committed %d", got[0])
	}
	if info := c.GroupInfo(testGroup); info != nil && len(info.Members) != 0 {
		t.Errorf("%d members are left", len(info.Members))
	}
}

// Requests are decoded on the way in: what is not a request comes with its error, and with the bytes as they were.
func TestRecordsReachTheHandlerAsTheyAre(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, "no JSON", `{"contractId":"7","balanceCodes":["A"]}`)
	got := make(chan *inflight.Request, 2)
	r := start(t, c, func(ctx context.Context, lane *Lane) {
		for _, req := range takeAll(lane) {
			if (lane.Contract() == 0) != (req.Err != nil) {
				t.Errorf("lane %d: %v", lane.Contract(), req.Err)
			}
			got <- req
			req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{}})
		}
	}, nil)
	r.grant(0)
	for range 2 {
		req := <-got
		want := schemas.Position{Topic: testTopic, Offset: req.Record.Offset}
		if req.Record.Position != want || req.Record.Key != nil || req.Record.Time.IsZero() ||
			req.Request.ID != want.String() {
			t.Errorf("request %+v of record %+v", req, req.Record)
		}
		if req.Record.Offset == 0 && string(req.Record.Value) != "no JSON" {
			t.Errorf("value %q", req.Record.Value)
		}
	}
}
