package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// leastGrowth is how much the heap may grow from one run of Go's collector to the next, in bytes. Go lets it double,
	// which with thousands of calls in flight, or a long line of records behind a stall, is a lot of memory for few runs.
	leastGrowth = 24 << 20
	// leastPercent bounds that for a large heap: each run looks at all of it.
	leastPercent = 25
	usualPercent = 100
	// often is when runs follow one another too soon: then memory buys time, as Go has it; seldom, when there is time.
	often  = 150 * time.Millisecond
	seldom = time.Second
)

// collecting adjusts how far the heap may grow. An instance whose heap is small, or that allocates much, has what Go
// would give it.
type collecting struct {
	set     func(percent int) (before int) // debug.SetGCPercent
	growth  uint64                         // bytes
	percent int
	ran     time.Time
}

// paceCollector does so after each run of the collector from now on, unless GOGC says how it is to be.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	newCollecting(debug.SetGCPercent).await()
}

func newCollecting(set func(int) int) *collecting {
	return &collecting{set: set, growth: leastGrowth, percent: usualPercent, ran: time.Now()}
}

// await has a new object to be collected by the next run.
func (c *collecting) await() {
	runtime.AddCleanup(&struct{ _ *int }{}, (*collecting).adjust, c)
}

func (c *collecting) adjust() {
	// What a run looks at, and what Go takes the percentage of (runtime/debug.SetGCPercent).
	base := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(base)
	now := time.Now()
	c.next(base[0].Value.Uint64()+base[1].Value.Uint64()+base[2].Value.Uint64(), now.Sub(c.ran))
	c.ran = now
	c.await()
	c.set(c.percent)
}

// next decides after a run that has looked at so many bytes, that long after the one before.
func (c *collecting) next(base uint64, after time.Duration) {
	switch {
	case after < often:
		c.growth *= 2
	case after > seldom:
		c.growth /= 2
	}
	c.growth = min(max(c.growth, leastGrowth), max(base, leastGrowth))
	percent := usualPercent * c.growth / max(base, 1)
	c.percent = int(min(max(percent, leastPercent), usualPercent))
}
