package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// atOnce is how many tricks are played at once. A request whose call is refused keeps its worker, and the others need
// some, too: see cms.max-in-flight below.
const atOnce = 24

// playTricks plays each trick to one contract while others are answered, so that it ends in a dead letter, or in a
// result.
func (w *secretsRig) playTricks(all map[string]trick) {
	w.t.Helper()
	const tries = 5
	left := slices.Sorted(maps.Keys(all))
	for try := 0; len(left) > 0 && try < tries; try++ {
		var again []string
		for names := range slices.Chunk(left, atOnce) {
			again = append(again, w.playAtOnce(all, names)...)
		}
		left = again
	}
	if len(left) > 0 {
		w.t.Errorf("tricks that were not seen to work in %d tries: %q", tries, left)
	}
}

// playAtOnce plays some of the tricks and returns those that have to be played again.
func (w *secretsRig) playAtOnce(all map[string]trick, names []string) (again []string) {
	w.t.Helper()
	victims := map[string]string{} // the trick by contract
	var requests []kafka.Message
	deadLetters := w.in.deadLetters()
	for _, name := range names {
		id := cardNumber(w.cards)
		w.cards++
		w.hunt.add("card number", id)
		w.cms.with(func() { w.cms.victims[contractID(id)] = all[name] })
		requests = append(requests, ask(contractID(id), "AVAILABLE", "BLOCKED"))
		if !all[name].answer {
			victims[id] = name
			deadLetters++
		}
	}
	w.Send(requests...)
	// An attempt counts only when others were answered since the one before.
	w.in.eventually("each has its outcome", func() bool {
		w.Send(asks(40, 40, 9200)...)
		w.noteHealth()
		return w.in.deadLetters() >= deadLetters
	})
	w.AwaitCommitted()
	for _, m := range w.broker.ReadAll(w.t, w.deadletters) {
		name, detail := victims[string(m.Key)], headersOf(m)[schemas.HeaderDetail]
		if name == "" || name != "hang" && strings.Contains(detail, "no complete answer within") {
			continue // a slow machine, and not the trick
		}
		delete(victims, string(m.Key))
	}
	return slices.Collect(maps.Values(victims))
}

// deadLetters is how many dead letters the program has written.
func (in *instance) deadLetters() float64 {
	return in.Metrics().sum("balanceq_records_total", `outcome="dead-letter"`)
}

// done is how many requests have their outcome.
func (in *instance) done() float64 { return in.Metrics().sum("balanceq_records_total") }

// halt plays a trick to everybody, and looks at the program while it waits.
func (w *secretsRig) halt(name string, play func(http.ResponseWriter, call), says string) {
	w.t.Helper()
	before := w.cms.calls()
	w.cms.with(func() { w.cms.all = trick{play: play} })
	w.Send(asks(5, 5, 9300)...)
	w.in.eventually("calls meet "+name, func() bool { return w.cms.calls() >= before+2 })
	w.in.eventually("/readyz says "+says, func() bool { return strings.Contains(w.noteHealth(), says) })
	w.note("at " + name)
	w.cms.with(func() { w.cms.all = trick{} })
	w.AwaitCommitted()
}

// connections lets two of three connections fail in each way, until that has cost a request its life.
//
// Most ways are refusals. They cost a request its life only when chance does not explain them, and where two of three
// calls are refused it does. So most calls are answered, and those that fail are a few in between.
func (w *secretsRig) connections() {
	w.t.Helper()
	w.cms.with(func() { w.cms.closing = true })
	for _, way := range w.proxy.ways() {
		before := w.written(w.deadletters)
		w.in.eventually("a request dies of "+way, func() bool {
			w.Send(asks(100, 100, 9500)...)
			w.AwaitCommitted()
			w.proxy.take(way)
			done := w.in.done() + 10
			w.Send(asks(10, 10, 9400)...)
			w.in.eventually("requests end at "+way, func() bool {
				w.noteHealth()
				return w.in.done() >= done
			})
			w.proxy.take("")
			return w.written(w.deadletters) > before
		})
	}
	w.cms.with(func() { w.cms.closing = false })
	w.AwaitCommitted()
}

// everything plays all tricks, and halts.
func (w *secretsRig) everything() {
	w.playTricks(tricks(w.files))
	w.playTricks(unsolicited())
	w.halt("401", refuse(http.StatusUnauthorized, bodies["gateway"]), `"halted":"cms: halting, status 401`)
	w.halt("a redirect", redirect(http.StatusFound), `"halted":"cms: halting, status 302`)
	w.halt("closed answers", tricks(w.files)["kid of Authorization"].play, `"halted":"cms: undecryptable`)
	w.halt("silence", tricks(w.files)["hang"].play, `"ready":true`)
	w.commands()
}

// badConnections fails connections in all ways.
func (w *secretsRig) badConnections() {
	w.connections()
	w.commands()
}

// Whatever goes wrong, nothing that the program emits holds a secret, in whole or in part.
func TestNothingEmittedHoldsSecrets(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the program emits")
	t.Parallel()
	for name, test := range map[string]struct {
		secure bool
		format string
		play   func(*secretsRig)
	}{
		"https and JSON":        {true, "json", (*secretsRig).everything},
		"http and text":         {false, "text", (*secretsRig).everything},
		"connections that fail": {true, "json", (*secretsRig).badConnections},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSecretsRig(t, test.secure)
			w.start("--log.format="+test.format, "--cms.max-attempts=1", "--cms.timeout=1s", "--cms.slow-start=0s",
				"--cms.max-in-flight=48", "--cms.min-in-flight=48", "--cms.probe-interval=5ms",
				"--cms.backoff.initial=5ms", "--cms.backoff.max=20ms", "--cms.cool-down=10ms", "--cms.max-cool-down=20ms",
				"--cms.breaker.min-calls=1000000", "--cms.retry-share=10", "--cms.max-response-bytes=64KiB",
				"--results.publish-failures=true")
			test.play(w)
			w.in.Stop()
			w.records()
			w.search()
		})
	}
}
