package cmsclient

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeCMS answers after some time and counts. Its fields may be changed between synctest.Wait calls.
type fakeCMS struct {
	mu       sync.Mutex
	latency  time.Duration
	delay    func(inFlight int) time.Duration // in place of the latency; may be nil
	answer   func(path string) (*http.Response, error)
	calls    []string // paths, in order
	times    []time.Time
	now, top int // calls at the same time
}

func (f *fakeCMS) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.calls = append(f.calls, r.URL.Path)
	f.times = append(f.times, time.Now())
	f.now++
	f.top = max(f.top, f.now)
	answer, latency := f.answer, f.latency
	if f.delay != nil {
		latency = f.delay(f.now)
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now--
		f.mu.Unlock()
	}()
	select {
	case <-time.After(latency):
		return answer(r.URL.Path)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (f *fakeCMS) set(answer func(string) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
	f.calls, f.times, f.top = nil, nil, 0
}

func (f *fakeCMS) seen() (calls []string, top int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls, f.top
}

func always(status int, body string, headers ...string) func(string) (*http.Response, error) {
	return func(string) (*http.Response, error) { return reply(status, body, headers...), nil }
}

// inBubble runs the test in virtual time with a client of the default settings, but that its breaker opens after 2
// failures, for 10 s each time, and closes with all calls at once: few calls tell a story, and its times do not
// overlap.
func inBubble(t *testing.T, test func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder)) {
	t.Helper()
	inBubbleWith(t, func(*Config) {}, test)
}

// inBubbleWith is inBubble with other settings.
func inBubbleWith(t *testing.T, change func(*Config), test func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cms := &fakeCMS{latency: 100 * time.Millisecond, answer: always(200, goodBody)}
		cfg := testConfig("http://cms.test")
		cfg.Transport = cms
		cfg.Breaker.MinCalls = 2
		cfg.Breaker.OpenTime, cfg.Breaker.MaxOpenTime = 10*time.Second, 10*time.Second
		cfg.SlowStart = 0
		change(&cfg)
		obs := &recorder{}
		c := newTestClient(t, cfg, obs)
		test(t, c, cms, obs)
	})
}

// breakOpen makes the breaker open and the fake forget the calls it took.
func breakOpen(t *testing.T, c *Client, cms *fakeCMS) {
	t.Helper()
	cms.set(always(503, ""))
	for range c.cfg.Breaker.MinCalls {
		_, _ = ask(t.Context(), c, 1)
	}
	if !c.BreakerOpen() {
		t.Fatal("the breaker is not open")
	}
	cms.set(always(503, ""))
}

// askUntilAnswered is what a processor does with one request, without back-off.
func askUntilAnswered(ctx context.Context, c *Client, contract int64) (attempts int, err error) {
	for {
		_, err := ask(ctx, c, contract)
		if err == nil || classOf(err) == ContractNotFound {
			return attempts + 1, nil
		}
		if ctx.Err() != nil {
			return attempts + 1, err
		}
		attempts++
	}
}
