package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/wait"
)

const (
	timeout   = 90 * time.Second
	warmUp    = 500                  // requests that are paced and not counted
	lookEvery = 2 * time.Millisecond // at the simulator, until it is called
)

// batch preloads requests, starts the program and measures from the first call to the last result. From the first
// result on would flatter transactions: a good part of the work may be done before the first of them is committed.
func (b *bench) batch(ctx context.Context, w io.Writer) (figures, error) {
	if err := b.preload(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	program, err := b.start()
	if err != nil {
		return nil, err
	}
	a, asked := newAnswers(), make(chan time.Time, 1)
	go func() {
		for b.sim.Simulator().Stats().Calls == 0 && wait.Sleep(ctx, lookEvery) {
		}
		asked <- time.Now()
	}()
	if err := b.collect(ctx, a, b.n, timeout); err != nil {
		return nil, err
	}
	u, err := usageOf(program.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := program.stop(); err != nil {
		return nil, err
	}
	perSecond := float64(b.n) / a.last.Sub(<-asked).Seconds()
	cpu := float64(u.cpu.Microseconds()) / float64(b.n)
	stats := b.sim.Simulator().Stats()
	_, err = fmt.Fprintf(w,
		"batch  n=%d latency=%v in-flight=%d  %.0f/s  cpu %.1f us/record  peak RSS %v  first result %.2fs  "+
			"calls in flight at most %d  connections %d  calls per 1000 requests %.0f  %v\n",
		b.n, b.latency, b.inFlight, perSecond, cpu, u, a.first.Sub(began).Seconds(),
		stats.MaxInFlight, stats.Connections, b.callsPer1000(b.n), a)
	return figures{{"requests/s", perSecond}, {"CPU, us/request", cpu}}, err
}

func (b *bench) callsPer1000(requests int) float64 {
	return float64(b.sim.Simulator().Stats().Calls) * 1000 / float64(requests)
}

// pace sends requests at a fixed rate, whatever comes back, and measures from the time a request was due to the time
// its result could be read by a reader of committed records.
func (b *bench) pace(ctx context.Context, w io.Writer) (figures, error) {
	program, err := b.start()
	if err != nil {
		return nil, err
	}
	total := warmUp + int(b.duration.Seconds()*float64(b.rate))
	a := newAnswers()
	for _, span := range [][2]int{{0, warmUp}, {warmUp, total}} { // the program joins its group during the first
		go b.send(ctx, b.rate, span[0], span[1], b.request)
		if err := b.collect(ctx, a, span[1], timeout); err != nil {
			return nil, err
		}
	}
	u, err := usageOf(program.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := program.stop(); err != nil {
		return nil, err
	}
	l := a.latencies[min(warmUp, len(a.latencies)-1):]
	slices.Sort(l)
	at := func(q float64) float64 { return float64(l[int(q*float64(len(l)-1))].Microseconds()) / 1000 }
	cpu := float64(u.cpu.Microseconds()) / float64(total)
	_, err = fmt.Fprintf(w,
		"rate   %d/s latency=%v  p50 %.2f ms  p90 %.2f  p99 %.2f  max %.2f  cpu %.0f us/record  peak RSS %v  "+
			"calls per 1000 requests %.0f  %v\n",
		b.rate, b.latency, at(.5), at(.9), at(.99), at(1), cpu, u, b.callsPer1000(total), a)
	return figures{{"p50, ms", at(.5)}, {"p99, ms", at(.99)}, {"CPU, us/request", cpu}}, err
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
