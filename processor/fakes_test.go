package processor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/schemas"
)

// testLane does what the consumer's lanes do: it queues, and handles one lane at a time.
type testLane struct {
	w        *world
	contract int64

	mu      sync.Mutex
	waiting []*inflight.Request
	busy    bool
	// onComplete, if set, is called first.
	onComplete func(*inflight.Request, schemas.Outcome)
}

// testSlot is the slot of a request in a testLane.
type testSlot struct {
	inflight.Slot // nil: the processor wants no more than what follows
	lane          *testLane
	req           *inflight.Request
	revoked       chan struct{}
	completed     bool // guarded by lane.mu
}

func (w *world) lane(contract int64) *testLane {
	return &testLane{w: w, contract: contract}
}

// submit queues requests and sees to it that the lane is handled.
func (l *testLane) submit(reqs ...*inflight.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, reqs...)
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

func (l *testLane) revoke(reqs ...*inflight.Request) {
	for _, req := range reqs {
		close(req.Slot.(*testSlot).revoked)
	}
}

func (l *testLane) StepAside(_ context.Context, wait func()) {
	l.w.aside.Add(1)
	defer l.w.aside.Add(-1)
	wait()
}

func (l *testLane) Contract() int64 { return l.contract }

func (l *testLane) Take(most int, join func(*inflight.Request) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; most > 0 && len(l.waiting) > 0 && join(l.waiting[0]); most-- {
		l.waiting[0].Slot.(*testSlot).lane = l
		l.waiting = l.waiting[1:]
	}
}

func (s *testSlot) Owned() bool { return !wait.Over(s.revoked) }

func (s *testSlot) Revoked() <-chan struct{} { return s.revoked }

func (s *testSlot) Complete(_ context.Context, out schemas.Outcome) {
	l, req := s.lane, s.req
	if l.onComplete != nil {
		l.onComplete(req, out)
	}
	l.mu.Lock()
	if s.completed {
		l.w.t.Errorf("%v is completed twice, now with %v", req.Record.Position, describe(out))
	}
	s.completed = true
	l.mu.Unlock()

	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.completed = append(w.completed, completion{req, out, time.Now()})
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// request makes a valid request; its offset tells it from others.
func request(contract, offset int64, codes ...string) *inflight.Request {
	if len(codes) == 0 {
		codes = []string{"AVAILABLE"}
	}
	rec := schemas.Record{
		Position: schemas.Position{Topic: "requests", Partition: 1, Offset: offset},
		Key:      []byte("k"), Value: []byte("v"),
	}
	req := &inflight.Request{Record: rec, Request: schemas.Request{
		ID: "r" + strconv.FormatInt(offset, 10), ContractID: contract, BalanceCodes: codes,
	}}
	req.Slot = &testSlot{req: req, revoked: make(chan struct{})}
	return req
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
		list[i] = fmt.Sprintf(`{"balanceCode":%q,"balanceCurrency":"EUR","balanceId":%d,"balanceValue":1.50}`, code,
			c.contract)
	}
	return reply(200, `{"contractBalances":[`+strings.Join(list, ",")+`]}`, "X-Mc-Correlation-Id", "mc-"+c.correlation)
}

// refusal is an error body of the CMS itself.
func refusal(status int, reason string) (*http.Response, error) {
	return reply(status, `{"Errors":{"Error":[{"Source":"MASTERCARD PROCESSING","ReasonCode":"`+reason+
		`","Description":"no"}]}}`)
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
func summary(completed []completion) string {
	parts := make([]string, len(completed))
	for i, s := range completed {
		parts[i] = fmt.Sprintf("%d %s", s.req.Record.Offset, describe(s.out))
	}
	return strings.Join(parts, ", ")
}

func wantSummary(t *testing.T, completed []completion, want string) {
	t.Helper()
	if got := summary(completed); got != want {
		t.Errorf("outcomes: %s\nwant:     %s", got, want)
	}
}

// wantNoDeadLetters is the first promise: nothing but the record itself may be blamed.
func wantNoDeadLetters(t *testing.T, completed []completion) {
	t.Helper()
	for _, s := range completed {
		if d := s.out.DeadLetter; d != nil {
			t.Errorf("%v became a dead letter: %s: %s", s.req.Record.Position, d.Reason, d.Detail)
		}
	}
}
