package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// One request gets no answer for as long as the test wants, and a thousand behind it are answered. A kill -9, without
// any drain, then repeats what was answered since the last commit was sent, and not what lies above the committed
// offset.
func TestKillBehindAHeldRequestRepeatsLittle(t *testing.T) {
	t.Parallel()
	const inFlight, behind, held = 16, 10_000, 4000 // many commit intervals at 8,000 a second, even of a busy broker
	const interval = 100 * time.Millisecond
	r := newRig(t, 1, cmssim.Config{Latency: 2 * time.Millisecond})
	fault := r.sim.AddFault(cmssim.Fault{Match: cmssim.Match{Contracts: []int64{held}}, Effect: cmssim.EffectHang})
	stuck := r.Send(ask(held, cmssim.Codes[0]))
	r.Send(asks(behind, 200, 5000)...)
	flags := []string{
		"--cms.max-in-flight=" + strconv.Itoa(inFlight), "--consumer.commit-interval=" + interval.String(),
		"--consumer.run-ahead=" + strconv.Itoa(2*behind), "--cms.coalesce=false", "--cms.timeout=1m",
	}
	in := r.StartReady(flags...)
	r.AwaitWritten(r.results, behind)
	window := in.killed() + interval
	if committed := r.broker.Committed(t, r.group, r.requests); committed[0] != 0 {
		t.Fatalf("committed %v while the first request is held", committed)
	}
	bound := r.Ledger().mostResultsWithin(window) + inFlight

	r.sim.RemoveFault(fault)
	r.StartReady(flags...)
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantNothingLost()
	l.Result(stuck[0])
	if got := l.Repeated(); got > min(bound, behind/2) {
		t.Errorf("%d of %d results were repeated; in one commit interval there were %d", got, behind, bound)
	}
	t.Logf("%d of %d results were repeated; in one commit interval there were %d", l.Repeated(), behind, bound)
}
