package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

const patience = 90 * time.Second

// batch preloads requests, starts the program and measures from the first result to the last.
func (b *bench) batch(ctx context.Context) error {
	if err := b.preload(ctx); err != nil {
		return err
	}
	began := time.Now()
	cmd, err := b.start()
	if err != nil {
		return err
	}
	a := newAnswers(b.n)
	if err := b.collect(ctx, a, b.n, patience); err != nil {
		return err
	}
	u, err := usageOf(cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := stop(cmd); err != nil {
		return err
	}
	took := a.last.Sub(a.first)
	fmt.Printf("batch  n=%d latency=%v in-flight=%d  %.0f/s  cpu %.1f us/record  peak RSS %v  first result %.2fs  calls in flight at most %d  connections %d  calls per 1000 requests %.0f  dead %d  repeated %d  out of order %d\n",
		b.n, b.latency, b.inFlight, float64(b.n)/took.Seconds(), float64(u.cpu.Microseconds())/float64(b.n), u,
		a.first.Sub(began).Seconds(), b.sim.Simulator().Stats().MaxInFlight, b.sim.Simulator().Stats().Connections, b.callsPer1000(b.n), a.dead, a.repeated, a.disorder)
	return nil
}

func (b *bench) callsPer1000(requests int) float64 {
	return float64(b.sim.Simulator().Stats().Calls) * 1000 / float64(requests)
}

// pace sends requests at a fixed rate, whatever comes back, and measures from the time a request was due to its result.
func (b *bench) pace(ctx context.Context) error {
	cmd, err := b.start()
	if err != nil {
		return err
	}
	const warmUp = 500
	total := warmUp + int(b.duration.Seconds()*float64(b.rate))
	a := newAnswers(total)
	go func() {
		due := time.Now().Add(2 * time.Second) // the program joins its group meanwhile
		for i := range total {
			time.Sleep(time.Until(due))
			b.client.Produce(ctx, b.request(i, due), nil)
			due = due.Add(time.Second / time.Duration(b.rate))
		}
	}()
	if err := b.collect(ctx, a, total, patience); err != nil {
		return err
	}
	u, err := usageOf(cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := stop(cmd); err != nil {
		return err
	}
	l := a.latencies[min(warmUp, len(a.latencies)-1):]
	slices.Sort(l)
	at := func(q float64) float64 { return float64(l[int(q*float64(len(l)-1))].Microseconds()) / 1000 }
	fmt.Printf("rate   %d/s latency=%v  p50 %.2f ms  p90 %.2f  p99 %.2f  max %.2f  cpu %.0f us/record  peak RSS %v  calls per 1000 requests %.0f  dead %d  repeated %d  out of order %d\n",
		b.rate, b.latency, at(.5), at(.9), at(.99), at(1), float64(u.cpu.Microseconds())/float64(total), u, b.callsPer1000(total), a.dead, a.repeated, a.disorder)
	return nil
}

// kill ends the program with SIGKILL in full flight, starts it again and counts what came twice.
func (b *bench) kill(ctx context.Context) error {
	if err := b.preload(ctx); err != nil {
		return err
	}
	cmd, err := b.start()
	if err != nil {
		return err
	}
	a := newAnswers(b.n)
	if err := b.collect(ctx, a, 1, patience); err != nil {
		return err
	}
	dead := make(chan error, 1)
	var second *exec.Cmd
	time.AfterFunc(b.killAfter, func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait() // it was killed, so it says so
		var err error
		second, err = b.start()
		dead <- err
	})
	if err := b.collect(ctx, a, b.n, patience); err != nil {
		return err
	}
	if err := <-dead; err != nil {
		return err
	}
	before := a.distinct
	_ = b.collect(ctx, a, b.n+1, 3*time.Second) // late repetitions; it ends by finding none
	if err := stop(second); err != nil {
		return err
	}
	fmt.Printf("kill   n=%d latency=%v  killed after %v  lost %d  repeated %d  dead %d  out of order %d\n",
		b.n, b.latency, b.killAfter, b.n-before, a.repeated, a.dead, a.disorder)
	return nil
}

func stop(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the program ended badly: %w", err)
	}
	return nil
}
