package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// The broker is killed and started again under load (a container: kill -9). Every request gets its own answer;
// a wait that ends meanwhile says that the outcome is unknown, and can be taken up again.
func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	broker := kafkatest.New(t)
	cfg := topics(t, broker, 3, 3)
	startService(t, broker.Brokers(), cfg.Requests, cfg.Results, answerAll)
	c := opened(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	load, end := context.WithCancel(ctx)
	defer end()
	var wg sync.WaitGroup
	var asked, unknown atomic.Int64
	for worker := range 100 {
		wg.Go(func() {
			for i := 0; load.Err() == nil; i++ {
				code := fmt.Sprint("C", worker, "-", i)
				once, cancel := context.WithTimeout(ctx, time.Second)
				a, err := c.Ask(once, client.Request{ContractID: int64(worker%30 + 1), BalanceCodes: []string{code},
					Deadline: time.Now().Add(time.Hour)})
				cancel()
				asked.Add(1)
				if still, ok := errors.AsType[*client.UnknownError](err); ok {
					unknown.Add(1)
					a, err = still.Ticket.Wait(ctx)
				} else if errors.Is(err, context.DeadlineExceeded) {
					continue // the buffer is full: it was not sent, and says so
				}
				if _, ok := a.Balance(code); err != nil || !ok {
					t.Errorf("asked for %s, got %+v, error %v", code, a, err)
					return
				}
				wait := time.NewTimer(10 * time.Millisecond)
				<-wait.C
			}
		})
	}
	answered := func(n int64) {
		kafkatest.Eventually(t, time.Minute, "requests are answered", func() bool { return asked.Load() >= n })
	}
	answered(1000)
	broker.Restart(t, true)
	answered(asked.Load() + 1000)
	end()
	wg.Wait()
	t.Logf("%d asked, %d of them unknown for a while", asked.Load(), unknown.Load())
	crowdWithoutABroker(t, broker)
}

// sentCounter counts what Kafka has acknowledged.
type sentCounter struct{ atomic.Int64 }

func (s *sentCounter) Sent()                                { s.Add(1) }
func (*sentCounter) Answered(time.Duration, schemas.Reason) {}
func (*sentCounter) Unanswered()                            {}
func (*sentCounter) Failing(error)                          {}

// crowdWithoutABroker kills the broker (a container: kill -9) while 1,200 wait, half of whom ask when it is gone
// already. It comes back when all waits have ended: none of them needs it to. Each says that the outcome is unknown and
// whether the request is in the topic, and who goes on waiting gets the request's own answer.
func crowdWithoutABroker(t *testing.T, broker *kafkatest.Broker) {
	t.Helper()
	const before, all = 600, 1200
	cfg := topics(t, broker, 3, 3)
	acknowledged := new(sentCounter)
	cfg.Observer = acknowledged
	back := make(chan struct{})
	release := sync.OnceFunc(func() { close(back) })
	startService(t, broker.Brokers(), cfg.Requests, cfg.Results,
		func(rec *schemas.Record, q schemas.Request) ([]schemas.Message, time.Duration) {
			<-back
			return answerAll(rec, q)
		})
	t.Cleanup(release) // before the service waits for it
	c := opened(t, cfg)
	goroutines := runtime.NumGoroutine()
	errs := make([]error, all)
	var returned atomic.Int64
	askFor := func(from, to int, d time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		for i := from; i < to; i++ {
			go func() {
				_, errs[i] = c.Ask(ctx, client.Request{ContractID: int64(i + 1), BalanceCodes: []string{"A"}})
				returned.Add(1)
			}()
		}
	}
	askFor(0, before, 15*time.Second)
	kafkatest.Eventually(t, time.Minute, "half of the requests are in the topic",
		func() bool { return acknowledged.Load() == before })
	broker.Stop(t, true)
	askFor(before, all, 3*time.Second)
	kafkatest.Eventually(t, time.Minute, "all waits have ended", func() bool { return returned.Load() == all })
	kafkatest.Eventually(t, time.Minute, "their goroutines are gone",
		func() bool { return runtime.NumGoroutine() < goroutines+before })
	tickets := make([]*client.Ticket, all)
	for i, err := range errs {
		unknown, ok := errors.AsType[*client.UnknownError](err)
		if !ok || !unknown.Timeout() || unknown.Ticket.Acknowledged().IsZero() != (i >= before) {
			t.Fatalf("asked about %d, got %v", i+1, err)
		}
		tickets[i] = unknown.Ticket
	}
	broker.Start(t)
	release()
	ctx := kafkatest.Deadline(t, time.Minute)
	for i, ticket := range tickets {
		if a, err := ticket.Wait(ctx); err != nil || a.Result.ContractID != int64(i+1) {
			t.Fatalf("asked about %d, got %+v, error %v", i+1, a, err)
		}
	}
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}
