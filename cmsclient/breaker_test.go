package cmsclient

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBreakerProbesOneAtATimeThenReleasesAll(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		breakOpen(t, c, cms)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if _, err := askUntilAnswered(t.Context(), c, int64(i+1)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if s := c.Status(); s.Queued != 100 || s.InFlight != 0 || s.Breaker != BreakerOpen || s.Cause != CauseBreaker {
			t.Errorf("while open: %+v", s)
		}
		time.Sleep(9900 * time.Millisecond)
		if calls, _ := cms.seen(); len(calls) != 0 {
			t.Errorf("%d calls while open", len(calls))
		}

		time.Sleep(150 * time.Millisecond) // the first probe is under way
		synctest.Wait()
		if s := c.Status(); s.Queued != 99 || s.InFlight != 1 || s.Breaker != BreakerHalfOpen || s.Cause != CauseBreaker {
			t.Errorf("while probing: %+v", s)
		}
		time.Sleep(10100 * time.Millisecond) // it failed, and the second is under way
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		calls, top := cms.seen()
		if len(calls) != 2 || top != 1 || calls[0] == calls[1] {
			t.Errorf("two rounds of probes made the calls %v, %d at a time; want two different ones", calls, top)
		}

		cms.set(always(200, goodBody))
		wg.Wait()
		calls, top = cms.seen()
		if len(calls) != 100 || top != 99 {
			t.Errorf("%d calls, %d at a time after the probe's success; want 100 and 99", len(calls), top)
		}
		const want = "open half-open open half-open open half-open closed"
		if got := obs.history(); got != want {
			t.Errorf("the breaker went %s, want %s", got, want)
		}
		if s := c.Status(); s.Queued != 0 || s.InFlight != 0 || s.Breaker != BreakerClosed || s.Cause != "" {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// A request whose call always fails keeps the breaker open with its probes only for one turn.
func TestPoisonDoesNotStarveTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		const poison = 666
		breakOpen(t, c, cms)
		cms.set(func(path string) (*http.Response, error) {
			if path == "/contracts/666/balances" {
				return reply(500, ""), nil
			}
			return good()
		})
		ctx, cancel := context.WithCancel(t.Context())
		var all, others sync.WaitGroup
		all.Go(func() { _, _ = askUntilAnswered(ctx, c, poison) })
		synctest.Wait() // the poison is first in the queue
		start := time.Now()
		for i := range 10 {
			others.Go(func() {
				if _, err := askUntilAnswered(ctx, c, int64(i+1)); err != nil {
					t.Error(err)
				}
			})
		}
		others.Wait()
		if d := time.Since(start); d > 21*time.Second {
			t.Errorf("the others waited %v, more than two open times", d)
		}
		cancel()
		all.Wait()
	})
}

func TestAdmitEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		breakOpen(t, c, cms)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Admit(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := c.Admit(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with an ended context: %v", err)
		}
		if s := c.Status(); s.Queued != 0 {
			t.Errorf("%d still queued", s.Queued)
		}
	})
}

// Permits and cancellations cross: none may be lost.
func TestCancelledWaitersLoseNoPermit(t *testing.T) {
	cms := &fakeCMS{answer: always(200, goodBody)}
	cfg := testConfig("http://cms.test")
	cfg.Transport = cms
	cfg.MinInFlight, cfg.MaxInFlight = 2, 2
	c := newTestClient(t, cfg, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					if i%2 == 0 {
						cancel()
					}
				}()
				_, _ = ask(ctx, c, 1)
				cancel()
			}
		})
	}
	wg.Wait()
	if s := c.Status(); s.InFlight != 0 || s.Queued != 0 {
		t.Errorf("left over: %+v", s)
	}
	if _, top := cms.seen(); top > 2 {
		t.Errorf("%d calls at the same time", top)
	}
}

// A probe that was cancelled or not needed says nothing; the next in the queue makes it.
func TestUnusedProbeIsHandedOn(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		breakOpen(t, c, cms)
		cms.set(always(200, goodBody))
		admitted := make(chan *Call, 3)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				call, err := c.Admit(t.Context())
				if err != nil {
					t.Error(err)
				}
				admitted <- call
			})
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if len(admitted) != 1 {
			t.Fatalf("%d probes at the same time", len(admitted))
		}
		(<-admitted).Release()
		synctest.Wait()
		if len(admitted) != 1 || c.Status().Breaker != BreakerHalfOpen {
			t.Fatalf("after a released probe: %d probes, %+v", len(admitted), c.Status())
		}
		cancelled, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := (<-admitted).Get(cancelled, query(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled probe: %v", err)
		}
		synctest.Wait()
		if len(admitted) != 1 || c.Status().Breaker != BreakerHalfOpen {
			t.Fatalf("after a cancelled probe: %d probes, %+v", len(admitted), c.Status())
		}
		last := <-admitted
		if _, err := last.Get(t.Context(), query(1)); err != nil || c.Status().Breaker != BreakerClosed {
			t.Errorf("the third probe: %v, %+v", err, c.Status())
		}
		last.Release() // does nothing
		wg.Wait()
		if s := c.Status(); s.InFlight != 0 {
			t.Errorf("in flight: %d", s.InFlight)
		}
	})
}

func TestWhatTheBreakerCounts(t *testing.T) {
	cases := map[string]struct {
		answer                       func(string) (*http.Response, error)
		failures, successes, ignored uint32
	}{
		"2xx":         {always(200, goodBody), 0, 1, 0},
		"rejected":    {always(400, errorBody("MASTERCARD PROCESSING", "REQUEST_VALIDATION")), 0, 1, 0},
		"not found":   {always(404, notFoundBody), 0, 1, 0},
		"503":         {always(503, ""), 1, 0, 0},
		"408":         {always(408, ""), 1, 0, 0},
		"undecodable": {always(200, "?"), 1, 0, 0},
		"429":         {always(429, ""), 0, 0, 1},
		"401":         {always(401, ""), 0, 0, 1},
	}
	for name, want := range cases {
		inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
			cms.set(want.answer)
			_, _ = ask(t.Context(), c, 1)
			n := c.admission.breaker.failures.Counts()
			if n.TotalFailures != want.failures || n.TotalSuccesses != want.successes || n.TotalExclusions != want.ignored {
				t.Errorf("%s: %+v", name, n)
			}
		})
	}
}

// Failures that are older than the window do not open the breaker, and calls under way do not dilute the ratio.
func TestBreakerWindow(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.set(always(503, ""))
		_, _ = ask(t.Context(), c, 1)
		time.Sleep(21 * time.Second)
		_, _ = ask(t.Context(), c, 1)
		if c.BreakerOpen() {
			t.Error("opened by a failure out of the window")
		}
		var idle []*Call
		for range 50 {
			call, err := c.Admit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			idle = append(idle, call)
		}
		_, _ = ask(t.Context(), c, 1)
		if !c.BreakerOpen() {
			t.Error("not opened by 2 failures of 2 finished calls")
		}
		for _, call := range idle {
			call.Release()
		}
	})
}

// Calls that take their whole time are counted although they started long ago.
func TestBreakerOpensOnTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.latency = time.Hour
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, _ = ask(t.Context(), c, 1) })
		}
		wg.Wait()
		if !c.BreakerOpen() {
			t.Error("two timeouts did not open the breaker")
		}
	})
}
