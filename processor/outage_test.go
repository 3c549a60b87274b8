package processor

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

const lanes = 100

// Whatever happens to the CMS as a whole, it ends in answers and not in dead letters.
func TestOutages(t *testing.T) {
	tests := map[string]cms{
		"503":       func(context.Context, call) (*http.Response, error) { return reply(503, "") },
		"network":   func(context.Context, call) (*http.Response, error) { return nil, errors.New("connection refused") },
		"not JSON":  func(context.Context, call) (*http.Response, error) { return reply(200, "<html>maintenance</html>") },
		"429":       func(context.Context, call) (*http.Response, error) { return reply(429, "") },
		"429 + 90s": func(context.Context, call) (*http.Response, error) { return reply(429, "", "Retry-After", "90") },
		"401":       func(context.Context, call) (*http.Response, error) { return reply(401, "") },
		"403":       func(context.Context, call) (*http.Response, error) { return reply(403, "") },
		"wrong URL": func(context.Context, call) (*http.Response, error) { return reply(404, "<html>not found</html>") },
		"slow": func(ctx context.Context, _ call) (*http.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	for name, outage := range tests {
		for _, before := range []string{"from the start", "after good times"} {
			t.Run(name+" "+before, func(t *testing.T) {
				var down atomic.Bool
				answer := func(ctx context.Context, c call) (*http.Response, error) {
					if down.Load() {
						return outage(ctx, c)
					}
					if err := takes(ctx, 200*time.Millisecond); err != nil {
						return nil, err
					}
					return balances(c)
				}
				inWorld(t, answer, nil, func(t *testing.T, w *world) {
					all := 0
					submit := func() {
						for i := range int64(lanes) {
							w.lane(i+1).submit(request(i+1, i), request(i+1, i+lanes))
						}
						all += 2 * lanes
					}
					if before != "from the start" {
						submit()
						w.await(all, time.Minute)
						submit()
						pass(100 * time.Millisecond) // the outage begins with calls under way
					}
					down.Store(true)
					submit()
					pass(10 * time.Minute)
					asked := len(w.sent())
					down.Store(false)
					wantNoDeadLetters(t, w.await(all, 10*time.Minute))
					if asked > 4*all+1000 {
						t.Errorf("%d calls during the outage", asked)
					}
				})
			})
		}
	}
}

// When a key expires, slow answers to calls from before still come in. They prove nothing about the calls refused
// since.
func TestOldAnswersDoNotCountAgainstNewRequests(t *testing.T) {
	tests := map[string]cms{
		"key expired": func(context.Context, call) (*http.Response, error) { return reply(403, "") },
		"down":        func(context.Context, call) (*http.Response, error) { return nil, errors.New("connection refused") },
	}
	for name, outage := range tests {
		t.Run(name, func(t *testing.T) {
			var down atomic.Bool
			answer := func(ctx context.Context, c call) (*http.Response, error) {
				if down.Load() {
					return outage(ctx, c)
				}
				if err := takes(ctx, time.Duration(c.contract%lanes)*40*time.Millisecond); err != nil {
					return nil, err
				}
				return balances(c)
			}
			calm := func(_ *Config, cms *cmsclient.Config) { cms.Breaker.MinCalls = 1000 }
			inWorld(t, answer, calm, func(t *testing.T, w *world) {
				for i := range int64(lanes) {
					w.lane(i + 1).submit(request(i+1, i))
				}
				pass(time.Millisecond)
				down.Store(true)
				w.lane(999).submit(request(999, lanes))
				pass(10 * time.Minute)
				wantNoDeadLetters(t, w.outcomes())
				down.Store(false)
				wantNoDeadLetters(t, w.await(lanes+1, time.Hour))
			})
		})
	}
}

// The last attempt allowed does not count when it is the probe of an outage.
func TestProbesDeadLetterNothing(t *testing.T) {
	var down atomic.Bool
	first := true
	answer := func(_ context.Context, c call) (*http.Response, error) {
		switch {
		case c.contract == 13 && first:
			first = false
			return reply(503, "", "Retry-After", "60")
		case down.Load():
			return reply(503, "")
		}
		return balances(c)
	}
	two := func(cfg *Config, cms *cmsclient.Config) { cfg.MaxAttempts, cms.Breaker.MinCalls = 2, 2 }
	inWorld(t, answer, two, func(t *testing.T, w *world) {
		suspect := request(13, 0)
		w.lane(13).submit(suspect)
		pass(time.Second)
		w.lane(1).submit(request(1, 1))
		w.await(1, time.Minute) // somebody was answered: the suspect's next failure counts
		down.Store(true)
		w.lane(2).submit(request(2, 2))
		w.lane(3).submit(request(3, 3))
		w.lane(4).submit(request(4, 4))
		pass(10 * time.Minute)
		if suspect.Attempts < 2 || suspect.Counted != 2 {
			t.Fatalf("%d attempts, %d counted: the test does not test anything", suspect.Attempts, suspect.Counted)
		}
		wantNoDeadLetters(t, w.outcomes())
		down.Store(false)
		wantNoDeadLetters(t, w.await(5, time.Hour))
	})
}

// A dead letter that was decided while the breaker opens waits until it is no longer open.
func TestNoDeadLettersWhileTheBreakerIsOpen(t *testing.T) {
	var down atomic.Bool
	answer := func(ctx context.Context, c call) (*http.Response, error) {
		switch {
		case c.contract == 404:
			if err := takes(ctx, 3*time.Second); err != nil {
				return nil, err
			}
			return refusal(404, "CONTRACT_DOES_NOT_EXIST")
		case down.Load():
			return reply(503, "")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		down.Store(true)
		w.lane(404).submit(request(404, 1000))
		for i := range int64(lanes) {
			w.lane(i + 1).submit(request(i+1, i))
		}
		pass(time.Second)
		if !w.client.BreakerOpen() {
			t.Fatal("the breaker is not open")
		}
		invalid := request(0, 1001)
		invalid.Err = errors.New("value: is not JSON")
		w.lane(0).submit(invalid)
		pass(3 * time.Second)
		if !w.client.BreakerOpen() {
			t.Fatal("the breaker is not open any more")
		}
		wantSummary(t, w.outcomes(), "")
		pass(10 * time.Minute)
		down.Store(false)

		reasons := map[string]int{}
		completed := w.await(lanes+2, time.Hour)
		for _, s := range completed {
			reasons[describe(s.out)]++
		}
		if reasons["complete"] != lanes || reasons["contract-not-found"] != 1 || reasons["invalid-request"] != 1 {
			t.Errorf("outcomes %v", reasons)
		}
	})
}

// Everything at once, again and again: each request gets one outcome, and only those that deserve it are dead letters.
func TestFlapping(t *testing.T) {
	began := time.Now()
	answer := func(ctx context.Context, c call) (*http.Response, error) {
		minute := int(time.Since(began).Minutes())
		if err := takes(ctx, time.Duration(c.contract%7)*50*time.Millisecond); err != nil {
			return nil, err
		}
		if c.contract%10 == 0 {
			return refusal(404, "CONTRACT_DOES_NOT_EXIST")
		}
		switch minute % 5 {
		case 1:
			return reply(503, "")
		case 2:
			return reply(429, "", "Retry-After", "3")
		case 3:
			return reply(403, "")
		}
		return balances(c)
	}
	few := func(cfg *Config, cms *cmsclient.Config) { cms.MaxInFlight = 8 }
	inWorld(t, answer, few, func(t *testing.T, w *world) {
		began = time.Now()
		byContract := map[int64]*testLane{}
		const requests = 3000
		for i := range int64(requests) {
			contract := i%lanes + 1
			if byContract[contract] == nil {
				byContract[contract] = w.lane(contract)
			}
			byContract[contract].submit(request(contract, i))
			pass(200 * time.Millisecond)
		}
		last := map[int64]int64{}
		for _, s := range w.await(requests, time.Hour) {
			contract := s.req.Request.ContractID
			if want := contract%10 == 0; want != (s.out.DeadLetter != nil) {
				t.Errorf("contract %d: %s", contract, describe(s.out))
			}
			if offset, before := last[contract]; before && offset > s.req.Record.Offset {
				t.Errorf("contract %d: offset %d is answered after %d", contract, s.req.Record.Offset, offset)
			}
			last[contract] = s.req.Record.Offset
		}
		if n := w.client.Status().InFlight; n != 0 {
			t.Errorf("%d calls are in flight", n)
		}
	})
}
