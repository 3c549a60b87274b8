package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// publish sends n requests, evenly over a time, whatever becomes of them, and goes on at that rate until enough is closed. It
// returns how many were acknowledged once all are.
func (w *witness) publish(ctx context.Context, n, contracts int, over time.Duration, enough <-chan struct{}) (int, error) {
	var mu sync.Mutex
	acknowledged, failed := 0, error(nil)
	began := time.Now()
	for seq := 0; ; seq++ {
		if seq >= n && closed(enough) {
			break
		}
		if due := time.Until(began.Add(over * time.Duration(seq) / time.Duration(n))); due > 0 && !pause(ctx, due) {
			return acknowledged, ctx.Err()
		}
		r := newRequest(seq, contracts)
		r.Topic = w.topics.requests
		w.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			acknowledged++
		})
	}
	err := w.client.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	if err = errors.Join(err, failed); err != nil {
		return acknowledged, fmt.Errorf("publishing requests: %w", err)
	}
	return acknowledged, nil
}

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
func (w *witness) watch(ctx context.Context) {
	for pause(ctx, sampling) {
		_, _ = w.sample(ctx) // the next one may work
	}
}

// drained waits until everything is committed.
func (w *witness) drained(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		s, err := w.sample(ctx)
		if err == nil {
			var ends map[string]map[int32]int64
			if ends, err = w.ends(ctx, readUncommitted, w.topics.requests); err == nil {
				open := int64(0)
				for partition, end := range ends[w.topics.requests] {
					open += end - s.committed[partition]
				}
				if open == 0 {
					return nil
				}
				err = fmt.Errorf("%d requests are not committed", open)
			}
		}
		if !pause(ctx, sampling) {
			return fmt.Errorf("after %v: %w", within, err)
		}
	}
}
