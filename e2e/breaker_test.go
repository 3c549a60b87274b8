package e2e

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

const reopened = `balanceq_breaker_transitions_total{from="half-open",to="open"}`

// Outages of every kind, under traffic: the breaker opens, no more is started than may run ahead, nothing is blamed on
// requests, and everything is answered once the CMS works again.
func TestBreakerBlamesNoRequest(t *testing.T) {
	kafkatest.OnlyOnce(t, "the circuit breaker")
	t.Parallel()
	outages := map[string]cmssim.Fault{
		"503":   {Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable},
		"reset": {Effect: cmssim.EffectReset},
		"hang":  {Effect: cmssim.EffectHang},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{Latency: 5 * time.Millisecond})
			r.Send(asks(100, 20, 6000)...)
			const runAhead = 64
			in := r.StartReady("--cms.timeout=500ms", "--cms.max-attempts=3", "--cms.backoff.initial=10ms",
				"--cms.backoff.max=50ms",
				"--cms.max-in-flight=32", "--consumer.run-ahead="+strconv.Itoa(runAhead))
			r.AwaitCommitted()

			r.sim.AddFault(outage)
			invalid := r.Send(append(asks(40, 20, 6000), kafka.Message{Value: []byte(`{"contractId":`)})...)[40]
			in.eventually("probes have failed", func() bool { return in.Metrics()[reopened] >= 2 })
			r.Send(asks(1000, 60, 6000)...)
			probes := in.Metrics()[reopened]
			in.eventually("more probes have failed", func() bool { return in.Metrics()[reopened] >= probes+3 })
			if got := in.Metrics().sum("balanceq_partition_open"); got > 5*runAhead { // what waits in lanes included
				t.Errorf("%v requests were started while no call is possible; consumer.run-ahead is %d", got, runAhead)
			}
			if h, status := in.Health(); status != http.StatusOK || h.Breaker == "closed" || h.Waiting != "breaker" ||
				h.Halted != "" {
				t.Errorf("/readyz is %d: %+v", status, h)
			}

			r.sim.ClearFaults()
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			if d := l.Dead(invalid); d.Reason != schemas.ReasonInvalidRequest || len(l.dead) != 1 {
				t.Errorf("%d dead letters; that of the invalid request says %s", len(l.dead), d.Reason)
			}
			in.eventually("the breaker is closed",
				func() bool { return in.Metrics()[`balanceq_breaker_state{state="closed"}`] == 1 })
			in.wantNoneStampedWhileOpen(l)
			in.Stop()
		})
	}
}

// While the breaker is open nothing is fetched: what comes stays in Kafka, where others can see it as lag.
func TestFetchingPausesWhileOpen(t *testing.T) {
	kafkatest.OnlyOnce(t, "the circuit breaker")
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable})
	in := r.StartReady("--cms.breaker.open-time=4s")
	r.Send(asks(10, 10, 6300)...)
	in.eventually("the breaker opens", func() bool { return in.Metrics()[`balanceq_breaker_state{state="open"}`] == 1 })
	openFor := func(d time.Duration) {
		in.eventually("the breaker is open for "+d.String(), func() bool {
			opened := in.Logged("the circuit breaker opened")
			return time.Since(opened[len(opened)-1].time()) > d
		})
	}
	openFor(500 * time.Millisecond) // a fetch that was on the wire has returned: it takes 250 ms at most
	r.Send(kafka.Message{Value: []byte("{")})
	r.Send(asks(100, 10, 6300)...)
	openFor(2 * time.Second)
	started, dead := in.Metrics().sum("balanceq_partition_open"), r.written(r.deadletters)
	if len(in.Logs("half-open")) > 0 {
		t.Skip("the machine is too slow for this: the breaker is not open any more")
	}
	if started > 10 {
		t.Errorf("%v requests are started, 100 of them while the breaker is open", started)
	}
	if dead != 0 {
		t.Errorf("%d dead letters while the breaker is open", dead)
	}
	r.sim.ClearFaults()
	r.AwaitCommitted()
	r.Ledger().WantExactlyOnce()
}

// Invalid records need no CMS, but a dead letter must never be stamped with a time at which the breaker was open: who
// looks for the victims of an outage would find them.
func TestInvalidRecordsWaitForTheBreaker(t *testing.T) {
	kafkatest.OnlyOnce(t, "the circuit breaker")
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{})
	in := r.StartReady("--cms.backoff.initial=5ms", "--cms.backoff.max=20ms", "--cms.timeout=500ms",
		"--cms.breaker.window=1s",
		"--cms.breaker.open-time=600ms", "--cms.breaker.max-open-time=600ms")
	for range 4 {
		r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusBadGateway, Count: 40})
		for range 5 {
			invalid := []kafka.Message{{Value: []byte("{")}, ask(6100, "AVAILABLE"), {Value: []byte("[]")}, {Value: nil},
				ask(6101, "DUE"), {}}
			r.Send(append(invalid, asks(20, 20, 6200)...)...)
		}
		r.AwaitCommitted()
	}
	l := r.Ledger()
	l.WantExactlyOnce()
	if len(l.dead) != 80 {
		t.Errorf("%d dead letters, want those of the 80 invalid records", len(l.dead))
	}
	in.wantNoneStampedWhileOpen(l)
}

// wantNoneStampedWhileOpen compares the dead letters' times (milliseconds) with the log's messages about the breaker.
func (in *instance) wantNoneStampedWhileOpen(l *ledger) {
	in.t.Helper()
	// The message is written after the change, and a dead letter after its look at the breaker, on a machine that may be
	// slow.
	const slack = 250 * time.Millisecond
	var opened time.Time
	periods := 0
	for _, line := range in.Logs("the circuit breaker") {
		if line.text("to") == "open" {
			opened = line.time()
			continue
		}
		if line.text("from") != "open" {
			continue
		}
		periods++
		for at, letters := range l.dead {
			for _, d := range letters {
				if d.msg.Time.After(opened.Add(slack)) && d.msg.Time.Before(line.time().Add(-slack)) {
					in.t.Errorf("dead letter of %v is stamped %v: the breaker was open from %v to %v", at, d.msg.Time, opened,
						line.time())
				}
			}
		}
	}
	if periods == 0 {
		in.t.Error("the log does not tell of an open breaker")
	}
}
