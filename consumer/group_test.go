package consumer

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"balanceq/schemas"

	"balanceq/kafkawire"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
)

// shortSession makes heartbeats come every 100 ms.
const shortSession = 500 * time.Millisecond

func groupBroker(t *testing.T, partitions int32) *kfake.Cluster {
	t.Helper()
	return broker(t, partitions, kfake.GroupMinSessionTimeout(shortSession))
}

func newTestGroup(t *testing.T, c *kfake.Cluster, log zerolog.Logger) *Group {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	t.Cleanup(wire.Close)
	return NewGroup(GroupConfig{
		Group: testGroup, Topic: testTopic, SessionTimeout: shortSession, RebalanceTimeout: patience,
	}, wire, log)
}

// startInGroup runs a consumer that is a member of the real group.
func startInGroup(t *testing.T, c *kfake.Cluster, handler HandlerFunc, change func(*Config)) *rig {
	t.Helper()
	return startMember(t, c, handler, func(cfg *Config) {
		cfg.SessionTimeout = shortSession
		if change != nil {
			change(cfg)
		}
	}, newTestGroup(t, c, zerolog.Nop()))
}

func (r *rig) holds() int { return len(r.Status().Partitions) }

// Two members share the partitions, and who leaves hands over. As all of it is orderly, each request is answered once.
func TestMembersShareAndHandOver(t *testing.T) {
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

// While a member drains for longer than its session, its commits are accepted and keep it in the group.
func TestCommitsWhileDraining(t *testing.T) {
	c := groupBroker(t, 2)
	produce(t, c, 0, requests(2, 20)...)
	h := head{make(chan struct{})}
	first := startInGroup(t, c, h.handle, nil)
	eventually(t, "the first member has answered", func() bool { return first.committed(0) == 20 })
	// Contract 1 waits at the head of what follows; what comes before it can be committed.
	first.delivery.setHold(true)
	produce(t, c, 0, requests(30, 5)...)
	produce(t, c, 0, requests(1, 1)...)
	eventually(t, "all is under way", func() bool { p, _ := first.partition(0); return p.Open == 6 })

	second := startInGroup(t, c, answerAll, nil)
	draining := func() bool {
		for _, p := range first.held() {
			return p.isDraining()
		}
		return false
	}
	eventually(t, "the first member drains", draining)
	began := time.Now()
	first.delivery.setHold(false)
	first.delivery.release()
	eventually(t, "a commit of the drain is stored", func() bool { return first.committed(0) == 25 })
	eventually(t, "two sessions are over", func() bool { return time.Since(began) > 2*shortSession })
	if _, failures, _ := first.observer.seen(); failures != 0 || !draining() {
		t.Errorf("%d commits failed, draining %v", failures, draining())
	}
	close(h.free)
	eventually(t, "the drain's last commit is stored", func() bool { return first.committed(0) == 26 })
	eventually(t, "they share", func() bool { return first.holds() == 1 && second.holds() == 1 })
	if _, failures, _ := first.observer.seen(); failures != 0 {
		t.Errorf("%d commits failed", failures)
	}
	produce(t, c, 0, requests(40, 5)...)
	eventually(t, "it goes on", func() bool { return first.committed(0) == 31 })
	got := append(first.delivery.offsets(0), second.delivery.offsets(0)...)
	slices.Sort(got)
	if !slices.Equal(got, sequence(0, 31)) {
		t.Errorf("answered %v", got)
	}
}

// The end with requests under way: they are answered and committed before the group is left.
func TestLeavingDrains(t *testing.T) {
	c := groupBroker(t, 1)
	produce(t, c, 0, requests(1, 100)...)
	h := newGateHandler()
	r := startInGroup(t, c, h.handle, func(cfg *Config) { cfg.RunAhead = 16 })
	eventually(t, "the window is full", func() bool { p, _ := r.partition(0); return p.Open == 16 })
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "it drains", func() bool {
		for _, p := range r.held() {
			return p.isDraining()
		}
		return false
	})
	close(h.free)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if n := r.delivery.count(); n != 16 {
		t.Errorf("%d are answered, want those that were started", n)
	}
	if got := committed(t, c, 0); got[0] != 16 {
		t.Errorf("committed %d", got[0])
	}
	if info := c.GroupInfo(testGroup); info != nil && len(info.Members) != 0 {
		t.Errorf("%d members are left", len(info.Members))
	}
}

// blockingLog stops whoever logs that the group was joined, when it is told to.
type blockingLog struct {
	mu    sync.Mutex
	block chan struct{} // nil: does not
	hits  atomic.Int64
}

func (l *blockingLog) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"joined the consumer group"`)) {
		l.mu.Lock()
		block := l.block
		l.mu.Unlock()
		l.hits.Add(1)
		if block != nil {
			<-block
		}
	}
	return len(b), nil
}

// turnOwner sees to it that only one call is under way at a time.
type turnOwner struct {
	t        *testing.T
	active   atomic.Int64
	granted  atomic.Int64
	released atomic.Int64
	linger   func() // within each Release
}

func (o *turnOwner) enter(what string) {
	if n := o.active.Add(1); n != 1 {
		o.t.Errorf("%s while another call is under way", what)
	}
}

func (o *turnOwner) Grant(context.Context, Epoch, []int32) {
	o.enter("Grant")
	if granted, released := o.granted.Add(1), o.released.Load(); granted != released+1 {
		o.t.Errorf("grant %d after %d releases", granted, released)
	}
	o.active.Add(-1)
}

func (o *turnOwner) Release([]int32) {
	o.enter("Release")
	o.linger()
	o.released.Add(1)
	o.active.Add(-1)
}

// A generation may end before its function is started (a slow log is enough). kafka-go does not wait for that function, so
// the next generation's could be granted the same partitions before the first has given them back.
func TestGenerationThatEndsBeforeItBegins(t *testing.T) {
	c := groupBroker(t, 2)
	log := &blockingLog{block: make(chan struct{})}
	owner := &turnOwner{t: t}
	release := make(chan struct{})
	owner.linger = func() { <-release }
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	member := newTestGroup(t, c, zerolog.New(log))
	go func() { left <- member.Join(ctx, owner) }()
	eventually(t, "the member is stopped short of its first generation", func() bool { return log.hits.Load() == 1 })

	other := startInGroup(t, c, answerAll, nil) // ends that generation
	log.mu.Lock()
	block := log.block
	log.block = nil
	log.mu.Unlock()
	eventually(t, "the next generation has come", func() bool { return other.holds() == 1 })
	close(block)
	eventually(t, "the member has joined again", func() bool { return log.hits.Load() == 2 })
	close(release)
	eventually(t, "both generations were granted", func() bool { return owner.granted.Load() >= 2 })
	cancel()
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	if granted, released := owner.granted.Load(), owner.released.Load(); granted != released {
		t.Errorf("%d grants, %d releases", granted, released)
	}
}

// Requests are decoded on the way in: what is not a request comes with its error, and with the bytes as they were.
func TestRecordsReachTheHandlerAsTheyAre(t *testing.T) {
	c := broker(t, 1)
	produce(t, c, 0, "no JSON", `{"contractId":"7","balanceCodes":["A"]}`)
	got := make(chan *schemas.Inquiry, 2)
	r := start(t, c, func(ctx context.Context, lane *Lane) {
		for _, inq := range lane.Take(nil, takeAll) {
			if (lane.Contract() == 0) != (inq.Err != nil) {
				t.Errorf("lane %d: %v", lane.Contract(), inq.Err)
			}
			got <- inq
			lane.Settle(ctx, inq, schemas.Outcome{Result: &schemas.Result{}})
		}
	}, nil)
	r.grant(0)
	for range 2 {
		inq := <-got
		want := schemas.Position{Topic: testTopic, Offset: inq.Record.Offset}
		if inq.Record.Position != want || inq.Record.Key != nil || inq.Record.Time.IsZero() || inq.Request.ID != want.String() {
			t.Errorf("inquiry %+v of record %+v", inq, inq.Record)
		}
		if inq.Record.Offset == 0 && string(inq.Record.Value) != "no JSON" {
			t.Errorf("value %q", inq.Record.Value)
		}
	}
}
