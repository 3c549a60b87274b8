package cmsclient

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Halted: one probe per interval, made by the first that waits; it ends with the first answer that is not a refusal.
func TestHaltedProbeCadence(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		cms.latency = 0
		cms.set(always(403, errorBody("MASTERCARD PROCESSING", "OPERATION_DENIED")))
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if _, err := askUntilAnswered(t.Context(), c, int64(i+1)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if s := c.Status(); s.Queued != 5 || s.Cause != CauseHalted || s.Breaker != BreakerClosed {
			t.Errorf("halted: %+v", s)
		}
		interval := c.cfg.ProbeInterval
		time.Sleep(3*interval + time.Second)
		synctest.Wait()
		calls, top := cms.seen()
		if len(calls) != 4 || top != 1 {
			t.Fatalf("calls %v, %d at a time; want the first and three probes", calls, top)
		}
		for i, at := range cms.times {
			if d := at.Sub(start); d != time.Duration(i)*interval {
				t.Errorf("call %d came after %v", i, d)
			}
		}
		if calls[1] == calls[2] || calls[2] == calls[3] {
			t.Errorf("the probes do not rotate: %v", calls)
		}

		cms.set(func(string) (*http.Response, error) { return nil, errors.New("no route") })
		time.Sleep(interval)
		synctest.Wait()
		if s := c.Status(); s.Cause != CauseHalted {
			t.Errorf("no answer at all ended it: %+v", s)
		}
		cms.set(always(404, notFoundBody))
		time.Sleep(interval)
		synctest.Wait()
		if s := c.Status(); s.Cause != "" || s.HaltedError != "" {
			t.Errorf("the CMS's own 404 did not end it: %+v", s)
		}
		wg.Wait()
		if got := obs.history(); got != "halted resumed" {
			t.Errorf("history %q", got)
		}
	})
}

// With no caller waiting, the probe must come from a record that is yet to be fetched.
func TestHaltedAsksForARecordToProbeWith(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.set(always(401, ""))
		_, _ = ask(t.Context(), c, 1)
		for range 3 {
			cause, changed := c.Waiting()
			if cause != CauseHalted {
				t.Fatalf("halted: %q", cause)
			}
			<-changed
			if cause, _ = c.Waiting(); cause != "" {
				t.Fatalf("a probe is due and no caller waits: %q", cause)
			}
			_, _ = ask(t.Context(), c, 1)
		}
		if c.Status().HaltedError == "" {
			t.Error("no error text")
		}
	})
}

func TestHaltedProbeNotSentIsHandedOn(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.set(always(401, ""))
		_, _ = ask(t.Context(), c, 1)
		first, err := c.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		first.Release()
		second, err := c.Admit(t.Context())
		if err != nil || time.Since(start) != 0 {
			t.Fatalf("the second came after %v: %v", time.Since(start), err)
		}
		second.Release()
	})
}

func TestCoolDownHonoursRetryAfter(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, rec *recorder) {
		cms.latency = 0
		for name, wish := range map[string]func() string{
			"seconds": func() string { return "7" },
			"date":    func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) },
		} {
			cms.set(always(429, "", "Retry-After", wish()))
			_, err := ask(t.Context(), c, 1)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Class != Throttled || e.RetryAfter != 7*time.Second {
				t.Fatalf("%s: %v", name, err)
			}
			cause, changed := c.Waiting()
			if s := c.Status(); cause != CauseThrottled || !s.CoolDownUntil.Equal(time.Now().Add(7*time.Second)) {
				t.Errorf("%s: %q, %+v", name, cause, s)
			}
			cms.set(always(200, goodBody))
			start := time.Now()
			if _, err := ask(t.Context(), c, 1); err != nil || time.Since(start) != 7*time.Second {
				t.Errorf("%s: went on after %v, %v", name, time.Since(start), err)
			}
			<-changed
			if s := c.Status(); s.Cause != "" || !s.CoolDownUntil.IsZero() {
				t.Errorf("%s: afterwards %+v", name, s)
			}
		}
		if want := []time.Duration{7 * time.Second, 7 * time.Second}; !slices.Equal(rec.pauses, want) {
			t.Errorf("told of pauses of %v, want %v", rec.pauses, want)
		}
	})
}

// Without Retry-After the pause doubles with each round of 429s, however many calls a round has, up to its limit; a
// good answer begins again.
func TestCoolDownDoubles(t *testing.T) {
	// The floor lets all of a round's calls pass at once although a 429 halves their number.
	settings := func(cfg *Config) { cfg.MaxCoolDown, cfg.MinInFlight = 5*time.Second, 20 }
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		round := func(answer func(string) (*http.Response, error)) time.Duration {
			cms.set(answer)
			start := time.Now()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { _, _ = ask(t.Context(), c, 1) })
			}
			wg.Wait()
			return time.Since(start) - 100*time.Millisecond // the call's own time
		}
		for i, want := range []time.Duration{0, 1, 2, 4, 5, 5} {
			if got := round(always(429, "")); got != want*time.Second {
				t.Errorf("round %d began after %v, want %ds", i, got, want)
			}
		}
		if got := round(always(200, goodBody)); got != 5*time.Second {
			t.Errorf("the good round began after %v", got)
		}
		if got := round(always(429, "")); got != 0 {
			t.Errorf("a 429 after good answers: %v", got)
		}
		if got := round(always(200, goodBody)); got != time.Second {
			t.Errorf("its pause: %v", got)
		}
	})
}

// More callers than MaxInFlight wait their turn; that is no fault of the CMS and no cause.
func TestInFlightLimit(t *testing.T) {
	inBubbleWith(t, func(cfg *Config) { cfg.MinInFlight, cfg.MaxInFlight = 2, 2 },
		func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					if _, err := ask(t.Context(), c, int64(i+1)); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			if s := c.Status(); s.InFlight != 2 || s.Queued != 4 || s.Cause != "" {
				t.Errorf("%+v", s)
			}
			wg.Wait()
			if calls, top := cms.seen(); len(calls) != 6 || top != 2 {
				t.Errorf("%d calls, %d at a time", len(calls), top)
			}
		})
}

// Halted and throttled do not stop the breaker from working, and the causes come one after the other.
func TestGatesTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		breakOpen(t, c, cms)
		done := make(chan error)
		go func() {
			_, err := askUntilAnswered(t.Context(), c, 1)
			done <- err
		}()
		cms.set(always(429, "", "Retry-After", "60")) // the breaker's probe
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if s := c.Status(); s.Cause != CauseThrottled || s.Breaker != BreakerHalfOpen {
			t.Errorf("a throttled probe: %+v", s)
		}
		cms.set(always(401, "")) // the next probe
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if s := c.Status(); s.Cause != CauseHalted || s.Breaker != BreakerHalfOpen {
			t.Errorf("a halted probe: %+v", s)
		}
		cms.set(always(200, goodBody))
		if err := <-done; err != nil {
			t.Error(err)
		}
		const want = "open half-open halted closed resumed"
		if got := obs.history(); got != want {
			t.Errorf("history %q, want %q", got, want)
		}
	})
}

// Close leaves nothing behind, even with a timer set.
func TestCloseStopsTheTimer(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		breakOpen(t, c, cms)
		c.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := obs.history(); got != "open" {
			t.Errorf("after Close the breaker went %q", got)
		}
	})
}
