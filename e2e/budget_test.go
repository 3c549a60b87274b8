package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

const (
	budgetBad    = 300
	budgetGood   = 50
	budgetPasses = 99 // dead letters that are written before the hundredth, one too many, is due

	budgetMissing = 404_001 // a contract that does not exist
)

// floodOf makes requests most of which are for a contract that does not exist.
func floodOf(contract int64) []kafka.Message {
	var msgs []kafka.Message
	for i := range budgetBad {
		msgs = append(msgs, ask(budgetMissing, "AVAILABLE"))
		if i%(budgetBad/budgetGood) == 0 {
			msgs = append(msgs, ask(contract+int64(i), "AVAILABLE"))
		}
	}
	return msgs
}

// held returns the offset of the bad request of that number, from 0.
func held(sent []kafka.Message, number int) (offset int64) {
	for _, m := range sent {
		if string(m.Key) == strconv.Itoa(budgetMissing) {
			if number == 0 {
				return m.Offset
			}
			number--
		}
	}
	return -1
}

// paused waits until an instance holds dead letters, its offset held at that of the next one.
func (in *instance) paused(r *rig, offset int64) {
	in.t.Helper()
	in.eventually("it pauses", func() bool { return in.Metrics()["balanceq_dead_letter_budget_paused"] == 1 })
	in.eventually("the offset is where the first held dead letter is",
		func() bool { return r.broker.Committed(r.t, r.group, r.requests)[0] == offset })
}

// resume runs the command and returns what it wrote.
func (r *rig) resume(code int, args ...string) string {
	r.t.Helper()
	in := launch(r.t, append([]string{"resume"}, args...)...)
	if got := in.wait(waitTimeout).ExitCode(); got != code {
		r.t.Errorf("resume %v: exit code %d, want %d", args, got, code)
	}
	return in.output.String()
}

// resumed has an instance go on, and waits until every request has its one outcome, so many of them dead letters.
func (in *instance) resumed(r *rig, dead int) {
	in.t.Helper()
	r.resume(0, "--service="+in.admin)
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	if len(l.dead) != dead {
		in.t.Errorf("%d dead letters, want %d", len(l.dead), dead)
	}
	in.Stop()
}

// Too many dead letters: the hundredth waits, and so do those behind it, while good requests go on being read and
// answered. It says why, everywhere, until somebody resumes; then every request gets its one outcome.
func TestBudgetHoldsUntilResumed(t *testing.T) {
	kafkatest.OnlyOnce(t, "the budget of dead letters")
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	sent := r.Send(floodOf(50_000)...)
	in := r.StartReady()
	r.AwaitWritten(r.results, budgetGood)
	in.paused(r, held(sent, budgetPasses))

	last := r.Send(asks(20, 20, 51_001)...)[19]
	r.AwaitWritten(r.results, budgetGood+20)
	in.eventually("the lag grows", func() bool {
		h, _ := in.Health()
		return h.Lag == last.Offset+1-held(sent, budgetPasses)
	})
	r.staysLive(in.http, 500*time.Millisecond)
	if dead := r.written(r.deadletters); dead != budgetPasses {
		t.Errorf("%d dead letters are written meanwhile, want %d", dead, budgetPasses)
	}
	_, status := in.Health() // and /livez
	if h := r.readyz(in.http); status != http.StatusOK || h.Waiting != "dead-letter-budget" ||
		!strings.Contains(h.Paused, "(contract-not-found 100)") ||
		!strings.Contains(h.Paused, "balanceq resume") {
		t.Errorf("/readyz is %d: %+v", status, h)
	}
	if m := in.Metrics(); m[`balanceq_waiting{cause="dead-letter-budget"}`] != 1 || m["balanceq_dead_letter_ratio"] <= .5 {
		t.Errorf("the metrics do not tell: %v", m)
	}
	if lines := in.Logged("too many dead letters"); len(lines) != 1 || lines[0].text("level") != "error" ||
		lines[0]["deadletters"] != 100. {
		t.Errorf("the log says %v", lines)
	}
	if status, _ := in.get("/resume"); status != http.StatusMethodNotAllowed {
		t.Errorf("GET /resume: %d", status)
	}

	if out := r.resume(1, "--service="+in.http); !strings.Contains(out, "ask it at its http.admin, http://"+in.admin) {
		t.Errorf("resume at the probes' port wrote %s", out)
	}
	if out := r.resume(1, "--service=http://127.0.0.1:1,"+in.admin); !strings.Contains(out,
		"http://127.0.0.1:1 cannot be reached") ||
		!strings.Contains(out, "name others with --service") ||
		!strings.Contains(out, "i1 (http://"+in.admin+"): resumed; 100 of ") {
		t.Errorf("resume wrote %s", out)
	}
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	if len(l.dead) != budgetBad {
		t.Errorf("%d dead letters, want %d", len(l.dead), budgetBad)
	}
	if lines := in.Logged("resumed: what was held"); len(lines) != 1 || !strings.Contains(lines[0].text("by"), "@") {
		t.Errorf("the log says %v", lines)
	}
	if out := r.resume(0, "--http.admin="+in.admin); !strings.Contains(out, "nothing to do; it was not paused") {
		t.Errorf("resume wrote %s", out)
	}
	in.Stop()
}

// A stop does not wait for an operator, and an instance that starts counts from zero.
func TestBudgetStopsWhilePaused(t *testing.T) {
	kafkatest.OnlyOnce(t, "the budget of dead letters")
	t.Parallel()
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{})
			sent := r.Send(floodOf(52_000)...)
			first := r.StartReady("--delivery=" + delivery)
			first.paused(r, held(sent, budgetPasses))
			if took := first.Stop(); took > 15*time.Second {
				t.Errorf("stopping took %v", took)
			}
			if n := len(r.Ledger().dead); n != budgetPasses {
				t.Errorf("%d dead letters are written", n)
			}
			second := r.StartReady("--delivery=" + delivery)
			second.paused(r, held(sent, 2*budgetPasses))
			second.resumed(r, budgetBad)
		})
	}
}

// When all requests want to become dead letters, as many are held as there is room for, and the rest stays in Kafka:
// the memory is the same however long it takes until somebody comes. Their lag is known meanwhile.
func TestBudgetHoldsNoMoreThanItsRoom(t *testing.T) {
	kafkatest.OnlyOnce(t, "the budget of dead letters")
	t.Parallel()
	const runAhead, bad = 64, 3000
	const room = 4 * runAhead / 2 // for the one partition
	r := newRig(t, 1, cmssim.Config{})
	r.Send(asks(bad, 900, 404_100)...)
	in := r.StartReady(fmt.Sprintf("--consumer.run-ahead=%d", runAhead), fmt.Sprintf("--cms.max-in-flight=%d", runAhead),
		"--consumer.fetch-bytes=16384")
	const held = `balanceq_waiting{cause="dead-letter-budget"}`
	in.eventually("the room is full", func() bool { return in.Metrics()[held] >= room })
	last := r.Send(asks(20, 20, 54_000)...)[19]
	in.eventually("the lag grows", func() bool {
		h, _ := in.Health()
		return h.Lag > last.Offset-budgetPasses
	})
	in.eventually("no handler has anything to do", func() bool { return in.Metrics()["balanceq_in_flight"] == 0 })
	r.staysLive(in.http, 500*time.Millisecond)
	if m := in.Metrics(); m[held] > room+runAhead || m["balanceq_in_flight"] != 0 {
		t.Errorf("%v are held, %v handlers have something to do", m[held], m["balanceq_in_flight"])
	}
	in.resumed(r, bad)
}

// Far more dead letters are held than there are handlers: the good requests behind them have their results, in both
// deliveries, and no operator has to come for that. Nonsense besides is written, and spends nothing.
func TestBudgetHoldsNoHandlers(t *testing.T) {
	kafkatest.OnlyOnce(t, "the budget of dead letters")
	t.Parallel()
	const handlers, bad, nonsense, good = 64, 400, 150, 100
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{})
			var msgs []kafka.Message
			for i := range nonsense {
				msgs = append(msgs, kafka.Message{Key: strconv.AppendInt(nil, int64(i), 10), Value: []byte("nonsense")})
			}
			r.Send(append(append(msgs, asks(bad, bad, 404_100)...), asks(good, good, 54_000)...)...)
			in := r.StartReady("--delivery="+delivery, "--cms.max-in-flight="+strconv.Itoa(handlers))
			in.eventually("it pauses", func() bool { return in.Metrics()["balanceq_dead_letter_budget_paused"] == 1 })
			const held = `balanceq_waiting{cause="dead-letter-budget"}`
			in.eventually("all that are due are held", func() bool { return in.Metrics()[held] == bad-budgetPasses })
			if delivery == "at-least-once" {
				r.AwaitWritten(r.results, good)
			} else {
				// The results are there and wait for the offsets before them.
				in.eventually("no handler has anything to do", func() bool { return in.Metrics()["balanceq_in_flight"] == 0 })
			}
			r.staysLive(in.http, 500*time.Millisecond)
			in.resumed(r, bad+nonsense)
		})
	}
}

// A gateway answers 404 as the CMS does, until somebody has fixed it: what was held until then has its result.
func TestResumeWhenTheCauseIsGone(t *testing.T) {
	kafkatest.OnlyOnce(t, "the budget of dead letters")
	t.Parallel()
	const all = 300
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{})
			fault := r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusNotFound,
				ReasonCode: "CONTRACT_DOES_NOT_EXIST"})
			r.Send(asks(all, 100, 55_000)...)
			in := r.StartReady("--delivery=" + delivery)
			in.eventually("it pauses", func() bool { return in.Metrics()["balanceq_dead_letter_budget_paused"] == 1 })
			r.sim.RemoveFault(fault)
			in.resumed(r, budgetPasses) // those that were written before
		})
	}
}
