package processor

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is one GET as the CMS sees it.
type call struct {
	contract    int64
	codes       []string
	correlation string
	at          time.Time
}

// cms is a fake CMS: it answers one call, which may take (virtual) time.
type cms func(ctx context.Context, c call) (*http.Response, error)

// world is a processor with the real client in front of a fake CMS, in virtual time.
type world struct {
	t         *testing.T
	ctx       context.Context
	stop      context.CancelFunc
	processor *Processor
	client    *cmsclient.Client
	answer    cms
	wg        sync.WaitGroup
	changed   chan struct{} // something was completed
	halts     atomic.Int64
	aside     atomic.Int64 // handlers that have stepped aside

	mu        sync.Mutex
	calls     []call
	completed []completion
	opened    time.Time      // the breaker, when it is open; zero: it is not
	opens     [][2]time.Time // when it was
	logs      bytes.Buffer
}

// completion is the outcome of one request.
type completion struct {
	req *inflight.Request
	out schemas.Outcome
	at  time.Time
}

type adjust func(*Config, *cmsclient.Config)

// inWorld runs a test in a bubble with a world of its own, which must be quiet when the test returns.
func inWorld(t *testing.T, answer cms, change adjust, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, answer: answer, changed: make(chan struct{}, 1)}
		w.ctx, w.stop = context.WithCancel(t.Context())
		cfg := Config{MaxAttempts: 5, BackoffInitial: 100 * time.Millisecond, BackoffMax: 5 * time.Second, Coalesce: true}
		cmsCfg := cmsclient.DefaultConfig()
		cmsCfg.URL, cmsCfg.Transport = "http://cms.test", w
		cmsCfg.Breaker.OpenTime, cmsCfg.Breaker.MaxOpenTime = 10*time.Second, 10*time.Second
		if change != nil {
			change(&cfg, &cmsCfg)
		}
		client, err := cmsclient.New(cmsCfg, w)
		if err != nil {
			t.Fatal(err)
		}
		w.client = client
		w.processor = New(cfg, client, zerolog.New(w))
		test(t, w)
		w.stop()
		w.wg.Wait()
		client.Close()
		w.checkStamps(t)
	})
}

// checkStamps holds every dead letter of every test against the times at which the breaker was open. (It may open
// between the decision and the write, so the time of the write says nothing.)
func (w *world) checkStamps(t *testing.T) {
	t.Helper()
	opens := w.opens
	if !w.opened.IsZero() {
		opens = append(opens, [2]time.Time{w.opened, time.Now()})
	}
	for _, s := range w.completed {
		for _, open := range opens {
			if d := s.out.DeadLetter; d != nil && d.DecidedAt.After(open[0]) && d.DecidedAt.Before(open[1]) {
				t.Errorf("%v: %s is dated %v, the breaker was open from %v to %v", s.req.Record.Position, d.Reason, d.DecidedAt,
					open[0], open[1])
			}
		}
	}
}

// RoundTrip implements http.RoundTripper.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	id, err := strconv.ParseInt(strings.Split(r.URL.Path, "/")[2], 10, 64)
	if err != nil {
		return nil, err
	}
	c := call{
		contract: id, codes: strings.Split(r.URL.Query().Get("balance_codes"), ","),
		correlation: r.Header.Get("Correlation-Id"), at: time.Now(),
	}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	return w.answer(r.Context(), c)
}

// The observer of the client: only breaker and halts matter.

func (w *world) Halted(error) { w.halts.Add(1) }
func (w *world) Resumed()     {}

func (w *world) BreakerChanged(_, to cmsclient.BreakerState, _ cmsclient.Failing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to == cmsclient.BreakerOpen {
		w.opened = time.Now()
	} else if !w.opened.IsZero() {
		w.opens = append(w.opens, [2]time.Time{w.opened, time.Now()})
		w.opened = time.Time{}
	}
}

// Write takes the log.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logs.Write(b)
}

func (w *world) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logs.String()
}

// sent returns the calls made so far.
func (w *world) sent() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// outcomes returns what was completed so far.
func (w *world) outcomes() []completion {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.completed)
}

// await returns the outcomes as soon as there are n.
func (w *world) await(n int, within time.Duration) []completion {
	w.t.Helper()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		if s := w.outcomes(); len(s) >= n {
			return s
		}
		select {
		case <-w.changed:
		case <-timeout.C:
			w.t.Fatalf("%d of %d requests are completed after %v", len(w.outcomes()), n, within)
		}
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// takes lets a CMS take its time.
func takes(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
