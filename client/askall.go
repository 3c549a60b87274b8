package client

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// AskAll asks for each of a sequence of requests, and yields the answers as they come: in any order, each with its
// request. An error is that of one request, as Ask has it; the answer beside it has nothing but the request.
//
// requests is iterated on another goroutine, as fast as answers are taken: at most Config.MaxWaiting are under way or
// not taken yet. When ctx ends, no more are sent, and each of those under way is yielded with its *UnknownError. A loop
// that is left early ends when requests has given its next one, and gives up what is under way.
func (c *Client) AskAll(ctx context.Context, requests iter.Seq[Request]) iter.Seq2[*Answer, error] {
	return func(yield func(*Answer, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		outcomes := make(chan outcome)
		go c.askEach(ctx, requests, outcomes)
		for o := range outcomes {
			if yield(o.answer, o.err) {
				continue
			}
			stop()
			for o := range outcomes {
				if unknown, ok := errors.AsType[*UnknownError](o.err); ok {
					unknown.Ticket.Forget()
				}
			}
		}
	}
}

type outcome struct {
	answer *Answer
	err    error
}

// askEach closes outcomes when all that was sent has its outcome. A reader has to read them all.
func (c *Client) askEach(ctx context.Context, requests iter.Seq[Request], outcomes chan<- outcome) {
	defer close(outcomes)
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, c.cfg.MaxWaiting)
	for r := range requests {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
		t, err := c.Send(ctx, r)
		wg.Go(func() {
			o := outcome{err: err}
			if err == nil {
				o.answer, o.err = t.Wait(ctx)
			}
			if o.answer == nil {
				o.answer = &Answer{Request: r}
			}
			outcomes <- o
			<-places
		})
	}
}
