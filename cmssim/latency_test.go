package cmssim_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// took measures one call by the virtual clock of a synctest bubble.
func took(sim http.Handler) time.Duration {
	began := time.Now()
	direct(sim, "GET", sandboxCall)
	return time.Since(began)
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := cmssim.New(cmssim.Config{Latency: 20 * time.Millisecond})
		if got := took(sim); got != 20*time.Millisecond {
			t.Errorf("as configured: %v", got)
		}
		sim.SetLatency(time.Second, 0)
		if got := took(sim); got != time.Second {
			t.Errorf("as set: %v", got)
		}
		sim.AddFault(cmssim.Fault{Effect: cmssim.EffectDelay, Delay: time.Minute, Count: 1})
		if got := took(sim); got != time.Minute+time.Second {
			t.Errorf("with a delay on top: %v", got)
		}
		sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: 503, Count: 1})
		if got := took(sim); got != time.Second {
			t.Errorf("of an error: %v", got)
		}
		sim.SetLatency(-1, -1)
		if got := took(sim); got != 0 {
			t.Errorf("negative: %v", got)
		}
		sim.Reset()
		if base, jitter := sim.Latency(); base != 20*time.Millisecond || jitter != 0 {
			t.Errorf("after Reset: %v %v", base, jitter)
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const base, jitter = 20 * time.Millisecond, 10 * time.Millisecond
		sim := cmssim.New(cmssim.Config{Latency: base, Jitter: jitter, Seed: 1})
		least, most := time.Hour, time.Duration(0)
		for range 1000 {
			got := took(sim)
			least, most = min(least, got), max(most, got)
		}
		if least < base-jitter || most > base+jitter || least > 11*time.Millisecond || most < 29*time.Millisecond {
			t.Errorf("from %v to %v", least, most)
		}
		sim.SetLatency(0, jitter) // half of the draws are below zero
		for range 100 {
			if got := took(sim); got > jitter {
				t.Errorf("%v with %v of jitter", got, jitter)
			}
		}
	})
}

func TestDelayedCallEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := cmssim.New(cmssim.Config{Latency: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		w := httptest.NewRecorder()
		sim.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, sandboxCall, nil))
		if got := time.Since(began); got != time.Second || w.Body.Len() != 0 {
			t.Errorf("after %v: %s", got, w.Body)
		}
		if got := sim.Stats(); got.Unanswered != 1 || got.InFlight != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}
