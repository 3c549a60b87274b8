package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// outputs are the outcomes in topics that were deleted, and, in the end, all others.
type outputs struct {
	kept   []outcome
	wrong  []string
	before map[target]int64 // records that a partition had in deleted topics; guarded by publisher.mu
}

// quietWithin is how long it may take until all requests are answered; a fault that needs it is left out otherwise.
const quietWithin = 15 * time.Second

// length is the end of a partition of outcomes, with what it had in topics that were deleted.
func (w *collector) length(at target, end int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.before[at] + end
}

// keep reads the outcomes of a topic. Their offsets go on behind those of the topics of that name that were deleted.
func (w *collector) keep(ctx context.Context, topic string, ends map[int32]int64) error {
	dead := topic == w.topics.deadletters
	wrong, err := w.each(ctx, topic, ends, func(r stored) error {
		o, err := readOutcome(r, dead)
		if err == nil {
			o.offset = w.length(target{dead, o.partition}, o.offset)
			w.kept = append(w.kept, o)
		}
		return err
	})
	w.wrong = append(w.wrong, wrong...)
	return err
}

// recreateOutputs deletes a topic of outcomes and creates it again after a time. It is read before that: while no
// request is open, and no transaction either, nothing is written to it that would go unread. Publishers have to wait
// meanwhile.
func (w *collector) recreateOutputs(ctx context.Context, topic string, after time.Duration) error {
	quiet, cancel := context.WithTimeout(ctx, quietWithin)
	defer cancel()
	ends, err := w.idle(quiet)
	if err != nil {
		return errors.Join(errLeftOut, err)
	}
	if err := w.keep(ctx, topic, ends[topic]); err != nil {
		return fmt.Errorf("reading %s: %w", topic, err)
	}
	w.mu.Lock()
	for partition, end := range ends[topic] {
		w.before[target{topic == w.topics.deadletters, partition}] += end
	}
	w.mu.Unlock()
	if err := w.remove(ctx, topic); err != nil {
		return err
	}
	wait.Sleep(ctx, after)
	if err := w.create(ctx, topic); err != nil {
		return err
	}
	w.serves(ctx)
	return nil
}

// idle waits until everything is answered and returns the ends of the topics of outcomes.
func (w *collector) idle(ctx context.Context) (map[string]map[int32]int64, error) {
	for {
		committed, err := w.committedOffsets(ctx)
		open := int64(1)
		if err == nil {
			open, err = w.pending(ctx, committed)
		}
		if err == nil && open == 0 {
			return w.quiesced(ctx, w.topics.results, w.topics.deadletters)
		}
		if !wait.Sleep(ctx, sampling) {
			return nil, fmt.Errorf("requests are not answered within %v: %w", quietWithin, errors.Join(ctx.Err(), err))
		}
	}
}
