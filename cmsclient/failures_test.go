package cmsclient

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The breaker says how the CMS fails, the most frequent first, and since when, for as long as it is open.
func TestBreakerSaysHowTheCMSFails(t *testing.T) {
	settings := func(cfg *Config) {
		cfg.Breaker.MinCalls, cfg.Breaker.SlowCall, cfg.Breaker.SlowRatio = 6, 4*time.Second, .9
	}
	inBubbleWith(t, settings, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		if s := c.Status(); s.Failing != (Failing{}) {
			t.Errorf("nothing has failed: %v", s.Failing)
		}
		cms.latency = 0
		since := time.Now().UTC()
		fails := []func(string) (*http.Response, error){
			always(503, ""), always(503, ""), always(503, ""), always(500, ""), always(200, "<html>"),
			func(string) (*http.Response, error) { return nil, errors.New("no route") },
		}
		for _, fail := range fails {
			cms.set(fail)
			_, _ = ask(t.Context(), c, 1)
		}
		synctest.Wait()
		want := Failing{Cause: "status 503 (3), network (1), status 500 (1)", Since: since} // the last was no answer
		if s := c.Status(); s.Failing != want || s.Breaker != BreakerOpen {
			t.Errorf("%s: %+v, want %+v", s.Breaker, s.Failing, want)
		}
		if len(obs.failing) != 1 || obs.failing[0] != want {
			t.Errorf("the observer heard %v", obs.failing)
		}
		cms.set(always(200, goodBody))
		time.Sleep(time.Minute)
		if _, err := ask(t.Context(), c, 1); err != nil {
			t.Fatal(err)
		}
		if s := c.Status(); s.Failing != (Failing{}) || s.Breaker != BreakerClosed {
			t.Errorf("%s: %v", s.Breaker, s.Failing)
		}
	})
}

func TestFailureSummary(t *testing.T) {
	var d failureSummary
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 100 {
		d.note("status "+strconv.Itoa(500+i), 500+i, now, time.Minute, true)
	}
	if got := d.summary(); got.Status != 599 {
		t.Errorf("the last status is %d", got.Status)
	}
	if got := d.summary().String(); len(d.kinds) > maxKinds+1 || !strings.HasPrefix(got, "other (84), ") {
		t.Errorf("%d kinds: %s", len(d.kinds), got)
	}
	d.note("timeout", 0, now.Add(time.Hour), time.Minute, false) // a probe of a breaker that is open for long
	if got := d.summary().String(); !strings.HasSuffix(got, "since 2026-01-02T03:04:05Z") {
		t.Error(got)
	}
	d.note("timeout", 0, now.Add(2*time.Hour), time.Minute, true)
	if got := d.summary().String(); got != "timeout (1), since 2026-01-02T05:04:05Z" {
		t.Error(got)
	}
}
