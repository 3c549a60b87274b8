package e2e

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/schemas"
)

// A kill -9 loses nothing. It repeats what was answered and not yet committed, and that is bounded:
//
//   - what was answered since the last commit was sent: the time that it took, the commit interval, and the time that the
//     next one takes, which the kill may find under way. Measured: the most results in any window of that length;
//   - what was answered behind a request that was not. As lanes are served in turn and none is slow here, that is at most
//     about what is answered while one call is under way: twice the in-flight limit (calls, and their writes);
//   - with cms.coalesce a request is answered together with an earlier one of its contract, however many others lie between
//     them: up to consumer.run-ahead.
func TestKillRepeatsLittle(t *testing.T) {
	t.Parallel()
	const inFlight, interval, runAhead = 16, 100 * time.Millisecond, 512
	for name, coalesce := range map[string]bool{"single": false, "coalesced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
			r.Send(asks(3000, 500, 5000)...)
			repeats, bound := 0, 0
			for round := range 2 {
				in := r.StartReady("--cms.max-in-flight="+strconv.Itoa(inFlight), "--consumer.commit-interval="+interval.String(),
					"--consumer.run-ahead="+strconv.Itoa(runAhead), "--cms.coalesce="+strconv.FormatBool(coalesce))
				r.AwaitWritten(r.results, r.written(r.results)+300)
				window := interval + 2*longestCommit(in.Metrics())
				in.Kill()
				got := r.uncommittedResults()
				limit := r.Ledger().mostResultsWithin(window) + 2*inFlight
				if coalesce {
					limit += runAhead
				}
				if got > limit {
					t.Errorf("kill %d: %d results are to be repeated, more than %d (window %v)", round, got, limit, window)
				}
				repeats, bound = repeats+got, bound+limit
			}
			r.StartReady()
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantNothingLost()
			if got := l.Repeated(); got > repeats {
				t.Errorf("%d results were repeated; by the commits it should be at most %d", got, repeats)
			}
			t.Logf("2 kills repeated %d of %d results; the bound is %d", l.Repeated(), len(r.sent), bound)
		})
	}
}

// uncommittedResults counts the results of requests at or above the committed offsets. No instance may be running.
func (r *rig) uncommittedResults() (n int) {
	r.t.Helper()
	committed := r.broker.Committed(r.t, r.group, r.requests)
	seen := map[schemas.Position]bool{}
	for _, a := range r.Ledger().log {
		if a.Source.Offset >= committed[a.Source.Partition] && !seen[a.Source] {
			seen[a.Source] = true
			n++
		}
	}
	return n
}

// mostResultsWithin returns the most results that were made in any window of that length.
func (l *ledger) mostResultsWithin(window time.Duration) (most int) {
	times := make([]time.Time, 0, len(l.log))
	for _, a := range l.log {
		times = append(times, a.RetrievedAt)
	}
	slices.SortFunc(times, time.Time.Compare)
	first := 0
	for i := range times {
		for times[i].Sub(times[first]) > window {
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
