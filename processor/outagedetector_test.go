package processor

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// A partition whose window is full behind a request that always fails goes on only when that request is given up, and
// there may be no other traffic at all by then.
func TestLoneFailureIsGivenUp(t *testing.T) {
	const bad, good = 500, 7
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if c.contract == bad {
			return reply(500, "")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		w.lane(good).submit(request(good, 1))
		w.await(1, time.Minute)
		w.lane(bad).submit(request(bad, 2))
		got := w.await(2, 10*time.Minute)[1]
		if d := got.out.DeadLetter; d == nil || d.Reason != schemas.ReasonAttemptsExhausted {
			t.Fatalf("completed with %v", describe(got.out))
		}
		asked := map[int64]int{}
		for _, c := range w.sent() {
			asked[c.contract]++
		}
		if asked[good] != asked[bad] {
			t.Errorf("%d calls for the failing contract, %d for the other: one to begin with, and one before each attempt but "+
				"the first",
				asked[bad], asked[good])
		}
	})
}

// The contract that fails is the one that was answered last: it cannot probe against itself.
func TestFailingContractIsNoProbe(t *testing.T) {
	var broken atomic.Bool
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if c.contract == 8 && broken.Load() {
			return reply(500, "")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1))
		w.await(1, time.Minute)
		w.lane(8).submit(request(8, 2))
		w.await(2, time.Minute)
		broken.Store(true)
		w.lane(8).submit(request(8, 3))
		got := w.await(3, 10*time.Minute)[2]
		if d := got.out.DeadLetter; d == nil || d.Reason != schemas.ReasonAttemptsExhausted {
			t.Fatalf("completed with %v", describe(got.out))
		}
	})
}

// One request, an outage of an hour that the breaker never notices: asking after others fails too, so it is held.
func TestLoneRequestSurvivesAnOutage(t *testing.T) {
	var down atomic.Bool
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if down.Load() {
			return reply(503, "")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1))
		w.await(1, time.Minute)
		down.Store(true)
		w.lane(8).submit(request(8, 2))
		pass(time.Hour)
		if n := len(w.sent()); n > 3000 {
			t.Errorf("%d calls in an hour for one request", n)
		}
		down.Store(false)
		wantNoDeadLetters(t, w.await(2, 10*time.Minute))
	})
}
