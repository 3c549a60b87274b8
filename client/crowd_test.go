package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/client/internal/link"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// held is a link that keeps requests until they are answered.
type held struct {
	nowhereLink

	tb    testing.TB
	take  link.Take
	early bool // the answer comes before Write has returned, and before the acknowledgement

	mu   sync.Mutex
	sent []schemas.Message
}

func overHeld(tb testing.TB, early bool) (*Client, *held) {
	tb.Helper()
	h := &held{tb: tb, early: early}
	c, err := Over(Config{}, func(_ Config, take link.Take) (link.Link, error) {
		h.take = take
		return h, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c, h
}

func (h *held) Write(_ context.Context, m schemas.Message, ack link.Ack) error {
	if h.early {
		h.answer(m)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = append(h.sent, m)
	ack.Acknowledged()
	return nil
}

// answer gives each code that is asked for the contract as its value: among the results of another program for the same
// contract, and twice, the second time with another value.
func (h *held) answer(m schemas.Message) {
	q, err := schemas.DecodeRequest(&schemas.Record{Position: nowhere, Value: m.Value})
	if err != nil {
		h.tb.Error(err)
		return
	}
	for i, id := range []string{"another's", q.ID, q.ID, "another's"} {
		r := schemas.Result{RequestID: id, ContractID: q.ContractID, Outcome: schemas.OutcomeComplete,
			RetrievedAt: time.Now(), CorrelationID: "c", Source: schemas.Position{Topic: "balance.requests"}}
		value := strconv.FormatInt(q.ContractID, 10)
		if i != 1 {
			value = "0"
		}
		r.Balances = []schemas.Balance{{Code: q.BalanceCodes[0], ID: "1", Value: value}}
		if !h.take.Wanted(m.Key) {
			continue
		}
		h.take.Result(&schemas.Record{Key: m.Key, Value: r.Message(m.Key).Value})
	}
}

// answerAll answers what was sent, in any order.
func (h *held) answerAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	rand.Shuffle(len(h.sent), func(i, j int) { h.sent[i], h.sent[j] = h.sent[j], h.sent[i] })
	for _, m := range h.sent {
		h.answer(m)
	}
}

// crowd is how many ask at the same time; the race detector follows no more than 8,128 goroutines.
func crowd() int {
	if kafkatest.Race {
		return 3_000
	}
	return 10_000
}

// Many wait at the same time, and all that ends a wait comes to all of them in the same moment. Each hears of its own
// request, and can go on waiting for it.
func TestCrowd(t *testing.T) {
	for name, end := range map[string]struct {
		by  func(ctx context.Context, c *Client, cancel context.CancelFunc) // nil: the deadlines, which are the same
		why error
	}{
		"deadlines": {why: context.DeadlineExceeded},
		"cancel":    {func(_ context.Context, _ *Client, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"close": {func(ctx context.Context, c *Client, _ context.CancelFunc) {
			ctx, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			if err := c.Close(ctx); err == nil || !strings.Contains(err.Error(), fmt.Sprint(crowd(), " requests")) {
				t.Errorf("Close: %v", err)
			}
		}, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, h := overHeld(t, false)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				left := askInCrowd(t, ctx, c)
				synctest.Wait() // all are under way
				if end.by != nil {
					end.by(t.Context(), c, cancel)
				}
				tickets := left(end.why)
				h.answerAll()
				synctest.Wait()
				for contract, ticket := range tickets {
					a, err := ticket.Wait(t.Context())
					if errors.Is(end.why, ErrClosed) {
						if !errors.Is(err, ErrClosed) {
							t.Fatalf("after Close: %v", err)
						}
					} else if b, _ := a.Balance("A"); err != nil || b.Value != strconv.FormatInt(contract, 10) {
						t.Fatalf("asked about %d, got %+v, error %v", contract, a, err)
					}
				}
				if c.waiters.count != 0 || len(c.waiters.byID) != 0 || len(c.waiters.keys) != 0 || c.waiters.idle.Len() != 0 {
					t.Errorf("%d are still waited for", c.waiters.count)
				}
			})
		})
	}
}

// askInCrowd has many ask. What it returns waits for their errors, which are to wrap why, and returns the tickets in
// them, by contract.
func askInCrowd(t *testing.T, ctx context.Context, c *Client) (left func(why error) map[int64]*Ticket) {
	t.Helper()
	errs := make([]error, crowd())
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = c.Ask(ctx, Request{ContractID: int64(i + 1), BalanceCodes: []string{"A"}}) })
	}
	return func(why error) map[int64]*Ticket {
		wg.Wait()
		tickets := map[int64]*Ticket{}
		for i, err := range errs {
			unknown, ok := errors.AsType[*UnknownError](err)
			if !ok || !errors.Is(err, why) || unknown.Ticket.Request().ContractID != int64(i+1) {
				t.Fatalf("asked about %d: %v", i+1, err)
			}
			tickets[int64(i+1)] = unknown.Ticket
		}
		return tickets
	}
}

// An answer may come before its request is acknowledged, and before Send has returned, among foreign and repeated ones.
func TestAnswerBeforeSendReturns(t *testing.T) {
	c, _ := overHeld(t, true)
	for i := range int64(1_000) {
		ticket, err := c.Send(t.Context(), Request{ContractID: i%10 + 1, BalanceCodes: []string{"A"}})
		if err != nil {
			t.Fatal(err)
		}
		a, err := ticket.Wait(t.Context())
		if b, _ := a.Balance("A"); err != nil || b.Value != strconv.FormatInt(i%10+1, 10) {
			t.Fatalf("asked about %d, got %+v, error %v", i%10+1, a, err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whose context has ended sends nothing, whatever room there is: the request's deadline would be over as well, and make
// a dead letter of it.
func TestEndedContextSendsNothing(t *testing.T) {
	c, h := overHeld(t, false)
	ctx, end := context.WithCancel(t.Context())
	end()
	r := Request{ContractID: 1, BalanceCodes: []string{"A"}}
	_, asked := c.Ask(ctx, r)
	_, sent := c.Send(ctx, r)
	_, encoded := c.SendEncoded(ctx, Encoded{ID: "1", Value: []byte("{}")})
	for _, err := range []error{asked, sent, encoded} {
		if _, unknown := errors.AsType[*UnknownError](err); unknown || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	if len(h.sent) > 0 || c.waiters.count > 0 {
		t.Errorf("%d were sent, %d are waited for", len(h.sent), c.waiters.count)
	}
}

// What Config.Propagate does to its goroutine it does to the caller of Ask, and nothing is sent or left.
func TestPropagatePanics(t *testing.T) {
	c, h := overHeld(t, false)
	c.cfg.Propagate = func(context.Context, Headers) { panic(t) }
	r := Request{ContractID: 1, BalanceCodes: []string{"A"}}
	for name, call := range map[string]func(){
		"Ask":  func() { _, _ = c.Ask(t.Context(), r) },
		"Send": func() { _, _ = c.Send(t.Context(), r) },
	} {
		func() {
			defer func() {
				if got := recover(); got != t {
					t.Errorf("%s: recovered %v", name, got)
				}
			}()
			call()
		}()
	}
	c.cfg.Propagate = func(context.Context, Headers) { runtime.Goexit() }
	if _, err := c.Ask(t.Context(), r); !errors.Is(err, errExited) {
		t.Errorf("after Goexit: %v", err)
	}
	if len(h.sent) > 0 || c.waiters.count > 0 {
		t.Errorf("%d were sent, %d are waited for", len(h.sent), c.waiters.count)
	}
}

// Two clients that send under one id both read the first answer to it, which is why Ask makes ids of its own.
func TestTwoClientsWithOneID(t *testing.T) {
	one, h := overHeld(t, false)
	two, _ := overHeld(t, false)
	e := Encoded{ID: "same", Key: []byte("7"), Value: []byte(`{"requestId":"same","contractId":7,"balanceCodes":["A"]}`)}
	var tickets []*Ticket
	for _, c := range []*Client{one, two} {
		ticket, err := c.SendEncoded(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	both := h.take
	h.take.Result = func(rec *schemas.Record) {
		both.Result(rec)
		two.result(rec)
	}
	h.answerAll() // of the first one alone
	for i, ticket := range tickets {
		if a, err := ticket.Wait(t.Context()); err != nil || a.Result.RequestID != "same" {
			t.Errorf("client %d: %+v, %v", i+1, a, err)
		}
	}
}
