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
// broker drops what it has. But a generation of the group does not outlive its connection to the coordinator: from then
// on its offsets cannot be committed, whether or not the broker is back, and the instance is granted the partitions
// again from the last commit. What is repeated for each such rejoining:
//
//   - what was answered since the last commit was sent: a commit interval, the times of a commit that worked and of one
//     that was cut off, and, where writing works (again), the time until a heartbeat finds the connection dead: a fifth
//     of the session timeout. A broker that is killed takes longer than that to come back;
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
			var commit time.Duration
			for round := range test.rounds {
				r.Send(asks(1000, 200, 16_000)...)
				r.AwaitWritten(r.results, 1000*round+200)
				commit = max(commit, longestCommit(in.Metrics()))
				broker.Restart(t, test.kill)
			}
			r.Send(asks(200, 50, 16_000)...)
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantNothingLost()
			l.WantNoDeadLetters()
			rejoined := len(in.Logs("joined the consumer group")) - 1 // the first joining repeats nothing
			most := l.mostResultsWithin(test.window + 2*commit)
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
