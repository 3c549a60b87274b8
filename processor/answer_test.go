package processor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		has     []string
		outcome string
		missing []string
	}{
		"complete": {[]string{"AVAILABLE", "BLOCKED"}, schemas.OutcomeComplete, nil},
		"partial":  {[]string{"BLOCKED"}, schemas.OutcomePartial, []string{"AVAILABLE"}},
		"empty":    {nil, schemas.OutcomePartial, []string{"AVAILABLE", "BLOCKED"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := func(ctx context.Context, c call) (*http.Response, error) {
				if err := takes(ctx, time.Second); err != nil {
					return nil, err
				}
				return balancesOf(c, test.has)
			}
			inWorld(t, answer, nil, func(t *testing.T, w *world) {
				req := request(70001, 5, "AVAILABLE", "BLOCKED")
				w.lane(70001).submit(req)
				r := w.await(1, time.Minute)[0].out.Result
				sent := w.sent()[0]
				if r.Outcome != test.outcome || !slices.Equal(r.MissingBalanceCodes, test.missing) ||
					len(r.Balances) != len(test.has) {
					t.Errorf("result %+v", r)
				}
				for i, b := range r.Balances {
					if want := (schemas.Balance{Code: test.has[i], ID: "70001", Currency: "EUR", Value: "1.50"}); b != want {
						t.Errorf("balance %+v, want %+v", b, want)
					}
				}
				if r.RequestID != "r5" || r.ContractID != 70001 || r.Source != req.Record.Position || r.Reason != "" {
					t.Errorf("result %+v is not this request's", r)
				}
				if r.CorrelationID != sent.correlation || r.CMSCorrelationID != "mc-"+sent.correlation || sent.correlation == "" {
					t.Errorf("correlation %q and %q, sent was %q", r.CorrelationID, r.CMSCorrelationID, sent.correlation)
				}
				if want := sent.at.Add(time.Second); !r.RetrievedAt.Equal(want) {
					t.Errorf("retrieved at %v, want %v", r.RetrievedAt, want)
				}
				if req.Attempts != 1 || req.Counted != 0 {
					t.Errorf("%d attempts, %d counted", req.Attempts, req.Counted)
				}
			})
		})
	}
}

// atOnce is a CMS that answers at once.
func atOnce(_ context.Context, c call) (*http.Response, error) { return balances(c) }

func TestRequestsThatWaitTogetherShareACall(t *testing.T) {
	answer := func(_ context.Context, c call) (*http.Response, error) { return balancesOf(c, []string{"A", "C"}) }
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1, "A", "B"), request(7, 2, "C", "A"), request(7, 3, "D"))
		completed := w.await(3, time.Minute)
		wantSummary(t, completed, "1 partial, 2 complete, 3 partial")
		if sent := w.sent(); len(sent) != 1 || !slices.Equal(sent[0].codes, []string{"A", "B", "C", "D"}) {
			t.Errorf("sent %v", sent)
		}
		for i, want := range []string{"A", "A C", ""} {
			var codes []string
			for _, b := range completed[i].out.Result.Balances {
				codes = append(codes, b.Code)
			}
			slices.Sort(codes)
			if got := strings.Join(codes, " "); got != want {
				t.Errorf("request %d got balances %q, want %q", i+1, got, want)
			}
		}
	})
}

// Requests that do not fit into one call of 100 codes make the next one, in their order.
func TestSharedCallsHaveAtMost100Codes(t *testing.T) {
	inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
		l := w.lane(7)
		for i := range int64(5) {
			codes := make([]string, 40)
			for j := range codes {
				codes[j] = fmt.Sprintf("C%d-%d", i, j)
			}
			l.mu.Lock()
			l.waiting = append(l.waiting, request(7, i, codes...))
			l.mu.Unlock()
		}
		l.submit()
		wantSummary(t, w.await(5, time.Minute), "0 complete, 1 complete, 2 complete, 3 complete, 4 complete")
		var sizes []int
		for _, c := range w.sent() {
			sizes = append(sizes, len(c.codes))
		}
		if !slices.Equal(sizes, []int{80, 80, 40}) {
			t.Errorf("calls with %v codes, want 80, 80 and 40", sizes)
		}
	})
}

func TestCoalesceOff(t *testing.T) {
	off := func(cfg *Config, _ *cmsclient.Config) { cfg.Coalesce = false }
	inWorld(t, atOnce, off, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1, "A"), request(7, 2, "A"), request(7, 3, "B"))
		wantSummary(t, w.await(3, time.Minute), "1 complete, 2 complete, 3 complete")
		if n := len(w.sent()); n != 3 {
			t.Errorf("%d calls, want one a request", n)
		}
	})
}

// No answer is older than its question: requests that come while a call is under way get the next one, whether the call
// succeeds, or fails and is repeated.
func TestNoRequestJoinsACallThatWasSent(t *testing.T) {
	n := 0
	answer := func(ctx context.Context, c call) (*http.Response, error) {
		n++
		fails := n%3 == 0
		if err := takes(ctx, time.Second); err != nil {
			return nil, err
		}
		if fails {
			return reply(503, "")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		l := w.lane(7)
		asked := map[int64]time.Time{}
		const requests = 40
		for i := range int64(requests) {
			asked[i] = time.Now()
			l.submit(request(7, i, []string{"A", "B", "C"}[i%3]))
			pass(370 * time.Millisecond)
		}
		completed := w.await(requests, time.Hour)
		sentAt := map[string]time.Time{} // by correlation id, the last call of it
		for _, c := range w.sent() {
			sentAt[c.correlation] = c.at
		}
		for i, s := range completed {
			r := s.out.Result
			if s.req.Record.Offset != int64(i) {
				t.Fatalf("out of order: %s", summary(completed))
			}
			if at := sentAt[r.CorrelationID]; at.Before(asked[int64(i)]) {
				t.Errorf("request %d came at %v and was answered by a call of %v", i, asked[int64(i)], at)
			}
			if i > 0 && r.RetrievedAt.Before(completed[i-1].out.Result.RetrievedAt) {
				t.Errorf("the answer to request %d is older than that to the one before", i)
			}
		}
		if n := len(w.sent()); n >= requests {
			t.Errorf("%d calls for %d requests: nothing was shared", n, requests)
		}
	})
}

func TestRetries(t *testing.T) {
	var failures []func() (*http.Response, error)
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if len(failures) > 0 {
			next := failures[0]
			failures = failures[1:]
			return next()
		}
		return balances(c)
	}
	status := func(status int, headers ...string) func() (*http.Response, error) {
		return func() (*http.Response, error) { return reply(status, "", headers...) }
	}
	calm := func(_ *Config, cms *cmsclient.Config) { cms.Breaker.MinCalls = 1000 } // the breaker stays closed
	inWorld(t, answer, calm, func(t *testing.T, w *world) {
		failures = append(failures,
			status(503), status(500), status(408), status(503, "Retry-After", "7"),
			func() (*http.Response, error) { return reply(200, `{"contractBalances":`) },
			func() (*http.Response, error) { return nil, errors.New("broken") })
		w.lane(7).submit(request(7, 1))
		s := w.await(1, time.Minute)
		wantSummary(t, s, "1 complete")
		sent := w.sent()
		if len(sent) != 7 || s[0].req.Attempts != 7 {
			t.Fatalf("%d calls, %d attempts, want 7", len(sent), s[0].req.Attempts)
		}
		// The bound of the pause doubles from 100 ms; what the CMS asks for comes on top.
		for i, bound := range []time.Duration{100, 200, 400, 800, 1600, 3200} {
			pause, least := sent[i+1].at.Sub(sent[i].at), time.Duration(0)
			if i == 3 {
				least = 7 * time.Second
			}
			if pause < least || pause > least+bound*time.Millisecond {
				t.Errorf("pause %d is %v, want %v to %v more", i+1, pause, least, bound*time.Millisecond)
			}
		}
	})
}

// Requests that come between two attempts join the next one.
func TestRequestsJoinARetry(t *testing.T) {
	var down atomic.Bool
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if down.Load() {
			return reply(503, "", "Retry-After", "10")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		down.Store(true)
		l := w.lane(7)
		l.submit(request(7, 1, "A"))
		pass(time.Second)
		down.Store(false)
		l.submit(request(7, 2, "B"))
		wantSummary(t, w.await(2, time.Minute), "1 complete, 2 complete")
		if sent := w.sent(); len(sent) != 2 || !slices.Equal(sent[1].codes, []string{"A", "B"}) {
			t.Errorf("sent %v", sent)
		}
	})
}

// When the context ends, requests without an outcome stay without one, wherever they are at that moment.
func TestTheEndLeavesRequestsUncompleted(t *testing.T) {
	tests := map[string]cms{
		"while the CMS is slow": func(ctx context.Context, _ call) (*http.Response, error) {
			return nil, takes(ctx, 4*time.Second)
		},
		"between attempts": func(context.Context, call) (*http.Response, error) {
			return reply(503, "", "Retry-After", "60")
		},
		"in a cool-down": func(context.Context, call) (*http.Response, error) { return reply(429, "", "Retry-After", "60") },
		"while halted":   func(context.Context, call) (*http.Response, error) { return reply(403, "") },
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, answer, nil, func(t *testing.T, w *world) {
				w.lane(7).submit(request(7, 1, "A"), request(7, 2, "B"))
				w.lane(8).submit(request(8, 3))
				pass(2 * time.Second)
				w.stop()
				began := time.Now()
				w.wg.Wait()
				if took := time.Since(began); took > 0 {
					t.Errorf("Handle returned %v after the end", took)
				}
				wantSummary(t, w.outcomes(), "")
				if n := w.client.Status().InFlight; n != 0 {
					t.Errorf("%d calls are in flight", n)
				}
			})
		})
	}
}

// A partition that is given back takes its requests with it: they are neither asked for nor answered.
func TestRevokedRequestsAreDropped(t *testing.T) {
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if slices.Contains(c.codes, "OLD") {
			return reply(503, "", "Retry-After", "10")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		l := w.lane(7)
		old, kept := request(7, 1, "OLD"), request(7, 2, "NEW")
		l.submit(old, kept)
		pass(time.Second) // the first attempt has failed
		l.revoke(old)
		wantSummary(t, w.await(1, time.Minute), "2 complete")
		if sent := w.sent(); len(sent) != 2 || !slices.Equal(sent[1].codes, []string{"NEW"}) {
			t.Errorf("sent %v", sent)
		}
		gone := request(7, 3, "OLD")
		l.revoke(gone)
		l.submit(gone)
		pass(time.Minute)
		if n := len(w.sent()); n != 2 || w.client.Status().InFlight != 0 {
			t.Errorf("%d calls, want no more", n)
		}
	})
}
