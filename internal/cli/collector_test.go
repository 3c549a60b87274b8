package cli

import (
	"runtime"
	"testing"
	"time"
)

func TestCollecting(t *testing.T) {
	const mb = 1 << 20
	for name, runs := range map[string][]struct {
		base    uint64
		after   time.Duration
		percent int
	}{
		"a small heap has what Go gives it": {{3 * mb, time.Millisecond, 100}, {20 * mb, 10 * time.Second, 100}},
		"a large one that little is allocated in": {
			{48 * mb, time.Second, 50}, {60 * mb, 2 * time.Second, 40}, {1000 * mb, time.Minute, 25},
		},
		"a large one that much is allocated in": {
			{48 * mb, time.Second, 50}, {48 * mb, 149 * time.Millisecond, 100}, {48 * mb, 100 * time.Millisecond, 100},
			{48 * mb, 500 * time.Millisecond, 100}, {48 * mb, 2 * time.Second, 50},
		},
		"no heap": {{0, time.Second, 100}},
	} {
		c := newCollecting(nil)
		for i, run := range runs {
			if c.next(run.base, run.after); c.percent != run.percent {
				t.Errorf("%s, run %d: %d %%, want %d %%", name, i+1, c.percent, run.percent)
			}
		}
	}
}

// Each run is followed by a decision.
func TestCollectingFollowsTheRuns(t *testing.T) {
	decided := make(chan int, 1)
	newCollecting(func(percent int) int {
		select {
		case decided <- percent:
		default: // runs go on after the test
		}
		return 0
	}).await()
	for range 3 {
		runtime.GC()
		if percent := <-decided; percent < leastPercent || percent > usualPercent {
			t.Errorf("%d %%", percent)
		}
	}
}
