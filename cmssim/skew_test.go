package cmssim_test

import (
	"sync"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// TestTimestampsWithinTheSkew also shifts the simulator's clock.
func TestTimestampsWithinTheSkew(t *testing.T) {
	for name, c := range map[string]struct {
		skew, offset, ago time.Duration
		status            int
	}{
		"as old as possible":    {0, 0, 5 * time.Minute, 200},
		"as new as possible":    {0, 0, -5 * time.Minute, 200},
		"own skew":              {time.Minute, 0, time.Minute, 200},
		"beyond own skew":       {time.Minute, 0, time.Minute + time.Second, 401},
		"clock ahead":           {0, 10 * time.Minute, 0, 401},
		"clock ahead, as it":    {0, 10 * time.Minute, -10 * time.Minute, 200},
		"clock behind":          {0, -10 * time.Minute, 0, 401},
		"clock behind, just so": {0, -10 * time.Minute, 5 * time.Minute, 200},
	} {
		t.Run(name, func(t *testing.T) {
			atVectorTime(t, func(t *testing.T) {
				config := verifying()
				config.Verify.MaxSkew, config.ClockOffset = c.skew, c.offset
				if w := present(cmssim.New(config), escapedURL, signedHeader("n", vectorTime.Add(-c.ago))); w.Code != c.status {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
			})
		})
	}
}

// TestNonces: no nonce counts twice while a timestamp could still carry it, however new its second signature is.
func TestNonces(t *testing.T) {
	atVectorTime(t, func(t *testing.T) {
		sim := cmssim.New(verifying())
		expect := func(what, nonce string, status int) {
			t.Helper()
			if w := present(sim, escapedURL, signedHeader(nonce, time.Now())); w.Code != status {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
		}
		expect("first use", "a", 200)
		expect("second use", "a", 401)
		expect("another nonce", "b", 200)
		if got := sim.Stats().RefusedSignatures["nonce"]; got != 1 {
			t.Errorf("%d counted", got)
		}
		for range 10 {
			time.Sleep(time.Minute)
			expect("a call", time.Now().Format("150405"), 200)
		}
		expect("as long as a timestamp lasts", "a", 401)
		for range 3 { // the memory is cleared in two steps, by calls
			time.Sleep(11 * time.Minute)
			expect("a call", time.Now().Format("150405"), 200)
		}
		expect("long after", "a", 200)
		expect("and again", "a", 401)
		sim.Reset()
		expect("after Reset", "a", 200)
	})
}

// TestOneOfManyReplaysPasses: a nonce that arrives several times at once counts once.
func TestOneOfManyReplaysPasses(t *testing.T) {
	sim := cmssim.New(verifying())
	header := signedHeader("n", time.Now())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { present(sim, escapedURL, header) })
	}
	wg.Wait()
	if got := sim.Stats(); got.ByStatus[200] != 1 || got.RefusedSignatures["nonce"] != 7 {
		t.Errorf("stats: %+v", got)
	}
}
