package cmsclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// attempted is what came of one of the attempts of a hedged call.
type attempted struct {
	answer Answer
	err    error
	panic  any
}

// hedged makes an attempt and, when that has no answer after HedgeAfter, another one beside it, if the budget has one
// to spare and no caller waits. The first answer counts and the other attempt is called off; it returns when both have
// ended. Both were sent after the question, so neither answer is older than it.
func (c *Client) hedged(ctx context.Context, p permit, q Query) (Answer, error) {
	both, callOff := context.WithCancel(ctx)
	results := make(chan attempted, 2) // room for both, so that no attempt has to be waited for to report
	start := func(p permit) {
		go func() {
			var a attempted
			defer func() {
				a.panic = recover()
				results <- a
			}()
			a.answer, a.err = c.once(both, p, q)
		}()
	}
	start(p)
	running := 1
	timer := time.NewTimer(c.cfg.HedgeAfter)
	defer timer.Stop()
	var last attempted
	defer func() {
		callOff()
		for range running {
			<-results
		}
	}()
	for running > 0 {
		select {
		case <-timer.C:
			if second, ok := c.admission.tryHedge(); ok {
				start(second)
				running++
			}
			continue
		case last = <-results:
			running--
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

// isFinal reports whether the other attempt could say nothing better.
func isFinal(err error) bool {
	e, failed := errors.AsType[*Error](err)
	return !failed || e.Class == Rejected || e.Class == ContractNotFound
}
