//go:build !race

package consumer

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// What a record costs in allocations, at most: its tracker, its lane, and all from its begin to its acknowledgement, of
// which the most are its request's. Who lowers a figure lowers its budget.
func TestAllocations(t *testing.T) {
	tr, offset := newTracker(0, nil), int64(0)
	handled := make(chan struct{}, 1)
	l := newLanes(HandlerFunc(func(_ context.Context, lane *Lane) {
		lane.Take(1, func(*inflight.Request) bool { handled <- struct{}{}; return true })
	}), 1)
	defer l.close()
	of := record(&partition{lease: &fakeLease{}}, 1, 0)

	out := schemas.Outcome{Result: &schemas.Result{Outcome: schemas.OutcomeComplete}}
	done := make(chan struct{}, 1)
	c := New(Config{Topic: testTopic, RunAhead: 256, Ahead: 256, MaxInFlight: 1}, Parts{
		Delivery: acknowledging{}, Gate: newFakeGate(), Log: zerolog.Nop(), Observer: &fakeObserver{},
		Handler: HandlerFunc(func(ctx context.Context, lane *Lane) {
			lane.Take(1, func(req *inflight.Request) bool { req.Complete(ctx, out); done <- struct{}{}; return true })
		}),
	})
	defer c.lanes.close()
	p := newPartition(c, 0, &fakeLease{}, position{})
	rec := kafkawire.Record{Value: []byte(requests(42, 1)[0])}
	chunk := &hold{partition: p}
	chunk.users.Store(1)

	for name, cost := range map[string]struct {
		budget float64
		do     func()
	}{
		"tracker": {1, func() { tr.finish(tr.start(offset, 1)); offset++ }},
		"lanes":   {0, func() { l.submit(t.Context(), of); <-handled }},
		"in flight": {5, func() {
			p.awaitRoom(t.Context())
			c.lanes.submit(t.Context(), p.begin(t.Context(), &rec, chunk))
			rec.Offset++
			<-done
		}},
	} {
		if n := testing.AllocsPerRun(1000, cost.do); n > cost.budget {
			t.Errorf("%s: %v allocations, want at most %v", name, n, cost.budget)
		}
	}
}
