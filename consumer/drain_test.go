package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// gateHandler answers when it is let, or never if ctx ends before.
type gateHandler struct {
	free    chan struct{}
	started chan *inflight.Request
}

func newGateHandler() *gateHandler {
	return &gateHandler{free: make(chan struct{}), started: make(chan *inflight.Request, 10_000)}
}

func (h *gateHandler) handle(ctx context.Context, lane *Lane) {
	reqs := takeAll(lane)
	for _, req := range reqs {
		h.started <- req
	}
	select {
	case <-h.free:
	case <-ctx.Done():
		return
	}
	for _, req := range reqs {
		if req.Owned() {
			req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{}})
		}
	}
}

// Giving partitions back: what handlers have taken is finished and committed; what waits in its lane, and what was not
// started, is left to the next owner. So it takes one call, and not as many as wait for one.
func TestReleaseDrains(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 200)...)
	h := newGateHandler()
	r := start(t, c, h.handle, func(cfg *Config) { cfg.RunAhead = 20 })
	lease := r.grant(0)
	const taken = 8 // MaxInFlight
	eventually(t, "the window is full, and handlers are busy", func() bool {
		p, _ := r.partition(0)
		return p.Open == 20 && len(h.started) == taken
	})
	released := make(chan struct{})
	go func() {
		r.owner.Release([]int32{0})
		close(released)
	}()
	eventually(t, "it drains", func() bool {
		for _, p := range r.held() {
			return p.released.Load()
		}
		return false
	})
	select {
	case <-released:
		t.Fatal("Release returned while records are under way")
	default:
	}
	close(h.free)
	<-released
	if offset := lease.offset(0); offset != taken {
		t.Errorf("committed %d, want the %d that handlers had taken", offset, taken)
	}
	if got := r.delivery.count(); got != taken {
		t.Errorf("%d are answered", got)
	}
	if s := r.Status(); len(s.Partitions) != 0 || s.Joined {
		t.Errorf("status %+v", s)
	}
}

// With a closed gate nothing that waits will finish: Release does not wait for it, commits what is done and lets the
// rest go.
func TestReleaseWithClosedGate(t *testing.T) {
	t.Parallel()
	c := broker(t, 2)
	produce(t, c, 0, requests(2, 5)...)
	produce(t, c, 0, requests(1, 1)...) // the head of the other handler: waits
	produce(t, c, 0, requests(7, 3)...)
	h := head{make(chan struct{})}
	r := start(t, c, h.handle, nil)
	first := r.grant(0)
	other := r.grant(1)
	eventually(t, "eight are answered", func() bool { return r.delivery.count() == 8 })
	r.gate.set("breaker")
	began := time.Now()
	r.owner.Release([]int32{0})
	if took := time.Since(began); took < quietDrain || took > testTimeout/2 {
		t.Errorf("Release took %v, want about %v", took, quietDrain)
	}
	if offset := first.offset(0); offset != 5 {
		t.Errorf("committed %d, want 5", offset)
	}
	commits := first.commits()

	close(h.free) // the waiting one gets its answer now: too late
	r.gate.set("")
	produce(t, c, 0, requests(100, 5)...) // this instance is not to read these
	produce(t, c, 1, requests(100, 5)...)
	eventually(t, "the other partition goes on", func() bool { return other.offset(1) == 5 })
	if got := r.delivery.offsets(0); len(got) != 8 || slices.Contains(got, 5) {
		t.Errorf("answered %v", got)
	}
	if n := first.commits(); n != commits {
		t.Errorf("%d commits after the release", n-commits)
	}
}

// What a handler that has stepped aside waits for may take until an operator comes: Release does not wait for it, but
// for those beside it, however long their calls take.
func TestReleaseLeavesWhatHasSteppedAside(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 2)...) // the first is held, the second's call takes longer than a quiet drain
	calling, asked := make(chan struct{}), make(chan struct{})
	r := start(t, c, func(ctx context.Context, lane *Lane) {
		req := takeSome(lane, 1)[0]
		if lane.Contract() == 1 {
			lane.StepAside(ctx, func() { <-ctx.Done() })
			return
		}
		close(asked)
		<-calling
		req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{}})
	}, nil)
	first := r.grant(0)
	<-asked
	time.AfterFunc(quietDrain*3/2, func() { close(calling) })
	began := time.Now()
	r.owner.Release([]int32{0})
	if took := time.Since(began); took < quietDrain*3/2 || took > testTimeout/2 {
		t.Errorf("Release took %v", took)
	}
	if offset := first.offset(0); offset != 0 || r.delivery.count() != 1 {
		t.Errorf("committed %d, %d are answered: want the one behind what is held", offset, r.delivery.count())
	}
}

// Acknowledgements that come after the release change nothing: the partition belongs to somebody else.
func TestLateAcknowledgements(t *testing.T) {
	t.Parallel()
	c := broker(t, 2)
	produce(t, c, 0, requests(1, 5)...)
	r := start(t, c, answerAll, func(cfg *Config) { cfg.DrainTimeout = 50 * time.Millisecond })
	r.delivery.setHold(true)
	first, other := r.grant(0), r.grant(1)
	eventually(t, "all are delivered", func() bool { return r.delivery.count() == 5 })
	r.owner.Release([]int32{0}) // the gate is open: gives up after DrainTimeout
	if offset := first.offset(0); offset != 0 {
		t.Errorf("committed %d, nothing was acknowledged", offset)
	}
	commits := first.commits()
	r.delivery.setHold(false)
	r.delivery.release()
	produce(t, c, 1, requests(1, 5)...)
	eventually(t, "the other partition goes on", func() bool { return other.offset(1) == 5 })
	if n := first.commits(); n != commits {
		t.Errorf("%d commits after the release", n-commits)
	}
}

// A commit that waits while a partition is given back must not take that partition along: its next owner may have moved
// on.
func TestNoCommitAfterRelease(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	r := start(t, c, answerAll, func(cfg *Config) { cfg.CommitInterval = time.Hour })
	waiting := make(chan struct{})
	var once sync.Once
	lease := &fakeLease{before: func(map[int32]kafkawire.OffsetAndMetadata) error {
		once.Do(func() {
			// This is Release's commit. Another one comes, and Release gets no further before that one had its chance.
			parts := r.held()
			r.mu.Lock()
			go func() {
				r.commit(context.Background(), parts)
				r.mu.Unlock()
				close(waiting)
			}()
		})
		return nil
	}}
	r.owner.Grant(context.Background(), lease, []int32{0})
	r.owner.Release([]int32{0})
	<-waiting
	if n := lease.commits(); n != 1 {
		t.Errorf("%d commits, want the one of the release", n)
	}
}

// The next grant of the same partition goes on where the last one ended: no gap, and nothing twice that was committed.
func TestGrantedAgain(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	const n = 500
	produce(t, c, 0, requests(1, n)...)
	r := start(t, c, answerAll, func(cfg *Config) { cfg.RunAhead = 16 })
	for round := range 6 {
		lease := brokerLease(c)
		r.owner.Grant(context.Background(), lease, []int32{0})
		eventually(t, "some are answered", func() bool { return r.delivery.count() >= 40*(round+1) })
		r.owner.Release([]int32{0})
	}
	r.grantUnder(brokerLease(c), 0)
	eventually(t, "all is committed", func() bool { return r.committed(0) == n })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if !slices.Equal(got, sequence(0, n)) {
		t.Errorf("%d answers, want one for each of %d", len(got), n)
	}
}

// Requests that the drain left unfinished are read again by the next grant, and only that one answers them, although
// the first handler still has them.
func TestUnfinishedRequestsAreReadAgain(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 6)...)
	h := newGateHandler()
	r := start(t, c, h.handle, func(cfg *Config) { cfg.DrainTimeout = 20 * time.Millisecond })
	r.owner.Grant(context.Background(), brokerLease(c), []int32{0})
	eventually(t, "all are started", func() bool { return len(h.started) == 6 })
	r.owner.Release([]int32{0})
	lease := brokerLease(c)
	r.grantUnder(lease, 0)
	eventually(t, "all wait again", func() bool { p, _ := r.partition(0); return p.Open == 6 })
	close(h.free)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 6 })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if !slices.Equal(got, sequence(0, 6)) {
		t.Errorf("answered %v", got)
	}
}

// Partitions come and go one by one while others work.
func TestIncrementalGrants(t *testing.T) {
	t.Parallel()
	c := broker(t, 4)
	r := start(t, c, answerAll, nil)
	epochs := map[int32]*fakeLease{}
	written := map[int32]int64{}
	check := func(ids ...int32) {
		t.Helper()
		for _, id := range ids {
			produce(t, c, id, requests(1, 20)...)
			written[id] += 20
		}
		for _, id := range ids {
			eventually(t, "its records are committed", func() bool { return epochs[id].offset(id) == written[id] })
		}
		if s := r.Status(); !s.Joined || len(s.Partitions) != len(ids) {
			t.Errorf("joined %v with %d partitions, want %d", s.Joined, len(s.Partitions), len(ids))
		}
	}
	grant := func(ids ...int32) {
		lease := brokerLease(c)
		for _, id := range ids {
			epochs[id] = lease
		}
		r.owner.Grant(context.Background(), lease, ids)
	}
	grant(0)
	check(0)
	grant(1, 2)
	check(0, 1, 2)
	r.owner.Release([]int32{1})
	check(0, 2)
	grant(3)
	check(0, 2, 3)
	r.owner.Release([]int32{0, 2})
	grant(1)
	check(1, 3)
	r.owner.Release([]int32{1, 3})
	if r.Status().Joined {
		t.Error("joined without any grant")
	}
	for id, n := range written {
		got := r.delivery.offsets(id)
		slices.Sort(got)
		if !slices.Equal(got, sequence(0, n)) {
			t.Errorf("partition %d: %d answers for %d requests", id, len(got), n)
		}
	}
}

// A last commit that fails loses nothing: what was answered is read again.
func TestLastCommitFails(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 4)...)
	r := start(t, c, answerAll, func(cfg *Config) { cfg.CommitInterval = time.Hour })
	r.owner.Grant(context.Background(),
		&fakeLease{before: func(map[int32]kafkawire.OffsetAndMetadata) error { return errors.New("fenced") }}, []int32{0})
	eventually(t, "all are answered", func() bool { return r.delivery.count() == 4 })
	r.owner.Release([]int32{0})
	if offset := r.committed(0); offset != kafkawire.NoOffset {
		t.Fatalf("committed %d", offset)
	}
	r.grantUnder(brokerLease(c), 0)
	eventually(t, "all are answered again", func() bool { return r.delivery.count() == 8 })
}

// What the group has given to others is not drained: they answer it, too.
func TestReleaseOfWhatIsLost(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 20)...)
	h := newGateHandler()
	r := start(t, c, h.handle, func(cfg *Config) { cfg.CommitInterval = time.Hour })
	lease := &lostLease{lost: make(chan struct{})}
	r.owner.Grant(context.Background(), lease, []int32{0})
	eventually(t, "some are started", func() bool { return len(h.started) > 0 })
	released := make(chan struct{})
	go func() {
		defer close(released)
		r.owner.Release([]int32{0})
	}()
	close(lease.lost) // handlers are held: only this ends the drain
	<-released
	if n := lease.commits(); n != 0 {
		t.Errorf("%d commits of what is somebody else's", n)
	}
	close(h.free)
}
