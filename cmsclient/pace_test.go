package cmsclient

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
)

// crowd keeps callers asking, each again as soon as it is answered, until stop is called, which waits for them.
func crowd(t *testing.T, c *Client, callers int) (stop func()) {
	t.Helper()
	end := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if _, err := askUntilAnswered(t.Context(), c, int64(i+1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(end)
		wg.Wait()
	}
}

// callsWithin counts the calls that started in d from start on.
func (f *fakeCMS) callsWithin(start time.Time, d time.Duration) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, at := range f.times {
		if !at.Before(start) && at.Before(start.Add(d)) {
			n++
		}
	}
	return n
}

// When the breaker closes, those that wait do not come all at once: calls at the same time start at the floor, and all
// of them are back when the slow start is over.
func TestSlowStart(t *testing.T) {
	settings := func(cfg *Config) { cfg.SlowStart, cfg.MinInFlight, cfg.MaxInFlight = 2*time.Second, 4, 64 }
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.latency = 20 * time.Millisecond
		breakOpen(t, c, cms)
		stop := crowd(t, c, 100)
		synctest.Wait()
		cms.set(always(200, goodBody))
		_, changed := c.Waiting()
		<-changed // the time of the probe
		time.Sleep(30 * time.Millisecond)
		if s := c.Status(); s.Breaker != BreakerClosed || s.Limit > 5 || s.InFlight > 5 {
			t.Errorf("just closed: %+v", s)
		}
		closed := time.Now()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if s := c.Status(); s.InFlight != 64 {
			t.Errorf("after the slow start: %+v", s)
		}
		stop()
		const full = 64 * 50 // calls in a second
		if first, third := cms.callsWithin(closed, time.Second),
			cms.callsWithin(closed.Add(2*time.Second), time.Second); first > full/5 ||
			third < full*95/100 {
			t.Errorf("%d calls in the first second, %d in the third, of %d", first, third, full)
		}
	})
}

// Calls that hang do not stop the growth.
func TestSlowStartNeedsNoAnswers(t *testing.T) {
	settings := func(cfg *Config) { cfg.SlowStart, cfg.MinInFlight, cfg.MaxInFlight = 2*time.Second, 8, 64 }
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		breakOpen(t, c, cms)
		cms.set(always(200, goodBody))
		if _, err := ask(t.Context(), c, 1); err != nil {
			t.Fatal(err)
		}
		cms.mu.Lock()
		cms.latency = 4 * time.Second
		cms.mu.Unlock()
		stop := crowd(t, c, 64)
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		if s := c.Status(); s.InFlight != 64 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// A 429 halves the calls at the same time, and they come back slowly.
func TestThrottlingHalves(t *testing.T) {
	inBubbleWith(t, func(cfg *Config) { cfg.MaxInFlight, cfg.Adaptive = 64, false },
		func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
			cms.set(always(429, ""))
			_, _ = ask(t.Context(), c, 1)
			cms.set(always(200, goodBody))
			stop := crowd(t, c, 100)
			time.Sleep(1200 * time.Millisecond) // the pause of a second, and the first answers
			synctest.Wait()
			if _, top := cms.seen(); top < 32 || top > 34 {
				t.Errorf("%d calls at the same time after the pause", top)
			}
			cms.mu.Lock()
			cms.latency = time.Second
			cms.mu.Unlock()
			time.Sleep(throttleRecovery + 3*time.Second)
			stop()
			if _, top := cms.seen(); top != 64 {
				t.Errorf("%d calls at the same time a minute later", top)
			}
		})
}

// The adaptive limit comes down, towards the floor, when more calls at a time only make the CMS slower, and stays where
// it is when they do not.
func TestAdaptiveLimit(t *testing.T) {
	settings := func(cfg *Config) {
		cfg.Breaker.Window, cfg.MinInFlight, cfg.MaxInFlight, cfg.Timeout = 100*time.Second, 4, 32, 50*time.Second
	}
	limitAt := func(t *testing.T, capacity int) (limit int) {
		inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
			// What is over the capacity queues in the CMS.
			cms.delay = func(inFlight int) time.Duration {
				return time.Second * time.Duration(max(1, (inFlight+capacity-1)/capacity))
			}
			low := crowd(t, c, 4) // the CMS as it is under no pressure
			time.Sleep(time.Minute)
			high := crowd(t, c, 32)
			time.Sleep(40 * time.Minute)
			limit = c.Status().Limit
			high()
			low()
		})
		return limit
	}
	if got := limitAt(t, 1000); got != 32 {
		t.Errorf("a CMS that never gets slower: %d at a time", got)
	}
	if got := limitAt(t, 4); got > 24 {
		t.Errorf("a CMS that takes 4 at a time: %d", got)
	}
}

// limitedTo is an adaptive limiter that has found a limit.
type limitedTo struct {
	adaptivelimiter.AdaptiveLimiter[any]
	limit int
}

func (l limitedTo) Limit() int { return l.limit }

// A step or two below MaxInFlight is no finding.
func TestAdaptiveLimitFeelsItsWay(t *testing.T) {
	for found, want := range map[int]int{256: 256, 252: 256, 240: 256, 239: 239, 20: 20, 3: 4} {
		p := pace{adaptive: limitedTo{limit: found}}
		p.cfg.MaxInFlight, p.cfg.MinInFlight = 256, 4
		if got := p.limit(time.Now()); got != want {
			t.Errorf("a limit of %d: %d calls, want %d", found, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	inBubbleWith(t, func(cfg *Config) { cfg.Rate = 20 }, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		start := time.Now()
		stop := crowd(t, c, 50)
		time.Sleep(10 * time.Second)
		if s := c.Status(); !s.Paced || s.Most != DefaultSettings().MaxInFlight {
			t.Errorf("%+v", s)
		}
		stop()
		if s := c.Status(); s.Paced {
			t.Errorf("no caller waits: %+v", s)
		}
		if n := cms.callsWithin(start, 10*time.Second); n < 199 || n > 203 {
			t.Errorf("%d calls in 10 s at 20 per second", n)
		}
		for second := range 9 {
			if n := cms.callsWithin(start.Add(time.Duration(second)*time.Second), time.Second); n > 22 {
				t.Errorf("%d calls in second %d", n, second)
			}
		}
	})
}

// The quota holds until the UTC day ends; meanwhile Waiting says so.
func TestDailyQuota(t *testing.T) {
	inBubbleWith(t, func(cfg *Config) { cfg.DailyQuota = 5 }, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		// The bubble's clock starts at midnight UTC.
		time.Sleep(22 * time.Hour)
		for range 5 {
			if _, err := ask(t.Context(), c, 1); err != nil {
				t.Fatal(err)
			}
		}
		cause, changed := c.Waiting()
		if s := c.Status(); cause != CauseQuota || s.Cause != CauseQuota {
			t.Errorf("%q, %+v", cause, s)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := ask(t.Context(), c, 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		<-changed
		if got := obs.history(); got != "quota spent" {
			t.Errorf("history %q", got)
		}
		calls, _ := cms.seen()
		midnight := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
		if n := cms.callsWithin(midnight, time.Second); len(calls) != 8 || n != 3 {
			t.Errorf("%d calls, %d of them in the first second of the next day: %v", len(calls), n, cms.times)
		}
	})
}

// The open time doubles while probes fail, up to its limit; a breaker that has been closed for long starts over, one
// that opens again at once does not.
func TestOpenTimeGrows(t *testing.T) {
	settings := func(cfg *Config) { cfg.Breaker.OpenTime, cfg.Breaker.MaxOpenTime = time.Second, 6*time.Second }
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.latency = 0
		breakOpen(t, c, cms)
		last := time.Now()
		waits := func(n int) (waits []time.Duration) {
			for range n {
				_, _ = ask(t.Context(), c, 1)
				waits = append(waits, time.Since(last).Truncate(10*time.Millisecond))
				last = time.Now()
			}
			return waits
		}
		if got := waits(5); !slices.Equal(got, []time.Duration{1e9, 2e9, 4e9, 6e9, 6e9}) {
			t.Errorf("probes after %v", got)
		}
		cms.set(always(200, goodBody))
		_, _ = ask(t.Context(), c, 1)
		breakOpen(t, c, cms)
		last = time.Now()
		if got := waits(1); got[0] != 6*time.Second {
			t.Errorf("opened again at once: a probe after %v", got)
		}
		cms.set(always(200, goodBody))
		_, _ = ask(t.Context(), c, 1)
		time.Sleep(time.Minute)
		breakOpen(t, c, cms)
		last = time.Now()
		if got := waits(2); !slices.Equal(got, []time.Duration{1e9, 2e9}) {
			t.Errorf("opened after a quiet minute: probes after %v", got)
		}
	})
}

// Slow answers open the breaker by a ratio of their own, and a slow probe opens it again.
func TestSlowCallsOpenTheBreaker(t *testing.T) {
	settings := func(cfg *Config) {
		cfg.Breaker.SlowCall, cfg.Breaker.SlowRatio, cfg.Breaker.MinCalls = time.Second, 0.8, 5
	}
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		call := func(latency time.Duration, answer func(string) (*http.Response, error)) {
			cms.set(answer)
			cms.latency = latency
			_, _ = ask(t.Context(), c, 1)
		}
		ok := always(200, goodBody)
		call(100*time.Millisecond, ok)
		for range 3 {
			call(1100*time.Millisecond, ok)
		}
		call(100*time.Millisecond, ok) // 3 of 5
		call(1100*time.Millisecond, ok)
		call(1100*time.Millisecond, ok) // 5 of 7
		if c.BreakerOpen() {
			t.Fatal("open at 5 slow calls of 7")
		}
		for range 3 {
			call(1100*time.Millisecond, ok) // 8 of 10
		}
		if !c.BreakerOpen() {
			t.Fatalf("not open at 8 slow calls of 10: %+v", c.Status())
		}
		call(1100*time.Millisecond, ok) // a slow probe
		if !c.BreakerOpen() {
			t.Error("a slow probe has closed it")
		}
		call(100*time.Millisecond, ok)
		if s := c.Status(); s.Breaker != BreakerClosed || s.InFlight != 0 {
			t.Errorf("after a quick probe: %+v", s)
		}
		if got := obs.history(); got != "open half-open open half-open closed" {
			t.Errorf("history %q", got)
		}
		// Failures and slow calls each for themselves, and both at once.
		for range 5 {
			call(1100*time.Millisecond, always(503, ""))
		}
		if !c.BreakerOpen() {
			t.Error("failures did not open it")
		}
		call(100*time.Millisecond, ok)
		if s := c.Status(); s.Breaker != BreakerClosed || s.InFlight != 0 {
			t.Errorf("after a good probe of both: %+v", s)
		}
	})
}
