package consumer

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// acknowledging is a delivery that costs nothing.
type acknowledging struct{ AtLeastOnce }

func (acknowledging) Deliver(_ context.Context, req *inflight.Request, _ schemas.Outcome) error {
	req.Acknowledged()
	return nil
}

// BenchmarkInFlight is what a record costs from its begin to its acknowledgement, without the fetch, the CMS and the
// write.
func BenchmarkInFlight(b *testing.B) {
	out := schemas.Outcome{Result: &schemas.Result{Outcome: schemas.OutcomeComplete}}
	handle := func(ctx context.Context, lane *Lane) {
		lane.Take(256, func(req *inflight.Request) bool { req.Complete(ctx, out); return true })
	}
	c := New(Config{Topic: testTopic, RunAhead: 256, MaxInFlight: 4}, Parts{
		Delivery: acknowledging{}, Handler: HandlerFunc(handle), Gate: newFakeGate(), Log: zerolog.Nop(),
		Observer: &fakeObserver{},
	})
	p := newPartition(c, 0, &fakeLease{}, position{})
	rec := kafkawire.Record{Value: []byte(requests(42, 1)[0])}
	chunk := &hold{partition: p}
	chunk.users.Store(1)
	b.ReportAllocs()
	for b.Loop() {
		p.awaitRoom(b.Context())
		c.lanes.submit(b.Context(), p.begin(b.Context(), &rec, chunk))
		rec.Offset++
	}
	c.lanes.close()
}
