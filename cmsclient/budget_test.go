package cmsclient

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// askLikeAProcessor asks until it is answered; what failed while the breaker was closed is a retry.
func askLikeAProcessor(ctx context.Context, c *Client, contract int64) error {
	admit := c.Admit
	backoff := NewBackoff(50*time.Millisecond, time.Second)
	for {
		call, err := admit(ctx)
		if err != nil {
			return err
		}
		if _, err = call.Get(ctx, query(contract)); err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if admit = c.Admit; c.Status().Breaker == BreakerClosed {
			admit = c.AdmitRetry
		}
		select {
		case <-time.After(backoff.Next(0)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// With every third call failing, retries stay within their share of the first calls, but for the burst that is allowed
// at the beginning and the calls at the floor that keep things moving; and all are answered.
func TestRetriesKeepToTheirShare(t *testing.T) {
	settings := func(cfg *Config) {
		cfg.RetryShare, cfg.MinInFlight, cfg.MaxInFlight = 0.2, 2, 64
		cfg.Breaker.FailureRatio = 1
	}
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		var n atomic.Int64
		cms.set(func(string) (*http.Response, error) {
			if n.Add(1)%3 == 0 {
				return reply(503, ""), nil
			}
			return good()
		})
		const requests = 6000
		var wg sync.WaitGroup
		work := make(chan int64)
		for range 64 {
			wg.Go(func() {
				for contract := range work {
					if err := askLikeAProcessor(t.Context(), c, contract); err != nil {
						t.Error(err)
					}
				}
			})
		}
		start := time.Now()
		for i := range int64(requests) {
			work <- i + 1
		}
		close(work)
		wg.Wait()
		// 2 calls at a time, of 100 ms each.
		atFloor := uint64(time.Since(start) / (100 * time.Millisecond) * 2)
		s := c.Status()
		if allowed := uint64(requests/5+64/5) + atFloor; s.Retries > allowed || s.Retries < requests/5 {
			t.Errorf("%d retries in %v; %d are within the share and the floor", s.Retries, time.Since(start), allowed)
		}
		if s.InFlight != 0 || s.Queued != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}

// A retry that is over the budget lets first calls pass, goes on when those have paid for it, and is free while the
// breaker is not closed.
func TestRetryWaitsForTheBudget(t *testing.T) {
	settings := func(cfg *Config) { cfg.RetryShare, cfg.MinInFlight, cfg.MaxInFlight = 0.5, 1, 4 }
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		hold, err := c.Admit(t.Context()) // above the floor from now on
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the burst
			call, err := c.AdmitRetry(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			call.Release()
		}
		admitted := make(chan *Call, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			call, err := c.AdmitRetry(t.Context())
			if err != nil {
				t.Error(err)
			}
			admitted <- call
		})
		synctest.Wait()
		if s := c.Status(); s.QueuedRetries != 1 || len(admitted) != 0 || s.Cause != "" {
			t.Fatalf("over the budget: %+v", s)
		}
		for i := range 2 {
			if len(admitted) != 0 {
				t.Fatalf("admitted after %d first calls", i)
			}
			if _, err := ask(t.Context(), c, 1); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if len(admitted) != 1 {
			t.Fatalf("not admitted after two first calls: %+v", c.Status())
		}
		(<-admitted).Release()
		hold.Release()
		wg.Wait()

		cms.set(always(503, ""))
		for !c.BreakerOpen() {
			_, _ = ask(t.Context(), c, 1)
		}
		cms.set(always(200, goodBody))
		c.admission.budget.balance = 0
		if call, err := c.AdmitRetry(t.Context()); err != nil {
			t.Error(err)
		} else if _, err := call.Get(t.Context(), query(1)); err != nil {
			t.Error(err)
		}
	})
}

// Whatever the order of calls, the budget alone never lets retries and hedges exceed their share and the burst.
func TestBudgetProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		cfg.RetryShare = rapid.Float64Range(0.01, 3).Draw(t, "share")
		cfg.MaxInFlight = rapid.IntRange(1, 500).Draw(t, "most")
		b := newBudget(cfg)
		firsts, others := 0, 0
		for _, k := range rapid.SliceOfN(rapid.SampledFrom([]kind{first, retry, hedge}), 1, 400).Draw(t, "calls") {
			switch {
			case k == first:
				firsts++
			case !b.affords():
				continue
			default:
				others++
			}
			b.spend(k)
			if most := cfg.RetryShare*float64(firsts) + max(1,
				cfg.RetryShare*float64(cfg.MaxInFlight)); float64(others) > most+1e-6 {
				t.Fatalf("%d retries and hedges beside %d first calls, allowed are %v", others, firsts, most)
			}
		}
	})
}
