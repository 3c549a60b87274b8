package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// Two instances with one name take the transactions out of each other's hands. One of them ends, and says what to set;
// the other goes on.
func TestExactlyOnceSameName(t *testing.T) {
	kafkatest.OnlyOnce(t, "TestExactlyOnceKill is like it for the broker")
	t.Parallel()
	r := newRig(t, 4, busy)
	w := r.Watch()
	traffic := r.Load()
	all := []*instance{r.Start(exactly("--instance=a")...), r.Start(exactly("--instance=a")...)}
	kafkatest.Eventually(t, waitTimeout, "one of them ends", func() bool { return !all[0].running() || !all[1].running() })
	if all[1].running() {
		all[0], all[1] = all[1], all[0]
	}
	stays, ends := all[0], all[1]
	if code := ends.wait(waitTimeout).ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if last := lastLine(ends.output.String()); !strings.Contains(last, "give each an instance id, or an instance name") {
		t.Errorf("it does not say what to do: %s", last)
	}
	stays.eventually("the other has all partitions", func() bool {
		h, _ := stays.Health()
		return h.Ready && h.Partitions == 4
	})
	w.AwaitMore(200)
	w.WantExactlyOnce(r, traffic)
	stays.Stop()
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// The broker goes away with a transaction open, and comes back.
func TestExactlyOnceBrokerRestart(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]bool{"clean": false, "kill": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := kafkatest.New(t)
			if kill && broker.Kind() == kafkatest.KindEmbedded {
				t.Skip("the embedded broker lives in the test process: it cannot be killed")
			}
			r := newRigOn(t, broker, 3, busy)
			w := r.Watch()
			in := r.StartReady(exactly()...)
			traffic := r.Load()
			for range 2 {
				w.AwaitMore(200)
				broker.Stop(t, kill)
				broker.Start(t)
				t.Logf("200 more answered %v after the broker was back", w.AwaitMore(200))
			}
			w.WantExactlyOnce(r, traffic)
			in.eventually("the instance is ready", in.Ready)
			in.Stop()
		})
	}
}

// Requests that come in transactions: what is aborted is never answered, and offsets are committed to the very end,
// although the last records have no outcome.
func TestExactlyOnceTransactionalUpstream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{Record: true})
	w := r.Watch()
	in := r.StartReady(exactly()...)
	const aborted = 38_900
	for i := range int64(5) {
		r.remember(r.broker.ProduceTransaction(t, r.requests, asks(20, 10, 38_000+i), true))
		r.broker.ProduceTransaction(t, r.requests, asks(20, 10, aborted), false)
	}
	l := w.WantExactlyOnce(r)
	l.WantNoDeadLetters()
	in.eventually("nothing is left to do", func() bool { h, _ := in.Health(); return h.Lag == 0 })
	for contract := range int64(10) {
		if calls := r.sim.Calls(aborted + contract); len(calls) != 0 {
			t.Errorf("%d calls for a contract of an aborted transaction", len(calls))
		}
	}
	in.WantCalm()
	in.Stop()
}

// The dead letter of a large request does not fit into its topic as it is: it is compressed, whole, and nothing waits
// for it.
func TestExactlyOnceOversizedDeadLetter(t *testing.T) {
	kafkatest.OnlyOnce(t, "TestExactlyOnceKill is like it for the broker")
	t.Parallel()
	r := newRig(t, 3, busy)
	r.setTopic(r.deadletters, "max.message.bytes", "20000")
	w := r.Watch()
	r.SendTo(0, asks(50, 10, 31_000)...)
	large := kafka.Message{Key: []byte("large"), Value: bytes.Repeat([]byte("x"), 100_000)}
	r.SendTo(0, large)
	in := r.StartReady(exactly()...)
	for p := range int32(3) {
		r.SendTo(p, asks(200, 10, 32_000+100*int64(p))...)
	}
	w.WantExactlyOnce(r)
	if refused := in.Metrics().sum("balanceq_write_retries_total", r.deadletters); refused == 0 {
		t.Error("it was not refused: the test proves nothing")
	}
	in.eventually("writing works", func() bool { h, _ := in.Health(); return h.WritesFailing == "" && h.Waiting == "" })
	in.WantCalm("max.message.bytes")
	in.Stop()
}

// Outcomes of 300 kB each, behind a request that gets no answer for now, in a buffer that holds three of them: they
// wait, and nothing is deadlocked.
func TestExactlyOnceSmallBuffer(t *testing.T) {
	kafkatest.OnlyOnce(t, "TestExactlyOnceKill is like it for the broker")
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{})
	w := r.Watch()
	const held = 33_000
	fault := r.sim.AddFault(cmssim.Fault{Match: cmssim.Match{Contracts: []int64{held}}, Effect: cmssim.EffectHang})
	for p := range int32(2) {
		r.SendTo(p, ask(held, "AVAILABLE"))
		for range 20 {
			r.SendTo(p, kafka.Message{Value: bytes.Repeat([]byte("y"), 300_000)})
			r.SendTo(p, asks(5, 5, held+10)...)
		}
	}
	in := r.StartReady(exactly("--producer.buffer-bytes=1MiB", "--cms.timeout=8s")...)
	in.eventually("the buffer is full", func() bool {
		return in.Metrics().
			sum("balanceq_producer_buffered_bytes") > 600_000
	})
	if got := in.Metrics().sum("balanceq_producer_buffered_bytes"); got > 2<<20 {
		t.Errorf("%v bytes are buffered", got)
	}
	r.sim.RemoveFault(fault)
	w.WantExactlyOnce(r)
	in.WantCalm()
	in.Stop()
}

// An outage of the CMS costs no request anything.
func TestExactlyOnceOutage(t *testing.T) {
	kafkatest.OnlyOnce(t, "TestExactlyOnceKill is like it for the broker")
	t.Parallel()
	r := newRig(t, 2, busy)
	w := r.Watch()
	in := r.StartReady(exactly("--cms.max-attempts=3", "--cms.backoff.initial=10ms")...)
	r.Send(asks(200, 50, 34_000)...)
	w.Await(100)
	r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable})
	r.Send(asks(500, 50, 34_000)...)
	in.eventually("probes have failed", func() bool { return in.Metrics()[reopened] >= 2 })
	r.sim.ClearFaults()
	l := w.WantExactlyOnce(r)
	l.WantNoDeadLetters()
	in.WantCalm("the circuit breaker opened")
	in.Stop()
}
