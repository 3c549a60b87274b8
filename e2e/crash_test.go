package e2e

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// A kill -9 loses nothing. It repeats what was answered and not yet committed, and the calls of that are bounded:
//
//   - those that were written since the last commit that worked was sent, and in a commit interval before, for what was
//     in the log then and not acknowledged yet. When they were answered says less: a busy broker takes many at a time;
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
				before := r.written(r.results)
				in := r.StartReady("--cms.max-in-flight="+strconv.Itoa(inFlight), "--consumer.commit-interval="+interval.String(),
					"--consumer.run-ahead="+strconv.Itoa(runAhead), "--cms.coalesce="+strconv.FormatBool(coalesce))
				written := r.watchWritten(before, 600) // more than may run ahead of what is committed
				committed := in.lastCommit()
				in.Kill()
				all, calls := r.uncommittedResults()
				limit := int(r.written(r.results)-written(committed.Add(-interval))) + 2*inFlight
				if calls > limit {
					t.Errorf("kill %d: %d calls are to be repeated, more than %d", round, calls, limit)
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

// watchWritten waits for that many more results than before, and returns how many there were at a time until then: what
// the last look had seen.
func (r *rig) watchWritten(before, more int64) (at func(time.Time) int64) {
	r.t.Helper()
	type look struct {
		at time.Time
		n  int64
	}
	var looks []look
	kafkatest.Eventually(r.t, waitTimeout, fmt.Sprintf("%d more results", more), func() bool {
		n := r.written(r.results)
		looks = append(looks, look{time.Now(), n})
		return n >= before+more
	})
	return func(t time.Time) int64 {
		for _, l := range slices.Backward(looks) {
			if l.at.Before(t) {
				return l.n
			}
		}
		return before
	}
}

// killed kills the instance and returns how long ago its last commit was sent: longer than that was before the kill.
func (in *instance) killed() (sinceCommit time.Duration) {
	in.t.Helper()
	sent := in.lastCommit()
	in.Kill()
	return time.Since(sent)
}

// lastCommit is when the last commit that worked was sent.
func (in *instance) lastCommit() time.Time {
	in.t.Helper()
	return time.UnixMicro(int64(in.Metrics()["balanceq_last_commit_timestamp_seconds"] * 1e6))
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

// mostResultsWithin returns the most results that were made in any window of that length.
func (l *ledger) mostResultsWithin(window time.Duration) (most int) {
	answers := slices.Clone(l.log)
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
