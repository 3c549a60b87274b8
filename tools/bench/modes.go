package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/wait"
)

const (
	timeout   = 90 * time.Second
	warmUp    = 500                    // requests that are paced and not counted
	gathering = 5 * time.Millisecond   // answers, where the end of seconds of work is looked for
	lateness  = 300 * time.Millisecond // of repetitions that are looked for
	peerLimit = time.Second            // for a peer to end by itself
	lookEvery = 2 * time.Millisecond   // at the CMS, until it is called
)

// batch preloads requests, starts the program and measures from the first call to the last result. From the first
// result on would flatter transactions: a good part of the work may be done before the first of them is committed.
func (b *bench) batch(ctx context.Context, w io.Writer) (t taken, err error) {
	b.gather = gathering
	if err := b.preload(ctx); err != nil {
		return t, err
	}
	watch, err := startWatch()
	if err != nil {
		return t, err
	}
	program, err := b.start()
	if err != nil {
		return t, err
	}
	a, asked := newAnswers(), make(chan time.Time, 1)
	go func() {
		for b.cms.Stats().Calls == 0 && wait.Sleep(ctx, lookEvery) {
		}
		asked <- time.Now()
	}()
	if err := b.await(ctx, a, b.n); err != nil {
		return t, err
	}
	t, err = b.take(ctx, program, watch, a, b.n)
	if err != nil {
		return t, err
	}
	t.PerSecond = float64(a.distinct+a.dead) / a.last.Sub(<-asked).Seconds()
	_, err = fmt.Fprintf(w,
		"batch  n=%d latency=%v in-flight=%d  %.0f/s  cpu %.1f us/record (harness %.1f)  peak RSS %.0f MB  "+
			"first result %.2fs  calls in flight at most %d  connections %d  calls per 1000 requests %.0f  %v\n",
		b.n, b.latency, b.inFlight, t.PerSecond, t.CPU, t.Harness, t.PeakRSS, t.First,
		t.InFlight, t.Connections, b.callsPer1000(b.n), a)
	return t, err
}

// await collects answers. Of a peer, some may be missing: its row tells.
func (b *bench) await(ctx context.Context, a *answers, n int) error {
	err := b.collect(ctx, a, n, timeout)
	if b.peer.name != "" && errors.Is(err, errQuiet) {
		return nil
	}
	return err
}

// take ends the program and notes what it and others have used for so many requests. Answers that come after the last
// one that was awaited are repeated.
func (b *bench) take(ctx context.Context, program *instance, watch watch, a *answers,
	requests int) (t taken, err error) {
	u, err := usageOf(program.cmd.Process.Pid)
	if err != nil {
		return t, err
	}
	noise, err := watch.noise(u.cpu)
	if err != nil {
		return t, err
	}
	each := func(cpu time.Duration) float64 { return float64(cpu.Microseconds()) / float64(requests) }
	stats := b.cms.Stats()
	t = taken{
		CPU: each(u.cpu), Harness: each(ownCPU() - watch.own), PeakRSS: float64(u.peakRSS) / (1 << 20), Noise: noise,
		First: a.first.Sub(watch.began).Seconds(), InFlight: stats.MaxInFlight, Connections: stats.Connections,
	}
	if err := b.end(program); err != nil {
		return t, err
	}
	last := a.last
	_ = b.collect(ctx, a, requests+1, lateness) // it ends by finding none
	a.last = last
	t.Lost, t.Repeated, t.Disorder, t.DeadLetters = requests-a.distinct-a.dead, a.repeated(), a.disorder(), a.dead
	return t, nil
}

// end ends the program. A peer may take its time, which is not measured.
func (b *bench) end(program *instance) error {
	if b.peer.name == "" || b.peer.name == self {
		return program.stop()
	}
	program.asked.Store(true)
	_ = program.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(peerLimit)
	defer limit.Stop()
	select {
	case <-program.exited:
	case <-limit.C:
		program.kill()
	}
	return nil
}

func (b *bench) callsPer1000(requests int) float64 {
	return float64(b.cms.Stats().Calls) * 1000 / float64(requests)
}

// pace sends requests at a fixed rate, whatever comes back, and measures from the time a request was due to the time
// its result could be read by a reader of committed records.
func (b *bench) pace(ctx context.Context, w io.Writer) (t taken, err error) {
	watch, err := startWatch()
	if err != nil {
		return t, err
	}
	program, err := b.start()
	if err != nil {
		return t, err
	}
	total := warmUp + int(b.duration.Seconds()*float64(b.rate))
	a := newAnswers()
	for _, span := range [][2]int{{0, warmUp}, {warmUp, total}} { // the program joins its group during the first
		go b.send(ctx, b.rate, span[0], span[1], b.request)
		if err := b.await(ctx, a, span[1]); err != nil {
			return t, err
		}
	}
	t, err = b.take(ctx, program, watch, a, total)
	if err != nil {
		return t, err
	}
	l := a.latencies[min(warmUp, len(a.latencies)-1):]
	slices.Sort(l)
	at := func(q float64) float64 { return float64(l[int(q*float64(len(l)-1))].Microseconds()) / 1000 }
	t.P50, t.P90, t.P99, t.Max = at(.5), at(.9), at(.99), at(1)
	_, err = fmt.Fprintf(w,
		"rate   %d/s latency=%v  p50 %.2f ms  p90 %.2f  p99 %.2f  max %.2f  cpu %.0f us/record  peak RSS %.0f MB  "+
			"calls per 1000 requests %.0f  %v\n",
		b.rate, b.latency, t.P50, t.P90, t.P99, t.Max, t.CPU, t.PeakRSS, b.callsPer1000(total), a)
	return t, err
}

// send publishes requests from one number up to another at a fixed rate, until ctx ends, and returns how many. One that
// cannot be written ends the measurement: a request that was not written would count as lost.
func (b *bench) send(ctx context.Context, rate, from, to int,
	request func(i int, due time.Time) *kgo.Record) (sent int) {
	written := func(_ *kgo.Record, err error) {
		if err != nil {
			b.fail(fmt.Errorf("publishing requests: %w", err))
		}
	}
	due := time.Now()
	for i := from; i < to && wait.Sleep(ctx, time.Until(due)); i++ {
		b.client.Produce(context.WithoutCancel(ctx), request(i, due), written)
		due, sent = due.Add(time.Second/time.Duration(rate)), sent+1
	}
	return sent
}

// kill ends the program with SIGKILL in full flight, starts it again and counts what came twice.
func (b *bench) kill(ctx context.Context, w io.Writer) error {
	if err := b.preload(ctx); err != nil {
		return err
	}
	first, err := b.start()
	if err != nil {
		return err
	}
	a := newAnswers()
	if err := b.collect(ctx, a, 1, timeout); err != nil {
		return err
	}
	type start struct {
		program *instance
		err     error
	}
	again := make(chan start, 1)
	time.AfterFunc(b.killAfter, func() {
		first.kill()
		second, err := b.start()
		again <- start{second, err}
	})
	if err := b.collect(ctx, a, b.n, timeout); err != nil {
		return err
	}
	second := <-again
	if second.err != nil {
		return second.err
	}
	before := a.distinct
	_ = b.collect(ctx, a, b.n+1, 3*time.Second) // late repetitions; it ends by finding none
	if err := second.program.stop(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "kill   n=%d latency=%v  killed after %v  lost %d  %v\n",
		b.n, b.latency, b.killAfter, b.n-before, a)
	return err
}
