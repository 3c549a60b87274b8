package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/wait"
)

const (
	sampling   = 50 * time.Millisecond // between two looks at the simulator's counter
	rateWindow = 10                    // samples of a rate
)

// down starts the program while the CMS is down and all requests wait, lets the CMS come back and watches how calls do.
func (b *bench) down(ctx context.Context, w io.Writer) error {
	if err := b.preload(ctx); err != nil {
		return err
	}
	sim := b.sim
	sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: 503})
	program, err := b.start()
	if err != nil {
		return err
	}
	if !wait.Sleep(ctx, b.outage) {
		return context.Cause(ctx)
	}
	during := sim.Stats().Calls
	sim.ClearFaults()
	samples, end := make(chan []int64, 1), make(chan struct{})
	go func() { samples <- sample(func() int64 { return sim.Stats().Calls }, end) }()
	a := newAnswers()
	if err := b.collect(ctx, a, b.n, timeout); err != nil {
		return err
	}
	close(end)
	calls := <-samples
	if err := program.stop(); err != nil {
		return err
	}
	firstSecond := calls[min(int(time.Second/sampling), len(calls)-1)] - during
	mostInASecond := most(calls, int(time.Second/sampling))
	full := most(calls, rateWindow)
	var fullAt time.Duration
	for i := range calls {
		if i >= rateWindow && float64(calls[i]-calls[i-rateWindow]) >= 0.9*float64(full) {
			fullAt = time.Duration(i-rateWindow) * sampling
			break
		}
	}
	answered := slices.IndexFunc(calls, func(n int64) bool { return n > during })
	_, err = fmt.Fprintf(w,
		"outage n=%d of %v  calls during it %d  first call after %v  calls in the first second after it %d  "+
			"in the first second after that call %d  full rate %.0f/s after %v  most in a second %d  all answered after %.1fs "+
			"%v\n",
		b.n, b.outage, during, time.Duration(answered)*sampling, firstSecond,
		calls[min(answered+int(time.Second/sampling), len(calls)-1)]-during,
		float64(full)/(float64(rateWindow)*sampling.Seconds()), fullAt, mostInASecond,
		(time.Duration(len(calls)) * sampling).Seconds(), a)
	return err
}

// sample notes a counter until end is closed.
func sample(counter func() int64, end <-chan struct{}) []int64 {
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	samples := []int64{counter()}
	for {
		select {
		case <-end:
			return samples
		case <-ticker.C:
			samples = append(samples, counter())
		}
	}
}

// most is the largest growth of a counter over so many samples.
func most(samples []int64, over int) int64 {
	largest := int64(0)
	for i := over; i < len(samples); i++ {
		largest = max(largest, samples[i]-samples[i-over])
	}
	return largest
}
