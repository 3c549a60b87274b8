package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// Many requests for few contracts, of which one call in twenty fails in some way: the results of one contract come out
// in the order of its requests, with and without coalescing.
func TestOrderOfOneContractIsKept(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]string{"coalesced": "--cms.coalesce=true", "single": "--cms.coalesce=false"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3, cmssim.Config{Latency: 3 * time.Millisecond, Jitter: 3 * time.Millisecond})
			for _, f := range []cmssim.Fault{
				{Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable, Match: cmssim.Match{Percent: 2}},
				{Effect: cmssim.EffectReset, Match: cmssim.Match{Percent: 1}},
				{Effect: cmssim.EffectTruncate, Match: cmssim.Match{Percent: 1}},
				{Effect: cmssim.EffectDelay, Delay: 100 * time.Millisecond, Match: cmssim.Match{Percent: 1}},
			} {
				r.sim.AddFault(f)
			}
			in := r.StartReady(flag, "--cms.backoff.initial=10ms", "--cms.backoff.max=50ms", "--cms.max-attempts=50")
			for range 5 {
				r.Send(asks(300, 15, 13_000)...)
			}
			r.AwaitCommitted()
			// Coalesced, it may have been a hundred calls: once in two hundred runs none of so few fails.
			in.eventually("calls have failed", func() bool {
				if r.sim.Stats().Faulted > 0 {
					return true
				}
				r.Send(asks(300, 15, 13_000)...)
				return false
			})
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			l.WantNoDeadLetters()
			in.Stop()
		})
	}
}

// A burst of requests for one contract shares calls while the CMS is slow; each gets what it asked for, from a call
// that was made after it was published. Without coalescing it is one call a request.
func TestCoalescing(t *testing.T) {
	t.Parallel()
	const n, contract = 200, 14_000
	for name, test := range map[string]struct {
		flag            string
		latency         time.Duration
		atLeast, atMost int
	}{
		"on":  {"--cms.coalesce=true", 300 * time.Millisecond, 1, n / 10},
		"off": {"--cms.coalesce=false", 10 * time.Millisecond, n, n},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{Latency: test.latency, Record: true})
			in := r.StartReady(test.flag)
			for range 4 {
				r.Send(asks(n/4, 1, contract)...)
			}
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			l.WantNoDeadLetters()
			calls := r.sim.Calls(contract)
			if len(calls) < test.atLeast || len(calls) > test.atMost {
				t.Errorf("%d calls for %d requests, want %d to %d", len(calls), n, test.atLeast, test.atMost)
			}
			for _, m := range r.sent {
				a := l.Result(m)
				i := slices.IndexFunc(calls, func(c cmssim.Call) bool { return c.CorrelationID == a.CorrelationID })
				if i < 0 {
					t.Fatalf("the result of %v names a call that was not made: %q", a.Source, a.CorrelationID)
				}
				if calls[i].Time.Before(m.Time) {
					t.Errorf("the answer to %v is from before it was asked", a.Source)
				}
			}
			in.Stop()
		})
	}
}
