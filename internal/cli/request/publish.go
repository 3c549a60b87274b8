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
)

// publisher sends the requests of an input to a topic.
type publisher struct {
	in       *input
	topic    string
	maxBytes int // of a message, by the topic's configuration; 0: not known
	way      way
	pace     *rate.Limiter // nil: no limit
	skipping bool
	ids      []string // of what was sent, where that was made from flags

	sent     atomic.Int64
	acked    atomic.Int64
	failing  atomic.Pointer[error] // why it last failed to write, or to read answers
	lastLine int                   // of the input, on which the last request began that was sent
	skipped  badLines
}

// way is how requests get into the topic: written only, or asked, with their answers awaited.
type way interface {
	send(ctx context.Context, e *entry) error
	close(ctx context.Context) // waits for acknowledgements until ctx ends
}

// writing sends requests without waiting for answers.
type writing struct {
	producer *producer.Producer
	topic    string
	ack      producer.Ack
}

func (w writing) send(ctx context.Context, e *entry) error {
	if err := w.producer.Write(ctx, w.topic, producer.Keyed, e.Message, w.ack); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (w writing) close(ctx context.Context) {
	_ = w.producer.Close(ctx) // what was not acknowledged shows in the counts
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
	reading, stop := context.WithCancel(ctx)
	defer stop()
	reads := readAhead(reading, b.in)
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
				b.skipped.add(b.inputError(bad))
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

func (b *publisher) send(ctx context.Context, e *entry) error {
	if b.pace != nil {
		if err := b.pace.Wait(ctx); err != nil {
			return context.Cause(ctx)
		}
	}
	if err := b.way.send(ctx, e); err != nil {
		return err
	}
	b.sent.Add(1)
	b.lastLine = e.line
	if e.line == 0 && e.id != "" {
		b.ids = append(b.ids, e.id)
	}
	return nil
}

// flush waits for what was sent to be acknowledged: as long as it takes, or for a moment when ctx has ended.
func (b *publisher) flush(ctx context.Context) {
	closing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(flushTimeout, cancel) })
	defer stop()
	b.way.close(closing)
}

// skippedError lists the requests that were left out.
func (b *publisher) skippedError() error {
	return b.skipped.error(was(b.skipped.count, "line") + " not valid and left out")
}

// was is like "1 line was" or "2 lines were".
func was(n int64, noun string) string {
	if n == 1 {
		return term.Count(n, noun) + " was"
	}
	return term.Count(n, noun) + " were"
}
