package consumer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// printer is a delivery of one's own: it prints outcomes. What is printed is answered, so it acknowledges at once.
type printer struct {
	consumer.AtLeastOnce // commits, and what they name; its Writer is not used
	committed            func(consumer.Offsets)
}

func (d printer) Deliver(_ context.Context, req *inflight.Request, out schemas.Outcome) error {
	if out.Result != nil {
		fmt.Printf("%s: %s\n", req.Request.ID, out.Result.Outcome)
	} else {
		fmt.Printf("%s: %s\n", req.Request.ID, out.DeadLetter.Reason)
	}
	req.Acknowledged()
	return nil
}

func (d printer) Commit(ctx context.Context, lease group.Lease, o consumer.Offsets) (consumer.Offsets, error) {
	committed, err := d.AtLeastOnce.Commit(ctx, lease, o)
	d.committed(committed)
	return committed, err
}

// A handler takes the requests that wait in a contract's lane and completes each. The offset follows when they are
// acknowledged.
func Example() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "requests"),
		kfake.ListenFn(kafkatest.Listen))
	if err != nil {
		panic(err)
	}
	defer cluster.Close()
	publish(cluster.ListenAddrs(), `{"requestId":"r-1","contractId":"42","balanceCodes":["AVAILABLE"]}`,
		`{"requestId":"r-2"}`)

	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: cluster.ListenAddrs(), ClientID: "example"}, "requests")
	defer wire.Close()
	ctx, stop := context.WithCancel(context.Background())
	delivery := printer{committed: func(o consumer.Offsets) {
		if o[0].Offset == 2 { // both
			stop()
		}
	}}
	if err := newConsumer(wire, delivery, unheard{}).Run(ctx); err != nil { // it has drained, committed and left the group
		panic(err)
	}
	// Output:
	// r-1: complete
	// r-2: invalid-request
}

// handle completes what waits in the lane of a contract, and says of what is no request that it is none.
func handle(ctx context.Context, lane *consumer.Lane) {
	lane.Take(16, func(req *inflight.Request) bool {
		out := schemas.Outcome{Result: &schemas.Result{Outcome: schemas.OutcomeComplete}}
		if req.Err != nil {
			out = schemas.Outcome{DeadLetter: &schemas.DeadLetter{Reason: schemas.ReasonInvalidRequest, Detail: req.Err.Error()}}
		}
		req.Complete(ctx, out)
		return true
	})
}

func newConsumer(wire *kafkawire.Client, delivery consumer.Delivery, obs consumer.Observer) *consumer.Consumer {
	return consumer.New(consumer.Config{
		Topic: "requests", Group: "balanceq", Start: consumer.Earliest, MaxInFlight: 1, RunAhead: 64, FetchBytes: 1 << 20,
		CommitInterval: time.Second, DrainTimeout: time.Second,
	}, consumer.Parts{
		Offsets: wire, Fetch: wire,
		Member: group.NewClassic(group.ClassicConfig{SessionTimeout: 10 * time.Second, Config: group.Config{
			Group: "balanceq", Topic: "requests", RebalanceTimeout: 10 * time.Second,
		}}, wire, zerolog.Nop()),
		Delivery: delivery, Handler: consumer.HandlerFunc(handle), Gate: open{}, Log: zerolog.Nop(), Observer: obs,
	})
}

// open is a gate that never closes.
type open struct{}

func (open) Waiting() (string, <-chan struct{}) { return "", nil }

type unheard struct{}

func (unheard) Answered(*inflight.Request, string, schemas.Reason) {}
func (unheard) Committed(time.Duration, error)                     {}
func (unheard) OffsetJumped(int32, int64, int64)                   {}
func (unheard) Rebalanced(string)                                  {}
func (unheard) Drained(time.Duration)                              {}

func publish(brokers []string, values ...string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("requests"))
	if err != nil {
		panic(err)
	}
	defer cl.Close()
	for _, v := range values {
		if err := cl.ProduceSync(context.Background(), kgo.StringRecord(v)).FirstErr(); err != nil {
			panic(err)
		}
	}
}
