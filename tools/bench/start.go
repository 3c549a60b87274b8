package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// burst is how many requests are under way or wait when the program is told to stop, in seconds of all its calls.
const burst = 2

// startStop starts and stops the program again and again: from exec to when the result of a request that waits for it
// can be read, and from SIGTERM under full load to its exit. Each start is that of a group whose former member has
// left.
func (b *bench) startStop(ctx context.Context, w io.Writer) (figures, error) {
	var starts, stops []float64
	perSecond := float64(b.inFlight) / max(b.latency, time.Millisecond).Seconds()
	load := min(b.n, int(burst*perSecond)) // publishFrom changes n
	next := 0
	for round := range 1 + b.rounds { // the first one makes the group and the producer's connections, and does not count
		a := newAnswers()
		if err := b.publishFrom(ctx, next, 1); err != nil {
			return nil, err
		}
		next++
		began := time.Now()
		program, err := b.start()
		if err != nil {
			return nil, err
		}
		if err := b.collect(ctx, a, 1, timeout); err != nil {
			return nil, err
		}
		took := a.first.Sub(began)
		if err := b.publishFrom(ctx, next, load); err != nil {
			return nil, err
		}
		next += load
		if err := b.collect(ctx, a, 1+load/4, timeout); err != nil {
			return nil, err
		}
		began = time.Now()
		if err := program.stop(); err != nil {
			return nil, err
		}
		ended := time.Since(began)
		if round > 0 {
			starts, stops = append(starts, milliseconds(took)), append(stops, milliseconds(ended))
		}
		if err := b.finishRest(ctx, a, 1+load); err != nil {
			return nil, err
		}
	}
	_, err := fmt.Fprintf(w, "start  latency=%v in-flight=%d %s  first result after %.0f ms (%.0f to %.0f)  "+
		"SIGTERM to exit %.0f ms (%.0f to %.0f), of %d\n", b.latency, b.inFlight, b.delivery, median(starts),
		slices.Min(starts), slices.Max(starts), median(stops), slices.Min(stops), slices.Max(stops), b.rounds)
	return figures{{"first result, ms", median(starts)}, {"SIGTERM to exit, ms", median(stops)}}, err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// finishRest has an instance that is not measured answer what is left, so that the next start finds its one request.
func (b *bench) finishRest(ctx context.Context, a *answers, n int) error {
	program, err := b.start()
	if err != nil {
		return err
	}
	if err := b.collect(ctx, a, n, timeout); err != nil {
		return err
	}
	return program.stop()
}

// publishFrom publishes n requests from a number on.
func (b *bench) publishFrom(ctx context.Context, from, n int) error {
	b.n = n
	return b.publish(ctx, func(i int, at time.Time) *kgo.Record { return b.request(from+i, at) })
}
