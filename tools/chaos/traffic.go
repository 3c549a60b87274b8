package main

import (
	"context"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// sampling is the time between two samples.
const sampling = 100 * time.Millisecond

// watch takes samples until ctx ends, and none while the brokers do not answer.
func (w *collector) watch(ctx context.Context) {
	for wait.Sleep(ctx, sampling) {
		_, _ = w.sample(ctx) // the next one may work
	}
}

// drained waits until everything is committed.
func (w *collector) drained(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		s, err := w.sample(ctx)
		if err == nil {
			var open int64
			if open, err = w.pending(ctx, s.committed); err == nil && open == 0 {
				return nil
			} else if err == nil {
				err = fmt.Errorf("%d requests are not committed", open)
			}
		}
		if !wait.Sleep(ctx, sampling) {
			return fmt.Errorf("after %v: %w", within, err)
		}
	}
}

// pending counts the requests that are not committed, and the offsets that are and have no request.
func (w *collector) pending(ctx context.Context, committed map[int32]int64) (open int64, err error) {
	ends, err := w.ends(ctx, readUncommitted, w.topics.requests)
	for partition, end := range ends[w.topics.requests] {
		open += max(end-committed[partition], committed[partition]-end) // a log may end below what is committed
	}
	return open, err
}
