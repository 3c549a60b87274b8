package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/client/clienttest"
	"github.com/balanceq/balanceq/schemas"
)

var available = client.Request{ContractID: 70001, BalanceCodes: []string{"AVAILABLE"}}

// after answers each request so much later, in virtual time.
func after(d time.Duration) func(client.Request) clienttest.Answer {
	return func(client.Request) clienttest.Answer {
		time.Sleep(d) //nolint:forbidigo // virtual time
		return clienttest.Answer{}
	}
}

// That a deadline passes says nothing of the outcome, and the answer can be had later with the same ticket.
func TestUnknownThenAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.New(after(time.Minute))
		defer c.Close(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.Ask(ctx, available)
		unknown, ok := errors.AsType[*client.UnknownError](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) || !unknown.Timeout() || time.Since(began) != time.Second {
			t.Fatalf("error %v after %v", err, time.Since(began))
		}
		if unknown.Ticket.Acknowledged().IsZero() {
			t.Error("not acknowledged")
		}
		a, err := unknown.Ticket.Wait(t.Context())
		if err != nil || a.Took != time.Minute || a.Result.Outcome != schemas.OutcomePartial {
			t.Errorf("answer %+v, error %v", a, err)
		}
		if again, err := unknown.Ticket.Wait(ctx); err != nil || again.Took != a.Took { // ctx has ended
			t.Errorf("the same again: %+v, error %v", again, err)
		}
	})
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.New(after(time.Minute))
		defer c.Close(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.Ask(ctx, available)
		unknown, ok := errors.AsType[*client.UnknownError](err)
		if !ok || !errors.Is(err, context.Canceled) || unknown.Timeout() {
			t.Errorf("error %v", err)
		}
		if _, err := c.Ask(ctx, available); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		} else if _, sent := errors.AsType[*client.UnknownError](err); sent {
			t.Error("it was sent all the same")
		}
	})
}

// A request's deadline is its own, or its context's less the margin, which is never most of what is left.
func TestDeadline(t *testing.T) {
	tests := map[string]struct {
		own, ctx, want time.Duration // from now; 0: none
	}{
		"none":            {0, 0, 0},
		"of the context":  {0, 10 * time.Second, 9800 * time.Millisecond},
		"of a short one":  {0, 400 * time.Millisecond, 300 * time.Millisecond},
		"its own":         {time.Hour, 0, time.Hour},
		"its own is kept": {time.Hour, time.Second, time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked client.Request
				c := clienttest.New(func(r client.Request) clienttest.Answer { asked = r; return clienttest.Answer{} })
				defer c.Close(t.Context())
				ctx, r, began := t.Context(), available, time.Now()
				if test.ctx != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.ctx)
					defer cancel()
				}
				if test.own != 0 {
					r.Deadline = began.Add(test.own)
				}
				if _, err := c.Ask(ctx, r); err != nil {
					t.Fatal(err)
				}
				got := asked.Deadline.Sub(began)
				if asked.Deadline.IsZero() != (test.want == 0) || test.want != 0 && got != test.want {
					t.Errorf("deadline %v from now, want %v", got, test.want)
				}
			})
		})
	}
}

func TestRefused(t *testing.T) {
	c := clienttest.New(func(client.Request) clienttest.Answer {
		return clienttest.Answer{Refused: schemas.ReasonExpired, Detail: "too late"}
	})
	defer c.Close(t.Context())
	r := available
	r.ID = "mine"
	_, err := c.Ask(t.Context(), r)
	refused, ok := errors.AsType[*client.RefusedError](err)
	if !ok || refused.Reason != schemas.ReasonExpired || refused.Detail != "too late" || refused.Request.ID != "mine" ||
		err.Error() != "client: refused: expired: too late" {
		t.Errorf("error %v", err)
	}
}

// What is not valid is not sent, and what is wrong with it is named.
func TestInvalid(t *testing.T) {
	c := clienttest.New(func(client.Request) clienttest.Answer { t.Error("it was sent"); return clienttest.Answer{} })
	defer c.Close(t.Context())
	for field, r := range map[string]client.Request{
		"contractId":      {BalanceCodes: []string{"A"}},
		"balanceCodes":    {ContractID: 1},
		"balanceCodes[0]": {ContractID: 1, BalanceCodes: []string{"A,B"}},
	} {
		_, err := c.Ask(t.Context(), r)
		if wrong, ok := errors.AsType[*schemas.RequestError](err); !ok || wrong.Field != field {
			t.Errorf("error %v, want one of %s", err, field)
		}
	}
}

// Close waits for answers as long as it may, and says what it did not wait for.
func TestClose(t *testing.T) {
	for may, want := range map[time.Duration]error{time.Hour: nil, time.Second: client.ErrClosed} {
		t.Run(fmt.Sprint(may), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.New(after(time.Minute))
				tickets := make([]*client.Ticket, 10)
				for i := range tickets {
					var err error
					if tickets[i], err = c.Send(t.Context(), available); err != nil {
						t.Fatal(err)
					}
				}
				waited := make(chan error, 1)
				go func() { _, err := tickets[0].Wait(t.Context()); waited <- err }()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), may)
				defer cancel()
				if err := c.Close(ctx); (err != nil) != (want != nil) {
					t.Errorf("Close: %v", err)
				}
				if err := <-waited; !errors.Is(err, want) {
					t.Errorf("a wait that Close ended: %v", err)
				}
				for _, ticket := range tickets {
					_, err := ticket.Wait(t.Context())
					if _, unknown := errors.AsType[*client.UnknownError](err); !errors.Is(err, want) || unknown != (want != nil) {
						t.Errorf("error %v, want %v", err, want)
					}
				}
				if _, err := c.Send(t.Context(), available); !errors.Is(err, client.ErrClosed) {
					t.Errorf("sent after Close: %v", err)
				}
				if err := c.Close(t.Context()); err != nil {
					t.Errorf("closed again: %v", err)
				}
			})
		})
	}
}

// Tickets whose wait has ended in vain hold Close up no longer.
func TestCloseWithoutTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.New(func(client.Request) clienttest.Answer { return clienttest.Answer{Never: true} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Ask(ctx, available)
		began := time.Now()
		if err := c.Close(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("Close took %v: %v", time.Since(began), err)
		}
		unknown, _ := errors.AsType[*client.UnknownError](err)
		if _, err := unknown.Ticket.Wait(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("waited for after Close: %v", err)
		}
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.New(after(time.Minute))
		defer c.Close(t.Context())
		ticket, err := c.Send(t.Context(), available)
		if err != nil {
			t.Fatal(err)
		}
		ticket.Forget()
		if _, err := ticket.Wait(t.Context()); !errors.Is(err, client.ErrForgotten) {
			t.Errorf("error %v", err)
		}
		ticket.Forget()
	})
}

func many(n int) iter.Seq[client.Request] {
	return func(yield func(client.Request) bool) {
		for i := range n {
			if !yield(client.Request{ContractID: int64(i + 1), BalanceCodes: []string{"A"}, ID: fmt.Sprint(i + 1)}) {
				return
			}
		}
	}
}

// Every request of a sequence is yielded once, with its own answer or error.
func TestAskAll(t *testing.T) {
	c := clienttest.New(func(r client.Request) clienttest.Answer {
		if r.ContractID%10 == 0 {
			return clienttest.Answer{Refused: schemas.ReasonContractNotFound}
		}
		return clienttest.Answer{Balances: []schemas.Balance{{Code: "A", Value: r.ID}}}
	})
	defer c.Close(t.Context())
	seen := map[int64]int{}
	for a, err := range c.AskAll(t.Context(), many(1000)) {
		seen[a.Request.ContractID]++
		b, _ := a.Balance("A")
		if a.Request.ContractID%10 == 0 != (err != nil) || err == nil && b.Value != a.Request.ID {
			t.Errorf("%+v, error %v", a, err)
		}
	}
	for i := range int64(1000) {
		if seen[i+1] != 1 {
			t.Errorf("request %d was yielded %d times", i+1, seen[i+1])
		}
	}
}

// A loop that is left early leaves nothing behind; when its context ends, what was sent is yielded as unknown.
func TestAskAllEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answered atomic.Int64
		c := clienttest.New(func(client.Request) clienttest.Answer {
			return clienttest.Answer{Never: answered.Add(1) > 10}
		})
		defer c.Close(t.Context())
		n := 0
		for range c.AskAll(t.Context(), many(1_000_000)) {
			if n++; n == 5 {
				break
			}
		}
		if n != 5 {
			t.Errorf("%d rounds", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		unknown := 0
		for _, err := range c.AskAll(ctx, many(50)) {
			if _, ok := errors.AsType[*client.UnknownError](err); ok && errors.Is(err, context.DeadlineExceeded) {
				unknown++
			}
		}
		if unknown < 40 { // the others may have been answered
			t.Errorf("%d are unknown", unknown)
		}
		synctest.Wait()
	})
}
