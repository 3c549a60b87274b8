package processor

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// What breaks while one request is handled ends that request, and nothing else.
func TestPanics(t *testing.T) {
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if slices.Contains(c.codes, "POISON") {
			panic("secret of the stack")
		}
		return balances(c)
	}
	one := func(cfg *Config, cms *cmsclient.Config) { cms.MinInFlight, cms.MaxInFlight = 1, 1 }
	inWorld(t, answer, one, func(t *testing.T, w *world) {
		l := w.lane(7)
		l.submit(request(7, 1, "POISON"))
		completed := w.await(1, time.Minute)
		wantSummary(t, completed, "1 internal-error")
		if d := completed[0].out.DeadLetter; strings.Contains(d.Detail, "secret") || strings.Contains(d.Detail, ".go") {
			t.Errorf("the dead letter tells too much: %q", d.Detail)
		}
		if log := w.log(); !strings.Contains(log, "secret of the stack") || !strings.Contains(log, "panic_test.go") {
			t.Errorf("the log does not hold the stack: %s", log)
		}
		// Its permit was the only one.
		l.submit(request(7, 2))
		wantSummary(t, w.await(2, time.Minute)[1:], "2 complete")
	})
}

// The breaker's probe must end even when it breaks, or no contract will ever be asked for again.
func TestPanicOfAProbe(t *testing.T) {
	state := "down"
	answer := func(_ context.Context, c call) (*http.Response, error) {
		switch {
		case state == "down":
			return reply(503, "")
		case c.contract == 13:
			state = "up"
			panic("probe")
		}
		return balances(c)
	}
	inWorld(t, answer, func(_ *Config, cms *cmsclient.Config) { cms.Breaker.MinCalls = 1 }, func(t *testing.T, w *world) {
		w.lane(13).submit(request(13, 0))
		pass(time.Second)
		state = "poison"
		w.await(1, time.Minute)
		w.lane(7).submit(request(7, 1))
		wantSummary(t, w.await(2, time.Minute), "0 internal-error, 1 complete")
	})
}

// Requests of a shared call that have their answers must not get another one when a later one of them breaks something.
func TestPanicAfterSomeAreCompleted(t *testing.T) {
	t.Run("asked for one by one", func(t *testing.T) {
		answer := func(_ context.Context, c call) (*http.Response, error) {
			switch {
			case len(c.codes) > 1:
				return refusal(400, "INVALID_BALANCE_CODE")
			case c.codes[0] == "POISON":
				panic("poison")
			}
			return balances(c)
		}
		inWorld(t, answer, nil, func(t *testing.T, w *world) {
			w.lane(7).submit(request(7, 1, "A"), request(7, 2, "POISON"), request(7, 3, "B"))
			wantSummary(t, w.await(3, time.Minute), "1 complete, 2 internal-error, 3 complete")
		})
	})
	t.Run("writing results", func(t *testing.T) {
		inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
			l := w.lane(7)
			l.onComplete = func(req *inflight.Request, out schemas.Outcome) {
				if req.Record.Offset == 2 && out.Result != nil {
					panic("cannot encode this one")
				}
			}
			l.submit(request(7, 1, "A"), request(7, 2, "B"), request(7, 3, "C"))
			completed := w.await(3, time.Minute)
			wantSummary(t, completed[:2], "1 complete, 2 internal-error")
		})
	})
	t.Run("writing dead letters", func(t *testing.T) {
		answer := func(context.Context, call) (*http.Response, error) { return refusal(404, "CONTRACT_DOES_NOT_EXIST") }
		inWorld(t, answer, nil, func(t *testing.T, w *world) {
			l := w.lane(7)
			l.onComplete = func(req *inflight.Request, out schemas.Outcome) {
				if req.Record.Offset == 2 && out.DeadLetter.Reason == schemas.ReasonContractNotFound {
					panic("cannot encode this one")
				}
			}
			l.submit(request(7, 1, "A"), request(7, 2, "B"), request(7, 3, "C"))
			wantSummary(t, w.await(3, time.Minute)[:2], "1 contract-not-found, 2 internal-error")
		})
	})
}
