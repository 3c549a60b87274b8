package cmsclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// hedged is a call that has another attempt beside its first, when that has no answer after HedgeAfter, if the budget
// has one to spare and no caller waits. The first answer counts and the other attempt is called off. Both were sent
// after the question, so neither answer is older than it.
type hedged struct {
	client  *Client
	start   func(permit)
	callOff context.CancelFunc
	slow    *time.Timer
	results chan attempted
	running int
}

// attempted is what came of one of the attempts of a hedged call.
type attempted struct {
	answer Answer
	err    error
	panic  any
}

// hedge makes the first attempt.
func (c *Client) hedge(ctx context.Context, p permit, q Query) *hedged {
	both, callOff := context.WithCancel(ctx)
	h := &hedged{client: c, callOff: callOff, slow: time.NewTimer(c.cfg.HedgeAfter)}
	h.results = make(chan attempted, 2) // room for both, so that no attempt has to be waited for to report
	h.start = func(p permit) {
		h.running++
		go func() {
			var a attempted
			defer func() {
				a.panic = recover()
				h.results <- a
			}()
			a.answer, a.err = c.once(both, p, q)
		}()
	}
	h.start(p)
	return h
}

// once makes one attempt.
func (c *Client) once(ctx context.Context, p permit, q Query) (Answer, error) {
	call := Call{attempt: attempt{client: c, permit: p, query: q}}
	defer call.Release()
	call.prepare(ctx)
	call.exchange.wait()
	return call.answer(ctx)
}

// answer returns when both attempts have ended.
func (h *hedged) answer() (Answer, error) {
	defer h.end()
	var last attempted
	for h.running > 0 {
		select {
		case <-h.slow.C:
			if second, ok := h.client.admission.tryHedge(); ok {
				h.start(second)
			}
			continue
		case last = <-h.results:
			h.running--
		}
		if last.panic != nil {
			panic(fmt.Sprint(last.panic)) // on the caller's goroutine, where it is expected
		}
		if isFinal(last.err) {
			break
		}
	}
	return last.answer, last.err
}

// end calls off what is under way.
func (h *hedged) end() {
	h.slow.Stop()
	h.callOff()
	for ; h.running > 0; h.running-- {
		<-h.results
	}
}

// isFinal reports whether the other attempt could say nothing better.
func isFinal(err error) bool {
	e, failed := errors.AsType[*Error](err)
	return !failed || e.Class == Rejected || e.Class == ContractNotFound
}
