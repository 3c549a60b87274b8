package processor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

func TestContractNotFound(t *testing.T) {
	answer := func(_ context.Context, c call) (*http.Response, error) {
		resp, err := refusal(404, "CONTRACT_DOES_NOT_EXIST")
		resp.Header.Set("X-Mc-Correlation-Id", "mc-"+c.correlation)
		return resp, err
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1, "A"), request(7, 2, "B"))
		completed := w.await(2, time.Minute)
		wantSummary(t, completed, "1 contract-not-found, 2 contract-not-found")
		if n := len(w.sent()); n != 1 {
			t.Errorf("%d calls: there is nothing to ask again", n)
		}
		for _, s := range completed {
			d := s.out.DeadLetter
			if s.out.Result != nil || d.Record != &s.req.Record || d.RequestID != s.req.Request.ID || d.Attempts != 1 ||
				d.HTTPStatus != 404 || d.CMSReasonCode != "CONTRACT_DOES_NOT_EXIST" || d.CorrelationID != w.sent()[0].correlation ||
				d.CMSCorrelationID != "mc-"+d.CorrelationID || d.FirstFailure.IsZero() || d.LastFailure.IsZero() ||
				d.DecidedAt.IsZero() {
				t.Errorf("dead letter %+v", d)
			}
		}
	})
}

// A 400 on a shared call blames none of them: each is asked for alone, and only the guilty one is a dead letter.
func TestSharedCallRejected(t *testing.T) {
	answer := func(_ context.Context, c call) (*http.Response, error) {
		if slices.Contains(c.codes, "BAD") {
			return refusal(400, "INVALID_BALANCE_CODE")
		}
		return balances(c)
	}
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		l := w.lane(7)
		l.submit(request(7, 1, "A"), request(7, 2, "B", "BAD"), request(7, 3, "C"))
		completed := w.await(3, time.Minute)
		wantSummary(t, completed, "1 complete, 2 request-rejected, 3 complete")
		if d := completed[1].out.DeadLetter; d.HTTPStatus != 400 || d.CMSReasonCode != "INVALID_BALANCE_CODE" ||
			d.Attempts != 2 {
			t.Errorf("dead letter %+v", d)
		}
		if n := len(w.sent()); n != 4 {
			t.Errorf("%d calls, want one shared and three alone", n)
		}
		l.submit(request(7, 4, "D"), request(7, 5, "E"))
		wantSummary(t, w.await(5, time.Minute)[3:], "4 complete, 5 complete")
		if n := len(w.sent()); n != 5 {
			t.Errorf("%d calls: later requests share again", n)
		}
	})
}

// A request that keeps failing while others are answered is given up; while no other is asked for, it waits for ever.
func TestAttemptsExhausted(t *testing.T) {
	tests := map[string]struct {
		failing cms
		reason  string
	}{
		"500": {func(context.Context, call) (*http.Response, error) { return reply(500, "") }, "attempts-exhausted"},
		"network": {func(context.Context, call) (*http.Response, error) {
			return nil, errors.New("reset")
		}, "attempts-exhausted"},
		"timeout": {func(ctx context.Context, _ call) (*http.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "attempts-exhausted"},
		"no JSON": {func(context.Context, call) (*http.Response, error) {
			return reply(200, "<html>")
		}, "unexpected-response"},
		"refused": {func(context.Context, call) (*http.Response, error) { return reply(403, "") }, "request-rejected"},
		"no key": {func(context.Context, call) (*http.Response, error) {
			return reply(200, "closed")
		}, "unexpected-response"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := func(ctx context.Context, c call) (*http.Response, error) {
				if c.contract == 13 {
					return test.failing(ctx, c)
				}
				return balances(c)
			}
			calm := func(_ *Config, cms *cmsclient.Config) {
				cms.Breaker.MinCalls, cms.ProbeInterval = 1000, 500*time.Millisecond
				cms.Decrypter = closedDecrypter{}
			}
			inWorld(t, answer, calm, func(t *testing.T, w *world) {
				w.lane(13).submit(request(13, 0))
				pass(time.Hour)
				wantSummary(t, w.outcomes(), "")

				other := w.lane(7)
				for i := range int64(100) {
					other.submit(request(7, 1+i))
					pass(time.Second)
				}
				completed := w.await(101, time.Minute)
				at := slices.IndexFunc(completed, func(s completion) bool { return s.req.Record.Offset == 0 })
				wantSummary(t, completed[at:at+1], "0 "+test.reason)
				if at < 3 {
					t.Errorf("given up after %d answers to others", at)
				}
				if d := completed[at].out.DeadLetter; d.Attempts < 5 || !d.LastFailure.After(d.FirstFailure) || d.Detail == "" {
					t.Errorf("dead letter %+v", d)
				}
			})
		})
	}
}

// closedDecrypter has no key for the body "closed".
type closedDecrypter struct{}

func (closedDecrypter) Decrypt(body []byte) ([]byte, error) {
	if string(body) == "closed" {
		return nil, errors.New("no key opens the answer")
	}
	return body, nil
}

func TestExpired(t *testing.T) {
	t.Run("before the call", func(t *testing.T) {
		inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
			late, inTime := request(7, 1), request(7, 2)
			late.Request.Deadline = time.Now()
			inTime.Request.Deadline = time.Now().Add(time.Second)
			w.lane(7).submit(late, inTime)
			completed := w.await(2, time.Minute)
			wantSummary(t, completed, "1 expired, 2 complete")
			if d := completed[0].out.DeadLetter; d.Attempts != 0 || d.CorrelationID != "" ||
				!strings.HasPrefix(d.Detail, "deadline: ") {
				t.Errorf("dead letter %+v", d)
			}
			if n := len(w.sent()); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	})
	t.Run("between attempts", func(t *testing.T) {
		answer := func(_ context.Context, c call) (*http.Response, error) {
			if slices.Contains(c.codes, "SLOW") {
				return reply(503, "", "Retry-After", "3600")
			}
			return balances(c)
		}
		inWorld(t, answer, nil, func(t *testing.T, w *world) {
			req, other := request(7, 1, "SLOW"), request(7, 2)
			req.Request.Deadline = time.Now().Add(time.Minute)
			w.lane(7).submit(req, other)
			completed := w.await(2, time.Hour)
			wantSummary(t, completed, "1 expired, 2 complete")
			if at := completed[0].at; !at.Equal(req.Request.Deadline) {
				t.Errorf("given up at %v, the deadline is %v", at, req.Request.Deadline)
			}
			if d := completed[0].out.DeadLetter; d.Attempts != 1 || d.FirstFailure.IsZero() {
				t.Errorf("dead letter %+v", d)
			}
		})
	})
	t.Run("while the breaker is open", func(t *testing.T) {
		down := true
		answer := func(_ context.Context, c call) (*http.Response, error) {
			if down {
				return reply(503, "")
			}
			return balances(c)
		}
		inWorld(t, answer, nil, func(t *testing.T, w *world) {
			for i := range int64(30) {
				req := request(i+1, i)
				req.Request.Deadline = time.Now().Add(time.Minute)
				w.lane(i + 1).submit(req)
			}
			pass(time.Hour)
			down = false
			for _, s := range w.await(30, time.Hour) {
				if s.out.DeadLetter == nil || s.out.DeadLetter.Reason != schemas.ReasonExpired {
					t.Errorf("offset %d: %s", s.req.Record.Offset, describe(s.out))
				}
			}
		})
	})
}

func TestInvalidRequests(t *testing.T) {
	inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
		bad := func(offset int64) *inflight.Request {
			req := request(0, offset)
			req.Request.BalanceCodes = nil
			req.Err = errors.New("contractId: is missing")
			return req
		}
		w.lane(0).submit(bad(1), bad(2))
		completed := w.await(2, time.Minute)
		wantSummary(t, completed, "1 invalid-request, 2 invalid-request")
		if d := completed[0].out.DeadLetter; d.Detail != "contractId: is missing" || d.RequestID != "r1" || d.Attempts != 0 ||
			d.HTTPStatus != 0 {
			t.Errorf("dead letter %+v", d)
		}
		if len(w.sent()) != 0 {
			t.Error("the CMS was asked")
		}
	})
}

func TestRefuseCardNumbers(t *testing.T) {
	const card = 4111_1111_1111_1111
	refuse := func(cfg *Config, _ *cmsclient.Config) { cfg.RefuseCardNumbers = true }
	inWorld(t, atOnce, refuse, func(t *testing.T, w *world) {
		w.lane(card).submit(request(card, 1))
		w.lane(card + 1).submit(request(card+1, 2))
		completed := w.await(2, time.Minute)
		slices.SortFunc(completed, func(a, b completion) int { return int(a.req.Record.Offset - b.req.Record.Offset) })
		wantSummary(t, completed, "1 invalid-request, 2 complete")
		if d := completed[0].out.DeadLetter; !strings.HasPrefix(d.Detail, "contractId: ") ||
			strings.Contains(d.Detail+w.log(), "4111111111111111") {
			t.Errorf("detail %q, log %s", d.Detail, w.log())
		}
		if sent := w.sent(); len(sent) != 1 || sent[0].contract != card+1 {
			t.Errorf("sent %v", sent)
		}
	})
	inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
		w.lane(card).submit(request(card, 1))
		wantSummary(t, w.await(1, time.Minute), "1 complete")
	})
}

func TestPublishFailures(t *testing.T) {
	answer := func(context.Context, call) (*http.Response, error) { return refusal(404, "CONTRACT_DOES_NOT_EXIST") }
	publish := func(cfg *Config, _ *cmsclient.Config) { cfg.PublishFailures = true }
	inWorld(t, answer, publish, func(t *testing.T, w *world) {
		req := request(7, 1, "A", "B")
		w.lane(7).submit(req)
		out := w.await(1, time.Minute)[0].out
		if out.DeadLetter == nil || out.Result == nil {
			t.Fatalf("outcome %+v, want both", out)
		}
		r := out.Result
		if r.Outcome != schemas.OutcomeFailed || r.Reason != schemas.ReasonContractNotFound || r.RequestID != "r1" ||
			r.ContractID != 7 ||
			len(r.Balances) != 0 || !slices.Equal(r.MissingBalanceCodes, req.Request.BalanceCodes) ||
			r.Source != req.Record.Position ||
			r.CorrelationID != out.DeadLetter.CorrelationID || !r.RetrievedAt.Equal(out.DeadLetter.DecidedAt) {
			t.Errorf("result %+v", r)
		}
	})
}

// Both correlation ids of the last call are in the log line, and an opaque one cannot smuggle in a card number.
func TestDeadLetterLogLine(t *testing.T) {
	inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
		asked, invalid := request(7, 1), request(0, 2)
		asked.Attempts = 1
		q := newQuery(7, 1)
		d := w.processor.newDeadLetter(asked, schemas.ReasonRequestRejected, "no", q)
		failedWith(d, &cmsclient.Error{Status: 400, ReasonCode: "BAD", CMSCorrelationID: "0.4111111111111111"})
		if d.HTTPStatus != 400 || d.CMSReasonCode != "BAD" || d.CMSCorrelationID != "0.4111111111111111" {
			t.Errorf("dead letter %+v", d)
		}
		w.processor.announce(asked, d)
		for _, part := range []string{`"record":"requests/1/1"`, `"correlation_id":"` + q.CorrelationID + `"`,
			`"cms_correlation_id":"0.411111******1111"`} {
			if !strings.Contains(w.log(), part) {
				t.Errorf("%s is not in %s", part, w.log())
			}
		}
		before := len(w.log())
		w.processor.announce(invalid, w.processor.newDeadLetter(invalid, schemas.ReasonInvalidRequest, "no", nil))
		if line := w.log()[before:]; strings.Contains(line, "correlation") {
			t.Errorf("the CMS was not asked: %s", line)
		}
	})
}

// The client refuses what cannot be asked. That is a mistake of this program, and asking again would not fix it.
func TestRequestsThatCannotBeAsked(t *testing.T) {
	inWorld(t, atOnce, nil, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1, ""))
		completed := w.await(1, time.Minute)
		wantSummary(t, completed, "1 internal-error")
		if d := completed[0].out.DeadLetter; !strings.Contains(d.Detail, "balance code is empty") || len(w.sent()) != 0 {
			t.Errorf("dead letter %+v, sent %v", d, w.sent())
		}
	})
}
