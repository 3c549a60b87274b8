package e2e

import (
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// SIGTERM while calls are under way and more is started: that is finished and committed, so the next instance repeats
// nothing.
func TestStopsInMidFlight(t *testing.T) {
	kafkatest.OnlyOnce(t, "when the program stops")
	t.Parallel()
	r := newRig(t, 3, cmssim.Config{Latency: 100 * time.Millisecond, Jitter: 80 * time.Millisecond})
	for range 3 {
		r.Send(asks(600, 300, 2000)...)
		in := r.StartReady("--cms.max-in-flight=16", "--consumer.run-ahead=64", "--cms.coalesce=false")
		r.AwaitWritten(r.results, r.written(r.results)+50)
		in.eventually("calls are under way", func() bool { h, _ := in.Health(); return h.InFlight > 0 })
		in.Stop()
		if !slices.ContainsFunc(in.Logs("stopped"), func(l logLine) bool { return l.text("message") == "stopped" }) {
			t.Error("the instance did not say that it stopped")
		}
	}
	if n := r.written(r.results); n >= int64(len(r.sent)) {
		t.Fatalf("all %d requests were answered before the last stop", n)
	}
	r.sim.SetLatency(0, 0)
	r.StartReady()
	r.AwaitCommitted()
	r.Ledger().WantExactlyOnce()
}

// During an outage nothing can be finished: the instance gives what it has back, within its budget.
func TestStopsDuringOutage(t *testing.T) {
	t.Parallel()
	faults := map[string]cmssim.Fault{
		"refused": {Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable},
		"hanging": {Effect: cmssim.EffectHang},
		"halted":  {Effect: cmssim.EffectStatus, Status: http.StatusUnauthorized},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{})
			r.sim.AddFault(fault)
			r.Send(asks(200, 50, 3000)...)
			const budget = 20 * time.Second
			in := r.StartReady("--cms.timeout=3s", "--shutdown.timeout="+budget.String())
			in.eventually("calls were made", func() bool { return r.sim.Stats().Calls > 0 })
			if took := in.Stop(); took > budget {
				t.Errorf("stopping took %v, more than shutdown.timeout", took)
			}
			if n := r.written(r.deadletters); n != 0 {
				t.Errorf("%d dead letters in an outage", n)
			}
			r.sim.ClearFaults()
			r.StartReady()
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			l.WantNoDeadLetters()
		})
	}
}

// A second signal does not wait for anything.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectHang})
	r.Send(asks(10, 10, 4000)...)
	const hang = 10 * time.Minute
	in := r.StartReady("--cms.timeout="+hang.String(), "--cms.breaker.window=30m", "--shutdown.timeout=20m",
		"--kafka.rebalance-timeout=40m")
	in.eventually("calls hang", func() bool { return r.sim.Stats().InFlight > 0 })
	in.signal(syscall.SIGTERM)
	in.eventually("the first signal drains", func() bool {
		return len(
			in.Logs("stopping: finishing what was started")) > 0
	})
	in.signal(syscall.SIGTERM)
	state := in.wait(waitTimeout)
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, not by the second signal", state)
	}
}
