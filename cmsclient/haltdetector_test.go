package cmsclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/internal/stepped"
)

var errRefused = errors.New("refused")

// at is a time with a monotonic reading, in milliseconds.
func at(ms int) time.Time { return detectorStart.Add(time.Duration(ms) * time.Millisecond) }

var detectorStart = time.Now()

// Each step is a call: when it was sent, when it ended, and how. stop is what is known by then.
func TestHaltDetector(t *testing.T) {
	type step struct {
		sent, ended int
		answered    bool
		stop        bool
	}
	tests := map[string][]step{
		"nothing was ever answered": {{0, 1, false, true}},
		"a refusal among answers": {{0, 20, true, false}, {21, 22, false, false}, {21, 41, true, false},
			{900, 901, false, false}},
		"the answer came first": {{10, 20, true, false}, {5, 600, false, false},
			{6, 2000, false, false}},
		"a key expires": {{0, 20, true, false}, {30, 40, false, false}, {50, 60, false, false}, {530, 540, false, true}},
		"a key expires, an old answer comes late": {{0, 20, true, false}, {30, 40, false, false}, {25, 300, true, false},
			{530, 540, false, true}},
		"an old answer clears a refusal from before": {{0, 20, true, false}, {30, 40, false, false}, {31, 45, true, false},
			{50, 60, false, false}, {55, 540, false, false}, {530, 560, false, true}},
		"one alone": {{0, 20, true, false}, {30, 40, false, false}, {31, 39, false, false},
			{500, 540, false, true}},
		"one of long ago tells nothing": {{0, 20, true, false}, {30, 40, false, false},
			{60_000, 60_010, false, false}, {60_200, 60_300, false, false}, {60_500, 60_510, false, true}},
		"answers take long: so it waits longer": {{0, 2000, true, false}, {2001, 2010, false, false},
			{2100, 2110, false, false}, {2900, 3000, false, false}, {6000, 6011, false, true}},
		"answers that take long are forgotten slowly": {{0, 2000, true, false}, {2001, 2002, true, false},
			{2003, 2010, false, false}, {4000, 5000, false, false}, {6000, 6011, false, true}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var d haltDetector
			for i, s := range steps {
				var stop bool
				if s.answered {
					d.answered(at(s.sent), at(s.ended))
					stop = d.confirmed(at(s.ended))
				} else {
					stop = d.refused(at(s.sent), at(s.ended), errRefused, true)
				}
				if stop != s.stop {
					t.Errorf("step %d: it stops all calls: %v", i, stop)
				}
			}
		})
	}
}

// Whatever is answered and refused in whatever order: while every refusal is followed by an answer to a call sent since
// within minConfirm, nothing is stopped; when from some time on no call is answered, everything is within a second of
// that.
func TestHaltDetectorProperty(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var d haltDetector
		now := 0
		call := func(answered bool, took int) bool {
			if answered {
				d.answered(at(now-took), at(now))
				return d.confirmed(at(now))
			}
			return d.refused(at(now-took), at(now), errRefused, true)
		}
		call(true, 10)
		for range 500 {
			now += 1 + random.IntN(20)
			if random.IntN(3) > 0 {
				if call(false, 1+random.IntN(10)) {
					t.Fatalf("seed %d: stopped at %d ms while others are answered", seed, now)
				}
				continue
			}
			now += 10
			call(true, 1)
		}
		expired := now
		for stopped := false; !stopped; {
			now += 1 + random.IntN(100)
			took := 1 + random.IntN(50)
			stopped = call(now-took <= expired, took)
			if now > expired+1000 {
				t.Fatalf("seed %d: not stopped %d ms after the key expired", seed, now-expired)
			}
		}
	}
}

// A step of the clock changes nothing: only the monotonic readings count.
func TestHaltDetectorIgnoresStepsOfTheClock(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		var d haltDetector
		d.answered(at(0), at(10))
		d.refused(stepped.Time(at(20), by), stepped.Time(at(30), by), errRefused, true)
		if d.refused(stepped.Time(at(40), by), stepped.Time(at(50), by), errRefused, true) {
			t.Errorf("stepped by %v: stopped after 20 ms", by)
		}
		if !d.refused(stepped.Time(at(600), by), stepped.Time(at(610), by), errRefused, true) {
			t.Errorf("stepped by %v: not stopped after 580 ms", by)
		}
	}
}

// The first calls of an instance, many at the same time: that one of them is refused says nothing about the others.
func TestRefusedAtTheStart(t *testing.T) {
	for name, refused := range map[string]func(string) bool{
		"the first one": func(path string) bool { return strings.Contains(path, "/1/") },
		"all":           func(string) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
				cms.delay = func(running int) time.Duration { return time.Duration(running) * 10 * time.Millisecond }
				cms.set(func(path string) (*http.Response, error) {
					if refused(path) {
						return reply(403, ""), nil
					}
					return good()
				})
				load(t, c, 20, time.Second)
				if got := obs.history(); (got != "") != (name == "all") {
					t.Errorf("history %q", got)
				}
			})
		})
	}
}

// load asks for one contract after another, many at the same time, for some time.
func load(t *testing.T, c *Client, workers int, lasts time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	var contract int64
	var mu sync.Mutex
	end := time.Now().Add(lasts)
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				mu.Lock()
				contract++
				id := contract
				mu.Unlock()
				if _, err := ask(t.Context(), c, id); err != nil {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

// One contract in a hundred is refused, or every second call: nothing stops. When all are, everything does, within a
// second.
func TestRefusalsAmongAnswersHaltNothing(t *testing.T) {
	every := func(n int) func(string) (*http.Response, error) {
		calls := 0
		return func(string) (*http.Response, error) {
			if calls++; calls%n == 1 && calls > 1 {
				return reply(404, "<html>no route</html>"), nil
			}
			return good()
		}
	}
	for name, n := range map[string]int{"one in a hundred": 100, "half of them": 2} {
		for _, workers := range []int{1, 50} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
					var mu sync.Mutex
					answer := every(n)
					cms.set(func(path string) (*http.Response, error) {
						mu.Lock()
						defer mu.Unlock()
						return answer(path)
					})
					load(t, c, workers, time.Minute)
					if got := obs.history(); got != "" {
						t.Fatalf("history %q", got)
					}
					cms.set(always(403, ""))
					expired := time.Now()
					obs.onChange = sync.OnceFunc(func() {
						if after := time.Since(expired); after > time.Second {
							t.Errorf("halted %v after the key expired", after)
						}
					})
					load(t, c, workers, 2*time.Second)
					if got := obs.history(); got != "halted" {
						t.Errorf("history %q", got)
					}
					if s := c.Status(); !strings.Contains(s.HaltedError, "403") {
						t.Errorf("%+v", s)
					}
				})
			})
		}
	}
}

// An answer from before a key expired does not end the halt.
func TestOldAnswersDoNotEndAHalt(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		if _, err := ask(t.Context(), c, 3); err != nil {
			t.Fatal(err)
		}
		slow := make(chan struct{})
		cms.set(func(path string) (*http.Response, error) {
			if strings.Contains(path, "/1/") {
				<-slow
				return good()
			}
			return reply(403, ""), nil
		})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = ask(t.Context(), c, 1) })
		time.Sleep(time.Millisecond)
		limited, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for limited.Err() == nil {
			_, _ = ask(limited, c, 2)
		}
		close(slow)
		wg.Wait()
		synctest.Wait()
		if got := obs.history(); got != "halted" {
			t.Errorf("history %q", got)
		}
	})
}
