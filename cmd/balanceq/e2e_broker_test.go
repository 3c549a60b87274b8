package main_test

import (
	"testing"
	"time"

	"balanceq/cmssim"
	"balanceq/internal/kafkatest"
)

// The broker goes away under load and comes back. Nothing is lost, and order is kept.
//
// Nothing is repeated either as long as the group survives: writes that were cut off are sent again with the same sequence
// numbers, so that the broker drops what it has, and offsets are committed again. The group may not survive: a coordinator
// that comes back can ask its members to rejoin. Then the partitions are granted afresh from the committed offsets, and what
// was answered above them is repeated: at most what may run ahead of the commits, for each such rejoining.
func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]bool{"clean": false, "kill": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := kafkatest.New(t)
			if kill && broker.Kind() == kafkatest.KindEmbedded {
				t.Skip("the embedded broker cannot be killed")
			}
			const runAhead = 128
			r := newRigOn(t, broker, 3, cmssim.Config{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
			in := r.StartReady("--cms.max-in-flight=16", "--consumer.run-ahead=128")
			for round := range int64(2) {
				r.Send(asks(1000, 200, 16_000)...)
				r.AwaitWritten(r.results, 1000*round+200)
				broker.Restart(t, kill)
			}
			r.Send(asks(200, 50, 16_000)...)
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantNothingLost()
			l.WantNoDeadLetters()
			// The first joining is none of those that repeat anything.
			rejoined := len(in.Logs("joined the consumer group")) - 1
			if got, limit := l.Repeated(), rejoined*runAhead; got > limit {
				t.Errorf("%d results are repeated, more than %d (%d times rejoined)", got, limit, rejoined)
			}
			t.Logf("%d of %d results are repeated; rejoined %d times", l.Repeated(), len(r.sent), rejoined)
			in.eventually("the instance is ready", in.Ready)
			in.Stop()
		})
	}
}
