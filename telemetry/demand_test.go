package telemetry

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// tell tells a demand of n moments, scalerLooks apart, and returns what it says to the last.
func tell(d *demand, start time.Time, n int, of func(i int) workload) (said float64) {
	for i := range n {
		w := of(i)
		w.at = start.Add(time.Duration(i) * scalerLooks)
		said = d.next(w)
	}
	return said
}

// steady is an instance with these partitions that begins pace offsets a second in all, and has seconds of work at that
// pace before it.
func steady(owned int, pace, seconds, calls float64) func(i int) workload {
	return func(i int) workload {
		w := workload{member: true, owned: owned, calls: calls, waits: map[int32]waiting{}}
		for p := range owned {
			begun := int64(float64(i) * pace / float64(owned) * scalerLooks.Seconds())
			w.waits[int32(p)] = waiting{begun, begun + int64(pace*seconds/float64(owned))}
		}
		return w
	}
}

func TestDemand(t *testing.T) {
	const enough = 20
	with := func(of func(int) workload, change func(i int, w *workload)) func(int) workload {
		return func(i int) workload {
			w := of(i)
			change(i, &w)
			return w
		}
	}
	behind := steady(12, 100, 90, 1) // three times demandTarget
	for name, c := range map[string]struct {
		of   func(int) workload
		want float64
	}{
		"behind":                       {behind, 3},
		"hardly behind":                {steady(12, 100, 20, 1), 1},
		"half busy, nothing waits":     {steady(12, 100, 0, .3), .5},
		"busy enough, nothing waits":   {steady(12, 100, 0, .7), 1},
		"idle":                         {steady(12, 0, 0, 0), 0},
		"far behind":                   {steady(12, 100, 900, 1), demandMost},
		"as many as there are to have": {steady(2, 100, 900, 1), 2},
		"waits for others of its contract, workers are free": {steady(12, 100, 90, .3), .5},
		"owns nothing":            {steady(0, 0, 0, 0), 0},
		"no member of the group":  {with(behind, func(_ int, w *workload) { w.member = false }), 1},
		"held":                    {with(behind, func(_ int, w *workload) { w.held = true }), 1},
		"held at times":           {with(behind, func(i int, w *workload) { w.held = i%5 == 0 }), 1},
		"held long ago":           {with(behind, func(i int, w *workload) { w.held = i == 3 }), 3},
		"the CMS gets slower":     {with(behind, func(_ int, w *workload) { w.fewer = true }), 1},
		"we are what gets slower": {with(behind, func(_ int, w *workload) { w.fewer, w.cpuRatio = true, .95 }), 3},
		"CPU is what is short":    {with(behind, func(_ int, w *workload) { w.calls, w.cpuRatio = .1, .95 }), 3},
		"nothing moves": {with(behind, func(_ int, w *workload) {
			for p := range w.waits {
				w.waits[p] = waiting{0, 1000}
			}
		}), 1},
		"a partition comes": {with(behind, func(i int, w *workload) {
			if i < enough-1 {
				delete(w.waits, 5)
			}
		}), 3 * 12. / 11},
	} {
		if got := tell(&demand{}, epoch, enough, c.of); math.Abs(got-c.want) > 0.01 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// anyWorkload is one of anything at all.
func anyWorkload(t *rapid.T, at time.Time) workload {
	w := workload{
		at: at, member: rapid.Bool().Draw(t, "member"), held: rapid.IntRange(0, 9).Draw(t, "held") == 0,
		calls: rapid.Float64Range(0, 3).Draw(t, "calls"), fewer: rapid.Bool().Draw(t, "fewer"),
		cpuRatio: rapid.Float64Range(0, 2).Draw(t, "cpu"), waits: map[int32]waiting{},
	}
	w.owned = rapid.IntRange(0, 5).Draw(t, "owned")
	for p := range w.owned {
		w.waits[int32(p)] = waiting{rapid.Int64().Draw(t, "begun"), rapid.Int64().Draw(t, "end")}
	}
	return w
}

// Whatever it is told, it is a number from 0 to demandMost and the partitions owned; nothing for nothing, and 1 in an
// outage and for demandCalm after it.
func TestDemandIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, now, held := &demand{}, epoch, epoch.Add(-time.Hour)
		for range rapid.IntRange(1, 40).Draw(t, "moments") {
			now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
			w := anyWorkload(t, now)
			got := d.next(w)
			if w.held || !w.member {
				held = now
			}
			switch {
			case !(got >= 0 && got <= min(demandMost, float64(max(1, w.owned)))):
				t.Fatalf("%v with %d partitions", got, w.owned)
			case w.member && !w.held && !w.fewer && w.owned == 0 && got != 0:
				t.Fatalf("%v without a partition", got)
			case (w.held || !w.member) && got != 1, w.owned > 0 && now.Sub(held) < demandCalm && got != 1:
				t.Fatalf("%v within %v of what held it up", got, now.Sub(held))
			}
		}
	})
}

// A longer backlog wants no fewer.
func TestDemandGrowsWithTheBacklog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pace, calls := rapid.Float64Range(1, 1e5).Draw(t, "pace"), rapid.Float64Range(0, 1).Draw(t, "calls")
		seconds := rapid.Float64Range(0, 1e4).Draw(t, "seconds")
		more := seconds + rapid.Float64Range(0, 1e4).Draw(t, "more")
		one := tell(&demand{}, epoch, 20, steady(6, pace, seconds, calls))
		other := tell(&demand{}, epoch, 20, steady(6, pace, more, calls))
		if other < one {
			t.Fatalf("%v with %v s of work, %v with %v s", one, seconds, other, more)
		}
	})
}

// The sum over instances that share a backlog is how many would be done with it in time, and never fewer than there are
// while they are busy. It does not run away as they become more.
func TestDemandAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const partitions = 24
		seconds := rapid.Float64Range(0, 600).Draw(t, "seconds") // of work for one instance
		n := rapid.SampledFrom([]int{1, 2, 3, 4, 6, 8, 12, 24}).Draw(t, "instances")
		sum := 0.0
		for range n {
			sum += tell(&demand{}, epoch, 20, steady(partitions/n, 240, seconds/float64(n), 1))
		}
		want := min(max(float64(n), seconds/demandTarget.Seconds()), partitions, demandMost*float64(n))
		if math.Abs(sum-want) > 0.05*want {
			t.Fatalf("%d instances say %v, want %v", n, sum, want)
		}
	})
}
