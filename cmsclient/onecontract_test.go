package cmsclient

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// One contract whose calls hang until the time limit, asked for again and again, costs calls about others nothing: no
// breaker opens for it, adapting leaves the limit where it is, its retries take none of what others need, and each of
// the others has its answer after the CMS's latency.
func TestOneContractThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency, others, minutes = 20 * time.Millisecond, 10, 2
		answer := always(200, goodBody)
		cfg := DefaultConfig()
		cfg.URL = "http://cms.test"
		cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "/contracts/1/") {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			time.Sleep(latency)
			return answer(r.URL.Path)
		})
		obs := &recorder{}
		c := newTestClient(t, cfg, obs)
		end := time.Now().Add(minutes * time.Minute)
		var wg sync.WaitGroup
		wg.Go(func() {
			for admit := c.Admit; time.Now().Before(end); admit = c.AdmitRetry {
				call, err := admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := call.Get(t.Context(), query(1)); classOf(err) != Transient {
					t.Errorf("the one that hangs: %v", err)
				}
				call.Release()
			}
		})
		for i := range int64(others) {
			wg.Go(func() {
				for time.Now().Before(end) {
					began := time.Now()
					if _, err := ask(t.Context(), c, 1000+i); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took != latency {
						t.Errorf("contract %d: %v", 1000+i, took)
					}
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		s := c.Status()
		if obs.history() != "" || s.Limit != cfg.MaxInFlight || s.Cause != "" {
			t.Errorf("history %q, status %+v", obs.history(), s)
		}
		if least := uint64(minutes * time.Minute / cfg.Timeout / 2); s.Retries < least {
			t.Errorf("the one that hangs was asked for again %d times only", s.Retries)
		}
	})
}
