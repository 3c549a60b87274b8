package cmsclient

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowThenQuick takes 2 s for the first call and 50 ms for the others.
func slowThenQuick(inFlight int) time.Duration {
	if inFlight == 1 {
		return 2 * time.Second
	}
	return 50 * time.Millisecond
}

func hedging(cfg *Config) { cfg.HedgeAfter = 300 * time.Millisecond }

// A slow call gets company after HedgeAfter; the first answer counts, the other call is called off and counts as
// nothing.
func TestHedge(t *testing.T) {
	inBubbleWith(t, hedging, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		cms.delay = slowThenQuick
		start := time.Now()
		if _, err := ask(t.Context(), c, 1); err != nil || time.Since(start) != 350*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		calls, _ := cms.seen()
		if s := c.Status(); len(calls) != 2 || s.Hedges != 1 || s.InFlight != 0 {
			t.Errorf("%d calls, %+v", len(calls), s)
		}
		if obs.count(Call2xx) != 1 || obs.count(CallCancelled) != 1 {
			t.Errorf("reported: %v", obs.calls)
		}
		if n := c.admission.breaker.failures.Counts(); n.TotalFailures != 0 || n.TotalSuccesses != 1 {
			t.Errorf("the breaker counts %+v", n)
		}
	})
}

// Quick calls get none, and a call that fails before its time neither.
func TestHedgeOnlySlowCalls(t *testing.T) {
	inBubbleWith(t, hedging, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		_, _ = ask(t.Context(), c, 1)
		cms.set(always(503, ""))
		if _, err := ask(t.Context(), c, 1); classOf(err) != Transient {
			t.Error(err)
		}
		if s := c.Status(); s.Hedges != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A failure waits for the other attempt; only when both have failed it is the call's.
func TestHedgeOutlivesAFailure(t *testing.T) {
	inBubbleWith(t, hedging, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.delay = func(inFlight int) time.Duration { return []time.Duration{0, 400, 500}[inFlight] * time.Millisecond }
		var n atomic.Int32
		cms.set(func(string) (*http.Response, error) {
			if n.Add(1) == 1 {
				return reply(503, ""), nil
			}
			return good()
		})
		if _, err := ask(t.Context(), c, 1); err != nil {
			t.Error(err)
		}
		cms.set(always(503, ""))
		if _, err := ask(t.Context(), c, 1); classOf(err) != Transient {
			t.Error(err)
		}
		if s := c.Status(); s.Hedges != 2 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// No hedge takes a slot that a caller waits for, none is over the budget, and none is made while the breaker is not
// closed.
func TestHedgeYields(t *testing.T) {
	cases := map[string]func(c *Client){
		"no place":        func(c *Client) { c.admission.inFlight = c.cfg.MaxInFlight },
		"a caller waits":  func(c *Client) { c.admission.queue.push(retry) },
		"over the budget": func(c *Client) { c.admission.budget.balance = 0.5 },
		"in a cool-down":  func(c *Client) { c.admission.coolUntil = time.Now().Add(time.Minute) },
		"halted":          func(c *Client) { c.admission.halted = errors.New("no key") },
		"a breaker opening": func(c *Client) {
			c.admission.breaker.seen, c.admission.breaker.openUntil = 2, time.Now().Add(time.Hour)
		},
	}
	for name, disturb := range cases {
		inBubbleWith(t, hedging, func(t *testing.T, c *Client, _ *fakeCMS, _ *recorder) {
			if p, ok := c.admission.tryHedge(); !ok {
				t.Fatal("no hedge even undisturbed")
			} else {
				c.admission.finish(p, errNotSent)
			}
			c.admission.mu.Lock()
			disturb(c)
			c.admission.mu.Unlock()
			if _, ok := c.admission.tryHedge(); ok {
				t.Errorf("%s: hedged", name)
			}
		})
	}
}

// The caller's own end ends both attempts, and a panic comes out on the caller's goroutine, with every permit back.
func TestHedgeEnds(t *testing.T) {
	inBubbleWith(t, hedging, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.latency = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ask(ctx, c, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cms.latency = 0
		cms.set(func(string) (*http.Response, error) { panic("a defect") })
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = ask(t.Context(), c, 1)
		}()
		synctest.Wait()
		if s := c.Status(); s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}
