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

	"github.com/balanceq/balanceq/schemas"
)

// testLane does what the consumer's lanes do: it queues, and handles one lane at a time.
type testLane struct {
	w        *world
	contract int64

	mu      sync.Mutex
	waiting []*schemas.Inquiry
	busy    bool
	revoked map[*schemas.Inquiry]bool
	done    map[*schemas.Inquiry]bool
	gone    map[*schemas.Inquiry]chan struct{}
	// onSettle, if set, is called first.
	onSettle func(*schemas.Inquiry, schemas.Outcome)
}

func (w *world) lane(contract int64) *testLane {
	return &testLane{w: w, contract: contract, revoked: map[*schemas.Inquiry]bool{}, done: map[*schemas.Inquiry]bool{}, gone: map[*schemas.Inquiry]chan struct{}{}}
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
		if gone := l.gone[inq]; gone != nil {
			close(gone)
		}
	}
}

func (l *testLane) Gone(inq *schemas.Inquiry) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone[inq] == nil {
		l.gone[inq] = make(chan struct{})
		if l.revoked[inq] {
			close(l.gone[inq])
		}
	}
	return l.gone[inq]
}

func (l *testLane) StepAside(_ context.Context, wait func()) {
	l.w.aside.Add(1)
	defer l.w.aside.Add(-1)
	wait()
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
	w.mu.Lock()
	defer w.mu.Unlock()
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
