package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// The broker goes away under load and comes back. Nothing is lost, and order is kept.
//
// No write is repeated for the broker's sake: what was cut off is sent again with the same sequence numbers, so the
// broker drops what it has. A coordinator that is back knows the generation, as a rule: then nothing is answered twice.
// If it does not, the instance is granted the partitions again from the last commit. What is repeated for each such
// rejoining:
//
//   - what was answered since the last commit that worked was sent, until the broker is dead, and a commit interval. Of
//     a clean stop, which takes its time: the times of a commit that worked and of one that was cut off, and the time
//     until a heartbeat finds the connection dead, a fifth of the session timeout, as writing works again by then. A
//     broker that is killed takes longer than that to come back;
//   - what was started by then, for that is finished and written: consumer.run-ahead.
func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	const interval, heartbeat, runAhead = 100 * time.Millisecond, 6 * time.Second / 5, 128
	for name, test := range map[string]struct {
		kill   bool
		rounds int64
		window time.Duration
	}{
		"clean": {false, 1, interval + heartbeat},
		"kill":  {true, 2, interval},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := kafkatest.New(t)
			if test.kill && broker.Kind() == kafkatest.KindEmbedded {
				t.Skip("the embedded broker lives in the test process: it cannot be killed")
			}
			r := newRigOn(t, broker, 3, cmssim.Config{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
			in := r.StartReady("--cms.max-in-flight=8", "--consumer.run-ahead="+strconv.Itoa(runAhead),
				"--consumer.commit-interval="+interval.String())
			window := test.window
			for round := range test.rounds {
				r.Send(asks(1000, 200, 16_000)...)
				r.AwaitWritten(r.results, 1000*round+200)
				committed, slowest := in.lastCommit(), longestCommit(in.Metrics())
				if broker.Stop(t, test.kill); test.kill {
					window = max(window, test.window+time.Since(committed))
				} else {
					window = max(window, test.window+2*slowest)
				}
				broker.Start(t)
			}
			r.Send(asks(200, 50, 16_000)...)
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantNothingLost()
			l.WantNoDeadLetters()
			rejoined := len(in.Logs("joined the consumer group")) - 1 // the first joining repeats nothing
			most := l.mostResultsWithin(window)
			if got, limit := l.Repeated(), rejoined*(runAhead+most); got > limit {
				t.Errorf("%d results are repeated, more than %d (%d times rejoined)", got, limit, rejoined)
			}
			t.Logf("%d of %d results are repeated; rejoined %d times, %d answered in a window", l.Repeated(), len(r.sent),
				rejoined, most)
			in.eventually("the instance is ready", in.Ready)
			in.Stop()
		})
	}
}
