package request

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/kafkawire"
)

// maxUnanswered bounds the memory of --wait: with so many unanswered requests, publishing pauses until answers come.
const maxUnanswered = 10_000

// errNoAnswers ends the publishing when no answers come.
var errNoAnswers = errors.New("no answers come: publishing was stopped; is balanceq running (balanceq doctor)?")

// asking publishes requests, and shows and counts what becomes of each.
type asking struct {
	client  *client.Client
	timeout time.Duration // of a request, from its acknowledgement on
	size    int64
	room    *semaphore.Weighted // one unit for each unanswered request
	show    func(a *answers.Answer, took time.Duration, id string) error
	stop    context.CancelCauseFunc // ends all of it, when answers cannot be shown

	mu    sync.Mutex // also: one answer is shown at a time
	tally tally
}

// tally counts what became of the requests.
type tally struct{ complete, partial, deadLettered, unanswered int64 }

func (t tally) answers() int64 { return t.complete + t.partial + t.deadLettered }

// openClient reads the answers to all that it will send.
func openClient(ctx context.Context, c *command.Call, settings kafkawire.Settings,
	obs client.Observer) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, command.ReachTimeout)
	defer cancel()
	topics := c.Config.Topics
	cfg := client.Config{
		Brokers: settings.Brokers, ClientID: settings.ClientID, SASL: settings.SASL,
		Requests: topics.Requests, Results: topics.Results, DeadLetters: topics.DeadLetters,
		MaxWaiting: maxUnanswered, BufferBytes: int(c.Config.Producer.BufferBytes), Observer: obs,
	}
	if settings.TLS != nil {
		cfg.TLS = settings.TLS()
	}
	asks, err := client.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("the topics cannot be read and written; try: balanceq topics check: %w", err)
	}
	return asks, nil
}

func newAsking(asks *client.Client, size int64, timeout time.Duration) *asking {
	return &asking{client: asks, timeout: timeout, size: size, room: semaphore.NewWeighted(size)}
}

// send waits while too many requests are unanswered. The answer may come until ctx ends.
func (a *asking) send(ctx context.Context, e *entry) error {
	if !a.room.TryAcquire(1) {
		before := a.counts().answers()
		if err := a.room.Acquire(ctx, 1); err != nil {
			return context.Cause(ctx)
		}
		// No answer while we waited: the room was made by requests that were given up.
		if a.counts().answers() == before {
			a.room.Release(1)
			return errNoAnswers
		}
	}
	sent := time.Now()
	ticket, err := a.client.SendEncoded(ctx, client.Encoded{Key: e.Message.Key, Value: e.Message.Value,
		Headers: e.Message.Headers, ID: e.id})
	if err != nil {
		a.room.Release(1)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	go func() {
		defer a.room.Release(1) // after counting: send looks at the count
		a.await(ctx, ticket, sent)
	}()
	return nil
}

// await shows and counts what becomes of a request.
func (a *asking) await(ctx context.Context, ticket *client.Ticket, sent time.Time) {
	got, err := a.answer(ctx, ticket)
	ticket.Forget() // an answer that comes too late counts for no other request with its id
	a.mu.Lock()
	defer a.mu.Unlock()
	var answer *answers.Answer
	refused, isRefused := errors.AsType[*client.RefusedError](err)
	switch {
	case isRefused:
		a.tally.deadLettered++
		answer = answers.OfLetter(deadletter.Read(refused.DeadLetter))
	case err != nil:
		a.tally.unanswered++
		return
	default:
		answer = answers.OfResult(&got.Result, got.JSON)
		if len(got.Result.MissingBalanceCodes) > 0 {
			a.tally.partial++
		} else {
			a.tally.complete++
		}
	}
	if err := a.show(answer, time.Since(sent), ticket.ID()); err != nil {
		a.stop(err)
	}
}

// answer waits until the request's time is over, which begins when Kafka acknowledges it.
func (a *asking) answer(ctx context.Context, ticket *client.Ticket) (*client.Answer, error) {
	for {
		began := ticket.Acknowledged()
		if began.IsZero() {
			began = time.Now()
		}
		limited, cancel := context.WithDeadline(ctx, began.Add(a.timeout))
		got, err := ticket.Wait(limited)
		cancel()
		_, unknown := errors.AsType[*client.UnknownError](err)
		acked := ticket.Acknowledged()
		if !unknown || ctx.Err() != nil || !acked.IsZero() && time.Since(acked) >= a.timeout {
			return got, err
		}
	}
}

// wait returns when no request is unanswered any more: each has its answer or was given up, also where ctx has ended.
func (a *asking) wait() {
	_ = a.room.Acquire(context.Background(), a.size) // it cannot fail
	a.room.Release(a.size)
}

// close waits for what was sent to be acknowledged, or for ctx to end.
func (a *asking) close(ctx context.Context) { _ = a.client.Close(ctx) } // what was not acknowledged shows in the counts

func (a *asking) counts() tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tally
}
