package processor

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// What is wrong with the record itself spends no budget, and is written while others spend it.
func TestNonsenseSpendsNoBudget(t *testing.T) {
	inWorld(t, existing, limited, func(t *testing.T, w *world) {
		w.lane(0).submit(invalid(1000, 500)...)
		late := w.lane(7)
		for i := range int64(500) {
			req := request(7, 2000+i)
			req.Request.Deadline = time.Now().Add(-time.Second)
			late.submit(req)
		}
		w.await(1000, time.Second)
		if s := w.processor.Budget(); s.Spent() || s.Share != 0 {
			t.Errorf("%+v", s)
		}
		w.lane(missing).submit(missed(3000, 200)...)
		pass(time.Second)
		if !w.processor.Budget().Spent() {
			t.Fatal("contracts that do not exist do not spend it")
		}
		w.lane(0).submit(invalid(4000, 10)...)
		w.await(1000+budgetFloor-1+10, time.Second)
	})
}

// A stop and a partition that is given back end the waiting for a breaker, too.
func TestStepsAsideForTheBreaker(t *testing.T) {
	down := func(context.Context, call) (*http.Response, error) { return reply(503, "") }
	few := func(_ *Config, cms *cmsclient.Config) {
		cms.Breaker.MinCalls, cms.Breaker.OpenTime, cms.Breaker.MaxOpenTime = 1, time.Hour, time.Hour
	}
	inWorld(t, down, few, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1))
		pass(time.Second)
		l := w.lane(0)
		reqs := invalid(1000, 2)
		l.submit(reqs...)
		pass(time.Second)
		if n := w.aside.Load(); n != 1 || !w.client.BreakerOpen() {
			t.Fatalf("%d handlers have stepped aside", n)
		}
		l.revoke(reqs...)
		synctest.Wait()
		if n := w.aside.Load(); n != 0 {
			t.Errorf("%d handlers are aside", n)
		}
		again := w.lane(0)
		again.submit(invalid(2000, 2)...)
		pass(time.Second)
		w.stop()
		w.wg.Wait()
		wantSummary(t, w.outcomes(), "")
	})
}

// A long Retry-After leaves the handler's place to others; a short pause does not.
func TestStepsAsideForALongPause(t *testing.T) {
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if c.contract == 7 {
			return reply(503, "", "Retry-After", "60")
		}
		return reply(503, "")
	}
	calm := func(cfg *Config, cms *cmsclient.Config) {
		cms.Breaker.MinCalls, cfg.BackoffMax = 1000, 100*time.Millisecond
	}
	inWorld(t, answer, calm, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1))
		w.lane(8).submit(request(8, 2))
		pass(30 * time.Second)
		if n := w.aside.Load(); n != 1 {
			t.Errorf("%d handlers have stepped aside, want the one of the long pause", n)
		}
	})
}
