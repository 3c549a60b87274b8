package processor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"balanceq/cmsclient"
	"balanceq/schemas"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
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
	changed   chan struct{} // something was settled

	mu      sync.Mutex
	calls   []call
	settled []settlement
	opened  time.Time      // the breaker, when it is open; zero: it is not
	opens   [][2]time.Time // when it was
	logs    bytes.Buffer
}

// settlement is the outcome of one request.
type settlement struct {
	inq *schemas.Inquiry
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
	})
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

// The observer of the client: only the breaker matters.

func (w *world) Called(string, time.Duration) {}
func (w *world) Halted(error)                 {}
func (w *world) Resumed()                     {}

func (w *world) BreakerChanged(_, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to == "open" {
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

// outcomes returns what was settled so far.
func (w *world) outcomes() []settlement {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.settled)
}

// await returns the outcomes as soon as there are n.
func (w *world) await(n int, within time.Duration) []settlement {
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
			w.t.Fatalf("%d of %d requests are settled after %v", len(w.outcomes()), n, within)
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

// testLane does what the consumer's lanes do: it queues, and handles one lane at a time.
type testLane struct {
	w        *world
	contract int64

	mu      sync.Mutex
	waiting []*schemas.Inquiry
	busy    bool
	revoked map[*schemas.Inquiry]bool
	done    map[*schemas.Inquiry]bool
	// onSettle, if set, is called first.
	onSettle func(*schemas.Inquiry, schemas.Outcome)
}

func (w *world) lane(contract int64) *testLane {
	return &testLane{w: w, contract: contract, revoked: map[*schemas.Inquiry]bool{}, done: map[*schemas.Inquiry]bool{}}
}

// submit queues requests and sees to it that the lane is handled.
func (l *testLane) submit(inqs ...*schemas.Inquiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, inqs...)
	if !l.busy {
		l.busy = true
		l.w.wg.Go(l.run)
	}
}

func (l *testLane) run() {
	for {
		l.w.processor.Handle(l.w.ctx, l)
		l.mu.Lock()
		if len(l.waiting) == 0 || l.w.ctx.Err() != nil {
			l.busy = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

func (l *testLane) revoke(inqs ...*schemas.Inquiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, inq := range inqs {
		l.revoked[inq] = true
	}
}

func (l *testLane) Contract() int64 { return l.contract }

func (l *testLane) Take(dst []*schemas.Inquiry, join func(*schemas.Inquiry) bool) []*schemas.Inquiry {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) > 0 && join(l.waiting[0]) {
		dst = append(dst, l.waiting[0])
		l.waiting = l.waiting[1:]
	}
	return dst
}

func (l *testLane) Live(inq *schemas.Inquiry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.revoked[inq]
}

func (l *testLane) Settle(_ context.Context, inq *schemas.Inquiry, out schemas.Outcome) {
	if l.onSettle != nil {
		l.onSettle(inq, out)
	}
	l.mu.Lock()
	if l.done[inq] {
		l.w.t.Errorf("%v is settled twice, now with %v", inq.Record.Position, describe(out))
	}
	l.done[inq] = true
	l.mu.Unlock()

	w := l.w
	open := w.client.BreakerOpen()
	w.mu.Lock()
	defer w.mu.Unlock()
	if out.DeadLetter != nil && open {
		w.t.Errorf("%v became a dead letter while the breaker was open", inq.Record.Position)
	}
	w.settled = append(w.settled, settlement{inq, out, time.Now()})
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// request makes a valid request; its offset tells it from others.
func request(contract, offset int64, codes ...string) *schemas.Inquiry {
	if len(codes) == 0 {
		codes = []string{"AVAILABLE"}
	}
	rec := &schemas.Record{
		Position: schemas.Position{Topic: "requests", Partition: 1, Offset: offset},
		Key:      []byte("k"), Value: []byte("v"),
	}
	return &schemas.Inquiry{Record: rec, Request: schemas.Request{
		ID: "r" + strconv.FormatInt(offset, 10), ContractID: contract, BalanceCodes: codes,
	}}
}

// reply makes a complete response; headers are name, value, name, value.
func reply(status int, body string, headers ...string) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// balances answers 200 with one balance a code; its id is the contract's.
func balances(c call) (*http.Response, error) {
	return balancesOf(c, c.codes)
}

func balancesOf(c call, codes []string) (*http.Response, error) {
	list := make([]string, len(codes))
	for i, code := range codes {
		list[i] = fmt.Sprintf(`{"balanceCode":%q,"balanceCurrency":"EUR","balanceId":%d,"balanceValue":1.50}`, code, c.contract)
	}
	return reply(200, `{"contractBalances":[`+strings.Join(list, ",")+`]}`, "X-Mc-Correlation-Id", "mc-"+c.correlation)
}

// refusal is an error body of the CMS itself.
func refusal(status int, reason string) (*http.Response, error) {
	return reply(status, `{"Errors":{"Error":[{"Source":"MASTERCARD PROCESSING","ReasonCode":"`+reason+`","Description":"no"}]}}`)
}

func describe(out schemas.Outcome) string {
	switch {
	case out.DeadLetter != nil:
		return string(out.DeadLetter.Reason)
	case out.Result != nil:
		return out.Result.Outcome
	}
	return "nothing"
}

// summary lists outcomes as "offset outcome", in the order in which they came.
func summary(settled []settlement) string {
	parts := make([]string, len(settled))
	for i, s := range settled {
		parts[i] = fmt.Sprintf("%d %s", s.inq.Record.Offset, describe(s.out))
	}
	return strings.Join(parts, ", ")
}

func wantSummary(t *testing.T, settled []settlement, want string) {
	t.Helper()
	if got := summary(settled); got != want {
		t.Errorf("outcomes: %s\nwant:     %s", got, want)
	}
}

// wantNoDeadLetters is the first promise: nothing but the record itself may be blamed.
func wantNoDeadLetters(t *testing.T, settled []settlement) {
	t.Helper()
	for _, s := range settled {
		if d := s.out.DeadLetter; d != nil {
			t.Errorf("%v became a dead letter: %s: %s", s.inq.Record.Position, d.Reason, d.Detail)
		}
	}
}
