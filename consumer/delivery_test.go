package consumer_test

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// store is a delivery that somebody else could have written: outcomes and offsets become permanent in one step of its
// own, and until then nothing is answered.
type store struct {
	mu       sync.Mutex
	pending  map[int64]*inflight.Request // by offset; of one partition
	outcomes []int64                     // offsets whose outcomes are permanent
	done     func()
}

func (s *store) Deliver(_ context.Context, req *inflight.Request, _ schemas.Outcome) error {
	s.mu.Lock()
	s.pending[req.Record.Offset] = req
	s.mu.Unlock()
	req.Pending()
	return nil
}

func (s *store) Commit(ctx context.Context, lease group.Lease, o consumer.Offsets) (consumer.Offsets, error) {
	if err := lease.Commit(ctx, o); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, offset := range slices.Sorted(maps.Keys(s.pending)) {
		if req := s.pending[offset]; offset < o[0].Offset && req.Owned() {
			s.outcomes = append(s.outcomes, offset)
			delete(s.pending, offset)
			req.Committed()
		}
	}
	if len(s.outcomes) == 100 {
		s.done()
	}
	return o, nil
}

func (*store) Answered(p consumer.Progress) consumer.Progress {
	return consumer.Progress{Committed: p.Committed, Next: p.Committed,
		Above: iter.Seq[consumer.Run](func(func(consumer.Run) bool) {})}
}

func (*store) InDoubt(int32) bool { return false }

func (*store) Revoked() {}

// counter counts what is answered.
type counter struct {
	unheard
	mu       sync.Mutex
	answered map[string]int
}

func (c *counter) Answered(_ *inflight.Request, outcome string, _ schemas.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered[outcome]++
}

// A delivery needs nothing of this package but what is exported.
func TestDeliveryFromOutside(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "requests"))
	values := slices.Repeat([]string{`{"contractId":"42","balanceCodes":["AVAILABLE"]}`, `{"contractId":"43"}`}, 50)
	publish(cluster.ListenAddrs(), values...)
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: cluster.ListenAddrs(), ClientID: "test"}, "requests")
	t.Cleanup(wire.Close)
	ctx, stop := context.WithCancel(t.Context())
	s, obs := &store{pending: map[int64]*inflight.Request{}, done: stop}, &counter{answered: map[string]int{}}
	if err := newConsumer(wire, s, obs).Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(s.outcomes) != 100 || !slices.IsSorted(s.outcomes) || len(s.pending) != 0 {
		t.Errorf("permanent: %v; pending: %d", s.outcomes, len(s.pending))
	}
	want := map[string]int{schemas.OutcomeComplete: 50, consumer.OutcomeDeadLetter: 50}
	if !maps.Equal(obs.answered, want) {
		t.Errorf("answered %v, want %v", obs.answered, want)
	}
}
