package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// 429: everything waits as long as the CMS wishes, nothing is dead-lettered, and it goes on by itself.
func TestThrottledWaits(t *testing.T) {
	kafkatest.OnlyOnce(t, "how the CMS is asked again")
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{Record: true})
	r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusTooManyRequests, RetryAfter: 2})
	r.Send(asks(200, 40, 10_000)...)
	in := r.StartReady("--cms.max-attempts=1", "--cms.max-in-flight=1")
	in.eventually("/readyz says that it waits", func() bool {
		h, status := in.Health()
		return status == http.StatusOK && h.Waiting == "throttled"
	})
	if n := r.written(r.results) + r.written(r.deadletters); n != 0 {
		t.Errorf("%d outcomes while throttled", n)
	}
	r.sim.ClearFaults()
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.WantNoDeadLetters()
	var refused, answered time.Time
	for contract := range r.sim.CallsByContract() {
		for _, c := range r.sim.Calls(contract) {
			if c.Status == http.StatusTooManyRequests && c.Time.After(refused) {
				refused = c.Time
			}
			if c.Status == http.StatusOK && (answered.IsZero() || c.Time.Before(answered)) {
				answered = c.Time
			}
		}
	}
	if pause := answered.Sub(refused); pause < 2*time.Second {
		t.Errorf("the first good call came %v after the last 429, which asked for 2 s", pause)
	}
	in.Stop()
}

// Refused for what no request can be blamed for: halted, said so, and resumed without anybody touching the service.
func TestHaltedResumesByItself(t *testing.T) {
	t.Parallel()
	faults := map[string]cmssim.Fault{
		"401":              {Effect: cmssim.EffectStatus, Status: http.StatusUnauthorized},
		"operation denied": {Effect: cmssim.EffectStatus, Status: http.StatusForbidden},
		"gateway 404": {Effect: cmssim.EffectStatus, Status: http.StatusNotFound, Source: "Gateway",
			ReasonCode: "NOT_FOUND"},
		"405": {Effect: cmssim.EffectStatus, Status: http.StatusMethodNotAllowed},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{})
			r.sim.AddFault(fault)
			r.Send(asks(100, 20, 11_000)...)
			in := r.StartReady("--cms.max-attempts=2")
			in.eventually("it is halted", func() bool {
				return in.Metrics()["balanceq_halted"] == 1 && in.Metrics()["balanceq_cms_in_flight"] == 0
			})
			calls := r.sim.Stats().Calls
			in.eventually("it probes", func() bool { return r.sim.Stats().Calls >= calls+2 })
			h, status := in.Health()
			if status != http.StatusOK || h.Waiting != "halted" || !strings.Contains(h.Halted, "check") &&
				!strings.Contains(h.Halted, "ask Mastercard") || h.Breaker != "closed" {
				t.Errorf("/readyz is %d: %+v", status, h)
			}
			in.Logged("halted")
			if n := r.written(r.deadletters) + r.written(r.results); n != 0 {
				t.Errorf("%d outcomes while halted", n)
			}
			r.sim.ClearFaults()
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			l.WantNoDeadLetters()
			if h, _ := in.Health(); h.Halted != "" || h.Waiting != "" {
				t.Errorf("after the repair /readyz says %+v", h)
			}
			in.Stop()
		})
	}
}

// Outcomes that cannot be written are kept, in order, until they can.
func TestUnwritableTopicHoldsEverything(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"results", "deadletters"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{})
			topic, first := r.results, int64(12_000)
			if kind == "deadletters" {
				topic, first = r.deadletters, 404_000
			}
			// Results that do not fit become dead letters, so these must not fit either.
			for _, t := range []string{topic, r.deadletters} {
				r.setTopic(t, "max.message.bytes", "50")
			}
			r.Send(asks(200, 20, first)...)
			in := r.StartReady("--deadletters.budget=1") // all of them become dead letters
			in.eventually("writing fails", func() bool {
				h, status := in.Health()
				return status == http.StatusOK && h.WritesFailing != "" && in.Metrics().
					sum("balanceq_write_retries_total", topic) > 0
			})
			if n := r.written(topic) + r.written(r.deadletters); n != 0 {
				t.Errorf("%d records are in topics that take none", n)
			}
			for partition, offset := range r.broker.Committed(t, r.group, r.requests) {
				if offset != 0 {
					t.Errorf("offset %d of partition %d is committed, but nothing could be written", offset, partition)
				}
			}
			for _, t := range []string{topic, r.deadletters} {
				r.setTopic(t, "max.message.bytes", "1179648")
			}
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			l.WantDeadLettersInOrder()
			in.eventually("writing works", func() bool { h, _ := in.Health(); return h.WritesFailing == "" })
			in.Stop()
		})
	}
}

// setTopic changes a setting of a topic.
func (r *rig) setTopic(topic, name, value string) {
	r.t.Helper()
	kafkatest.SetTopic(r.t, r.broker.Brokers(), topic, name, value)
}
