package e2e

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/schemas"
)

// A kill -9 loses nothing. It repeats what was answered and not yet committed, and the calls of that are bounded:
//
//   - those that were answered since the last commit was sent: the time that it took, the commit interval, and the time
//     that the next one takes, which the kill may find under way. Measured: the most calls in any window of that
//     length;
//   - those that were answered behind a request that was not. As lanes are served in turn and none is slow here, that
//     is at most about what is answered while one call is under way: twice the in-flight limit (calls, and their
//     writes).
//
// With cms.coalesce a call answers later requests of its contract as well, however many others lie between them. They
// count with the first one of their call, by which its turn came.
func TestKillRepeatsLittle(t *testing.T) {
	t.Parallel()
	const inFlight, interval, runAhead = 16, 100 * time.Millisecond, 512
	for name, coalesce := range map[string]bool{"single": false, "coalesced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
			r.Send(asks(3000, 200, 5000)...)
			repeats, shared := 0, 0
			for round := range 2 {
				in := r.StartReady("--cms.max-in-flight="+strconv.Itoa(inFlight), "--consumer.commit-interval="+interval.String(),
					"--consumer.run-ahead="+strconv.Itoa(runAhead), "--cms.coalesce="+strconv.FormatBool(coalesce))
				r.AwaitWritten(r.results, r.written(r.results)+600) // more than may run ahead of what is committed
				window := interval + 2*longestCommit(in.Metrics())
				in.Kill()
				all, calls := r.uncommittedResults()
				limit := r.Ledger().mostCallsWithin(window) + 2*inFlight
				if calls > limit {
					t.Errorf("kill %d: %d calls are to be repeated, more than %d (window %v)", round, calls, limit, window)
				}
				t.Logf("kill %d: %d results of %d calls are to be repeated; the bound is %d calls", round, all, calls, limit)
				repeats, shared = repeats+all, shared+all-calls
			}
			if (shared > 0) != coalesce {
				t.Errorf("%d results were answered by a call for an earlier request", shared)
			}
			r.StartReady()
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantNothingLost()
			if got := l.Repeated(); got > repeats {
				t.Errorf("%d results were repeated; by the commits it should be at most %d", got, repeats)
			}
		})
	}
}

// uncommittedResults counts the results of requests at or above the committed offsets, and those of them that are the
// first of their call. No instance may be running.
func (r *rig) uncommittedResults() (all, calls int) {
	r.t.Helper()
	committed := r.broker.Committed(r.t, r.group, r.requests)
	seen := map[schemas.Position]bool{}
	l := r.Ledger()
	first := l.firstOfCalls()
	for _, a := range l.log {
		if a.Source.Offset >= committed[a.Source.Partition] && !seen[a.Source] {
			seen[a.Source] = true
			all++
			if first[a.CorrelationID].Source == a.Source {
				calls++
			}
		}
	}
	return all, calls
}

// firstOfCalls returns, for each call, the answer to the earliest of its requests. All are in one partition.
func (l *ledger) firstOfCalls() map[string]answer {
	first := map[string]answer{}
	for _, a := range l.log {
		if before, some := first[a.CorrelationID]; !some || a.Source.Offset < before.Source.Offset {
			first[a.CorrelationID] = a
		}
	}
	return first
}

// mostCallsWithin returns the most calls that were answered in any window of that length.
func (l *ledger) mostCallsWithin(window time.Duration) int {
	return mostWithin(window, slices.Collect(maps.Values(l.firstOfCalls())))
}

// mostResultsWithin returns the most results that were made in any window of that length.
func (l *ledger) mostResultsWithin(window time.Duration) int {
	return mostWithin(window, slices.Clone(l.log))
}

func mostWithin(window time.Duration, answers []answer) (most int) {
	slices.SortFunc(answers, func(a, b answer) int { return a.RetrievedAt.Compare(b.RetrievedAt) })
	first := 0
	for i, a := range answers {
		for a.RetrievedAt.Sub(answers[first].RetrievedAt) > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// longestCommit returns the upper bound of the slowest commit's bucket.
func longestCommit(m metrics) time.Duration {
	const bucket = `balanceq_commit_duration_seconds_bucket{le="`
	total, longest := m[bucket+`+Inf"}`], math.Inf(1)
	for name, count := range m {
		le, ok := strings.CutPrefix(name, bucket)
		if !ok || count < total {
			continue
		}
		if bound, err := strconv.ParseFloat(strings.TrimSuffix(le, `"}`), 64); err == nil {
			longest = min(longest, bound)
		}
	}
	if math.IsInf(longest, 1) {
		return time.Minute
	}
	return time.Duration(longest * float64(time.Second))
}
