package main_test

import (
	"net/http"
	"testing"
	"time"

	"balanceq/cmssim"
	"balanceq/schemas"

	"github.com/segmentio/kafka-go"
)

// Outages of every kind, under traffic: the breaker opens, fetching pauses, nothing is blamed on requests, and everything
// is answered once the CMS works again.
func TestBreakerBlamesNoRequest(t *testing.T) {
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
			in := r.StartReady("--cms.timeout=500ms", "--cms.max-attempts=3", "--cms.backoff.initial=10ms", "--cms.backoff.max=50ms")
			r.AwaitCommitted()

			r.sim.AddFault(outage)
			r.Send(asks(40, 20, 6000)...)
			const opened = `balanceq_breaker_transitions_total{from="half-open",to="open"}`
			in.eventually("probes have failed", func() bool { return in.Metrics()[opened] >= 2 })

			// A fetch that was on the wire when the breaker opened has returned by now, so nothing new is started any more.
			started := in.Metrics().sum("balanceq_partition_open")
			invalid := r.Send(kafka.Message{Value: []byte(`{"contractId":`)})[0]
			r.Send(asks(500, 60, 6000)...)
			probes := in.Metrics()[opened]
			in.eventually("more probes have failed", func() bool { return in.Metrics()[opened] >= probes+2 })
			m := in.Metrics()
			if got := m.sum("balanceq_partition_open"); got > started || started > 40 {
				t.Errorf("%v requests are started while no call is possible, after %v", got, started)
			}
			if h, status := in.Health(); status != http.StatusOK || h.Breaker == "closed" || h.Halted != "" {
				t.Errorf("/readyz is %d: %+v", status, h)
			}
			in.eventually("/readyz says what it waits for", func() bool { h, _ := in.Health(); return h.Waiting == "breaker" })
			in.eventually("the breaker is seen open", func() bool { return in.Metrics()[`balanceq_breaker_state{state="open"}`] == 1 })
			if n := r.written(r.deadletters); n != 0 {
				t.Errorf("%d dead letters while the breaker is open", n)
			}

			r.sim.ClearFaults()
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			if d := l.Dead(invalid); d.Reason != schemas.ReasonInvalidRequest || len(l.dead) != 1 {
				t.Errorf("%d dead letters; that of the invalid request says %s", len(l.dead), d.Reason)
			}
			in.eventually("the breaker is closed", func() bool { return in.Metrics()[`balanceq_breaker_state{state="closed"}`] == 1 })
			in.wantNoneStampedWhileOpen(l)
			in.Stop()
		})
	}
}

// Invalid records need no CMS, but a dead letter must never be stamped with a time at which the breaker was open: whoever
// looks for the victims of an outage would find them.
func TestInvalidRecordsWaitForTheBreaker(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{})
	in := r.StartReady("--cms.backoff.initial=5ms", "--cms.backoff.max=20ms", "--cms.breaker.open-time=100ms")
	const closed = `balanceq_breaker_transitions_total{from="half-open",to="closed"}`
	for round := range 4 {
		r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusBadGateway, Count: 30})
		for range 10 {
			r.Send(ask(6100, "AVAILABLE"), kafka.Message{Value: []byte("{")}, ask(6101, "DUE"), kafka.Message{Value: []byte("[]")}, ask(6102, "OVL"))
			r.Send(asks(10, 10, 6200)...)
		}
		r.AwaitCommitted()
		if got := in.Metrics()[closed]; got < float64(round) {
			t.Errorf("the breaker closed only %v times", got)
		}
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
	const slack = 5 * time.Millisecond
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
					in.t.Errorf("dead letter of %v is stamped %v: the breaker was open from %v to %v", at, d.msg.Time, opened, line.time())
				}
			}
		}
	}
	if periods == 0 {
		in.t.Error("the log does not tell of an open breaker")
	}
}
