package request

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/producer"
)

const (
	publishTimeout = 30 * time.Second // without any acknowledgement, before publishing is given up
	flushTimeout   = 5 * time.Second  // for what is under way when publishing was interrupted
	batchOverhead  = 256              // bytes that a batch and its one record add to key, value and headers, generously
	listedSkips    = 20               // skipped lines that are listed at the end; the others are only counted
)

// publisher sends the requests of an input to a topic.
type publisher struct {
	in       *input
	topic    string
	maxBytes int // of a message, by the topic's configuration; 0: not known
	producer *producer.Producer
	pace     *rate.Limiter // nil: no limit
	tracker  *tracker      // nil: answers are not waited for
	skipping bool

	sent    atomic.Int64
	acked   atomic.Int64
	skipped int64
	skips   []error // the first of them
}

// Acknowledged counts a request that is in the topic.
func (b *publisher) Acknowledged() { b.acked.Add(1) }

// read is what a source gave.
type read struct {
	entry entry
	err   error
}

// readAhead runs the source on a goroutine of its own, which also closes the input: a read that blocks (on a terminal
// or a pipe) cannot hold up Ctrl-C. The channel is closed at the end of the input, or when ctx ends.
func readAhead(ctx context.Context, in *input) <-chan read {
	reads := make(chan read, 16)
	go func() {
		defer close(reads)
		defer func() { _ = in.close() }() // it was only read from
		for {
			e, err := in.next()
			if errors.Is(err, io.EOF) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case reads <- read{e, err}:
			}
			if _, goOn := errors.AsType[*BadRequestError](err); err != nil && !goOn {
				return
			}
		}
	}()
	return reads
}

// publish sends everything, until the first request that is not valid (unless those are skipped) or the end of ctx.
func (b *publisher) publish(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reads := readAhead(ctx, b.in)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r, ok := <-reads:
			if !ok {
				return context.Cause(ctx)
			}
			if r.err == nil {
				r.err = b.checkSize(&r.entry)
			}
			bad, isBad := errors.AsType[*BadRequestError](r.err)
			switch {
			case isBad && b.skipping:
				b.skip(bad)
			case r.err != nil:
				return b.inputError(r.err)
			default:
				if err := b.send(ctx, &r.entry); err != nil {
					return err
				}
			}
		}
	}
}

// inputError says where the input comes from.
func (b *publisher) inputError(err error) error {
	if b.in.name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", b.in.name, err)
}

// checkSize refuses what the topic would not take: the producer would try it for ever.
func (b *publisher) checkSize(e *entry) error {
	size := len(e.Message.Key) + len(e.Message.Value) + batchOverhead
	for _, h := range e.Message.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if b.maxBytes > 0 && size > b.maxBytes {
		return &BadRequestError{e.where, fmt.Sprintf("has %d bytes, and topic %s takes messages of at most %d", size, b.topic,
			b.maxBytes)}
	}
	return nil
}

func (b *publisher) skip(bad *BadRequestError) {
	b.skipped++
	if len(b.skips) < listedSkips {
		b.skips = append(b.skips, b.inputError(bad))
	}
}

func (b *publisher) send(ctx context.Context, e *entry) error {
	if b.pace != nil {
		if err := b.pace.Wait(ctx); err != nil {
			return context.Cause(ctx)
		}
	}
	if b.tracker == nil {
		if err := b.producer.Write(ctx, b.topic, producer.Keyed, e.Message, b); err != nil {
			return context.Cause(ctx)
		}
		b.sent.Add(1)
		return nil
	}
	w, err := b.tracker.expect(ctx, e.id, b.Acknowledged)
	if err != nil {
		return err
	}
	if err := b.producer.Write(ctx, b.topic, producer.Keyed, e.Message, w); err != nil {
		b.tracker.cancel(w)
		return context.Cause(ctx)
	}
	b.sent.Add(1)
	return nil
}

// flush waits for what was sent to be acknowledged: as long as it takes, or for a moment when ctx has ended.
func (b *publisher) flush(ctx context.Context) {
	closing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(flushTimeout, cancel) })
	defer stop()
	_ = b.producer.Close(closing) // what was not acknowledged shows in the counts
}

// skippedError lists the requests that were left out.
func (b *publisher) skippedError() error {
	if b.skipped == 0 {
		return nil
	}
	all := []error{fmt.Errorf("%s not valid and left out", was(b.skipped, "line"))}
	all = append(all, b.skips...)
	if more := b.skipped - int64(len(b.skips)); more > 0 {
		all = append(all, fmt.Errorf("… and %d more", more))
	}
	return errors.Join(all...)
}

// was is like "1 line was" or "2 lines were".
func was(n int64, noun string) string {
	if n == 1 {
		return term.Count(n, noun) + " was"
	}
	return term.Count(n, noun) + " were"
}
