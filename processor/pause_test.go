package processor

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
)

// existing answers for all contracts but the missing one.
func existing(_ context.Context, c call) (*http.Response, error) {
	if c.contract == missing {
		return refusal(404, "CONTRACT_DOES_NOT_EXIST")
	}
	return balances(c)
}

func limited(cfg *Config, _ *cmsclient.Config) {
	cfg.Budget = BudgetConfig{Share: .5, Window: 5 * time.Minute}
}

// missing is a contract that does not exist.
const missing = 4040

// missed makes n requests for it, from an offset on.
func missed(offset int64, n int) []*inflight.Request {
	reqs := make([]*inflight.Request, n)
	for i := range reqs {
		reqs[i] = request(missing, offset+int64(i))
	}
	return reqs
}

// invalid makes n records that are no requests, from an offset on.
func invalid(offset int64, n int) []*inflight.Request {
	reqs := make([]*inflight.Request, n)
	for i := range reqs {
		reqs[i] = request(0, offset+int64(i))
		reqs[i].Err = errors.New("value: is not JSON")
	}
	return reqs
}

// spend uses the budget up and returns the lane in which the rest of the dead letters waits: all but the first 99.
func (w *world) spend(n int) *testLane {
	w.t.Helper()
	l := w.lane(missing)
	l.submit(missed(1000, n)...)
	pass(time.Second)
	if got := len(w.outcomes()); got != budgetFloor-1 || !w.processor.Budget().Spent() {
		w.t.Fatalf("%d dead letters were written before the pause, want %d: %+v", got, budgetFloor-1, w.processor.Budget())
	}
	return l
}

// While the budget is spent, for however long, no dead letter is handed in and good requests are answered. Afterwards
// all of them are, in order.
func TestBudgetHoldsDeadLetters(t *testing.T) {
	answer := func(ctx context.Context, c call) (*http.Response, error) {
		if c.contract == 404 || c.contract == missing {
			return refusal(404, "CONTRACT_DOES_NOT_EXIST")
		}
		return balances(c)
	}
	inWorld(t, answer, limited, func(t *testing.T, w *world) {
		w.spend(300)
		if cause, _ := w.processor.Waiting(); cause != "" {
			t.Errorf("reading waits for %q: good requests are to go on", cause)
		}
		w.lane(404).submit(request(404, 1), request(404, 2))
		for i := range int64(50) {
			w.lane(i + 1).submit(request(i+1, 10+i))
		}
		pass(12 * time.Hour)
		completed := w.outcomes()
		if len(completed) != budgetFloor-1+50 {
			t.Errorf("%d outcomes, want the 50 results besides", len(completed))
		}
		wantNoDeadLetters(t, completed[budgetFloor-1:])
		if s := w.processor.Budget(); s.Held != 2 || w.client.Status().InFlight != 0 {
			t.Errorf("%+v; %d calls in flight", s, w.client.Status().InFlight)
		}
		if was, done := w.processor.Resume("ann@desk 4111111111111111"); !done ||
			!strings.Contains(was, "100 of 100 requests") {
			t.Errorf("resumed %v, was %q", done, was)
		}
		completed = w.await(300+50+2, time.Second)
		last := int64(-1)
		for _, s := range completed {
			if at := s.req.Record.Offset; s.req.Request.ContractID == missing {
				if at <= last {
					t.Errorf("%d comes after %d", at, last)
				}
				last = at
			}
		}
		if log := w.log(); strings.Count(log, "they are held") != 1 ||
			!strings.Contains(log, `"by":"ann@desk 411111******1111"`) {
			t.Error("the log does not say once that they are held, or who resumed")
		}
		if _, done := w.processor.Resume("ann"); done {
			t.Error("resumed twice")
		}
	})
}

// What was held is asked for once more when an operator resumes: what was to blame may be fixed, and then there is a
// result. Where it is not, there is the dead letter; and where a deadline has passed, the one that was decided on.
func TestHeldVerdictsAreAskedAgain(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if broken.Load() || c.contract == missing {
			return refusal(404, "CONTRACT_DOES_NOT_EXIST")
		}
		return balances(c)
	}
	together := func(cfg *Config, cms *cmsclient.Config) { limited(cfg, cms); cfg.Coalesce = true }
	inWorld(t, answer, together, func(t *testing.T, w *world) {
		for i := range int64(budgetFloor - 1) {
			w.lane(i + 1).submit(request(i+1, i))
		}
		pass(time.Second)
		w.lane(200).submit(request(200, 200), request(200, 201), request(200, 202)) // the first of them waits
		w.lane(missing).submit(missed(1000, 2)...)
		late := request(201, 300)
		late.Request.Deadline = time.Now().Add(time.Hour)
		w.lane(201).submit(late)
		pass(3 * time.Hour)
		before := len(w.sent())
		if n := len(w.outcomes()); n != budgetFloor-1 || !w.processor.Budget().Spent() {
			t.Fatalf("%d outcomes, %+v", n, w.processor.Budget())
		}
		broken.Store(false)
		w.processor.Resume("ann")
		completed := w.await(budgetFloor-1+6, time.Minute)[budgetFloor-1:]
		slices.SortStableFunc(completed, func(a, b completion) int {
			return cmp.Compare(a.req.Record.Offset, b.req.Record.Offset)
		})
		wantSummary(t, completed, "200 complete, 201 complete, 202 complete, 300 contract-not-found, "+
			"1000 contract-not-found, 1001 contract-not-found")
		if n := len(w.sent()) - before; n != 2 {
			t.Errorf("%d calls, want one for each contract that may be asked for", n)
		}
	})
}

// Results of the same window make room for dead letters: of 200 results, as many again may be given up.
func TestBudgetCountsResults(t *testing.T) {
	inWorld(t, existing, limited, func(t *testing.T, w *world) {
		for i := range int64(200) {
			w.lane(i + 1).submit(request(i+1, i))
		}
		w.await(200, time.Second)
		w.lane(missing).submit(missed(1000, 300)...)
		pass(time.Minute)
		if n := len(w.outcomes()) - 200; n != 200 || !w.processor.Budget().Spent() {
			t.Errorf("%d dead letters were written before the pause", n)
		}
		w.processor.Resume("ann")
		w.await(500, time.Second)
	})
}

// A request that is given up before it is asked for keeps no permit: not the only one, and not the probe of a half-open
// breaker. Nor does one that waits for an operator.
func TestHeldDeadLettersHoldNoPermit(t *testing.T) {
	var down atomic.Bool
	answer := func(ctx context.Context, c call) (*http.Response, error) {
		if down.Load() {
			return reply(503, "")
		}
		return existing(ctx, c)
	}
	one := func(cfg *Config, cms *cmsclient.Config) {
		limited(cfg, cms)
		cms.MaxInFlight, cms.MinInFlight, cms.Breaker.MinCalls = 1, 1, 1
	}
	inWorld(t, answer, one, func(t *testing.T, w *world) {
		w.spend(200)
		late := func(offset int64) *inflight.Request {
			req := request(offset, offset)
			req.Request.Deadline = time.Now().Add(time.Second)
			return req
		}
		down.Store(true)
		for i := range int64(20) { // all of them expire while the breaker is open, and become its probes
			w.lane(100+i).submit(late(100+i), request(100+i, 200+i))
		}
		w.lane(7).submit(request(7, 7))
		pass(time.Minute)
		down.Store(false)
		w.await(budgetFloor-1+41, 10*time.Minute)
		w.lane(8).submit(request(8, 8))
		completed := w.await(budgetFloor-1+42, time.Minute)
		if s := w.client.Status(); s.InFlight != 0 || s.Breaker != cmsclient.BreakerClosed {
			t.Errorf("%+v", s)
		}
		counts := map[string]int{}
		for _, s := range completed {
			counts[describe(s.out)]++
		}
		if counts["expired"] != 20 || counts["complete"] != 22 {
			t.Errorf("outcomes %v", counts)
		}
		w.processor.Resume("ann")
		w.await(200+42, time.Minute)
	})
}

// Several of a lane, some of them late: none is asked for twice, and none is forgotten.
func TestDroppingGivesThePermitBack(t *testing.T) {
	inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
		l := w.lane(7)
		gone, late := request(7, 2), request(7, 3)
		late.Request.Deadline = time.Now().Add(-time.Second)
		l.revoke(gone)
		l.submit(request(7, 1), gone, late, request(7, 4))
		wantSummary(t, w.await(3, time.Minute), "3 expired, 1 complete, 4 complete")
		if n := len(w.sent()); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// A stop does not wait for an operator; what was held has no outcome, so it is read again.
func TestStopsWhilePaused(t *testing.T) {
	inWorld(t, existing, limited, func(t *testing.T, w *world) {
		w.spend(300)
		w.stop()
		synctest.Wait()
		w.wg.Wait()
		if n := len(w.outcomes()); n != budgetFloor-1 {
			t.Errorf("%d outcomes", n)
		}
	})
}

// What was given back while it was held is its new owner's: it has no outcome here, and does not count.
func TestGivenBackWhilePaused(t *testing.T) {
	inWorld(t, existing, limited, func(t *testing.T, w *world) {
		l := w.lane(missing)
		reqs := missed(1000, 102)
		l.submit(reqs...)
		pass(time.Second)
		if n := w.aside.Load(); n != 1 {
			t.Errorf("%d handlers have stepped aside, want the one of the lane", n)
		}
		l.revoke(reqs[99]) // the next one of its lane takes its place
		pass(time.Second)
		if s := w.processor.Budget(); s.Held != 1 {
			t.Errorf("%d are held", s.Held)
		}
		l.revoke(reqs[100], reqs[101])
		w.wg.Wait()
		if s := w.processor.Budget(); s.Held != 0 || w.aside.Load() != 0 {
			t.Errorf("%d are held, %d handlers are aside, and all was given back", s.Held, w.aside.Load())
		}
		w.processor.Resume("ann")
		l.submit(missed(1102, 2)...)
		completed := w.await(101, time.Second)
		wantSummary(t, completed[98:], "1098 contract-not-found, 1102 contract-not-found, 1103 contract-not-found")
		if n := w.processor.budget.recent.letters; n != 2 {
			t.Errorf("%d dead letters are counted since, want 2", n)
		}
	})
}

// The CMS's own causes come first, and dead letters wait for both.
func TestBudgetAndBreaker(t *testing.T) {
	var down atomic.Bool
	answer := func(ctx context.Context, c call) (*http.Response, error) {
		if down.Load() {
			return reply(503, "")
		}
		return existing(ctx, c)
	}
	few := func(cfg *Config, cms *cmsclient.Config) { limited(cfg, cms); cms.Breaker.MinCalls = 1 }
	inWorld(t, answer, few, func(t *testing.T, w *world) {
		w.spend(300)
		down.Store(true)
		w.lane(7).submit(request(7, 7))
		pass(time.Second)
		if cause, _ := w.processor.Waiting(); cause != cmsclient.CauseBreaker {
			t.Errorf("it waits for %q", cause)
		}
		w.processor.Resume("ann")
		pass(time.Second)
		if n := len(w.outcomes()); n != budgetFloor-1 || !w.client.BreakerOpen() {
			t.Errorf("%d outcomes; the breaker is open: %v", n, w.client.BreakerOpen())
		}
		down.Store(false)
		completed := w.await(301, time.Minute)
		if !slices.ContainsFunc(completed, func(s completion) bool {
			return s.req.Record.Offset == 7 &&
				s.out.Result != nil
		}) {
			t.Error("the good request has no result")
		}
	})
}
