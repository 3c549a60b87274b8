package cmsclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is an Observer that remembers.
type recorder struct {
	mu       sync.Mutex
	calls    map[string]int
	changes  []string        // breaker, halted and resumed, in order
	failing  []Failing       // what it heard when the breaker opened
	pauses   []time.Duration // that Throttled told of
	onChange func()
}

func (r *recorder) Called(class string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[class]++
}

func (r *recorder) change(s string) {
	r.mu.Lock()
	r.changes = append(r.changes, s)
	r.mu.Unlock()
	if r.onChange != nil {
		r.onChange()
	}
}

func (r *recorder) BreakerChanged(_, to BreakerState, failing Failing) {
	if to == BreakerOpen {
		r.mu.Lock()
		r.failing = append(r.failing, failing)
		r.mu.Unlock()
	}
	r.change(to.String())
}
func (r *recorder) Halted(error)         { r.change("halted") }
func (r *recorder) Resumed()             { r.change("resumed") }
func (r *recorder) QuotaSpent(time.Time) { r.change("quota spent") }

func (r *recorder) Throttled(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pauses = append(r.pauses, time.Until(until))
}

func (r *recorder) history() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.changes, " ")
}

func (r *recorder) count(class string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[class]
}

// roundTrip is a fake CMS.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reply makes a complete response; headers are name, value, name, value.
func reply(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
}

const (
	goodBody = `{"contractBalances":[{"balanceCode":"AVAILABLE","balanceCurrency":"EUR",` +
		`"balanceId":89516416,"balanceValue":9811.31}]}`
	notFoundBody = `{"Errors":{"Error":[{"Source":"MASTERCARD PROCESSING","ReasonCode":"CONTRACT_DOES_NOT_EXIST",` +
		`"Description":"Contract with id 99999 not found.","Recoverable":false}]}}`
)

func good() (*http.Response, error) { return reply(200, goodBody), nil }

func testConfig(url string) Config {
	cfg := DefaultConfig()
	cfg.URL = url
	return cfg
}

func newTestClient(t testing.TB, cfg Config, obs Observer) *Client {
	t.Helper()
	c, err := New(cfg, obs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve starts a CMS and a client for it.
func serve(t testing.TB, handler http.HandlerFunc, adjust func(*Config)) (*Client, *recorder) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg := testConfig(server.URL)
	if adjust != nil {
		adjust(&cfg)
	}
	obs := &recorder{}
	return newTestClient(t, cfg, obs), obs
}

func query(contract int64) Query {
	return Query{ContractID: contract, Codes: []string{"AVAILABLE", "BLOCKED"}, CorrelationID: "6fd1cb0a-0001"}
}

// ask is Admit and Get.
func ask(ctx context.Context, c *Client, contract int64) (Answer, error) {
	call, err := c.Admit(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer call.Release()
	return call.Get(ctx, query(contract))
}

func classOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ""
}
