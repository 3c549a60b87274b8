package telemetry

import "time"

// What a demand goes by. docs/scaling.md names them.
const (
	demandTarget = 30 * time.Second // within which what waits should be begun
	demandWindow = time.Minute      // over which rates and shares are averaged
	demandCalm   = 30 * time.Second // nothing has held the work up for so long before more or fewer are wanted
	demandMost   = 4.0              // so much at once and no more, whatever a backlog looks like at a moment
	busyEnough   = 0.6              // an instance that is less busy is more than its work needs
	busyAtLimit  = 0.8              // from here on, what is behind is behind for want of instances
)

// demand is how many instances like this one its work is worth, from moment to moment. It follows from what it was told
// alone: no clock, no input.
//
// The sum over the instances of a group is how many there should be. Each counts the partitions that it owns and no
// others, at its own pace: n instances with a share each of the same backlog say together what one would say, but n at
// least, as long as they are busy. In an outage each says 1, and the sum is how many there are.
type demand struct {
	seen []workload // ascending, while nothing held the work up, of the last demandWindow
	calm time.Time  // since when nothing does
}

// workload is what an instance has to do at a moment, and can.
type workload struct {
	at       time.Time
	member   bool // of the group, so that owned says something
	owned    int  // partitions
	waits    map[int32]waiting
	held     bool    // the work is held up by what instances cannot cure: the CMS, Kafka, an operator
	calls    float64 // calls under way as a ratio of how many may be
	fewer    bool    // as many are under way as may be, and that is fewer than configured: the CMS gets slower
	cpuRatio float64 // CPU used since the moment before, as a ratio of all there is
}

// waiting is where a partition is.
type waiting struct{ begun, end int64 }

// next returns the demand at a moment: 0 where it owns nothing, 1 where nothing is to change, more while it is behind,
// less while it has little to do. It is at most demandMost, and at most the number of partitions, as no more instances
// could share them. It must be called with ascending times.
func (d *demand) next(w workload) float64 {
	switch {
	case !w.member || w.held || w.fewer && w.cpuRatio < busyAtLimit:
		d.seen = nil
		return 1
	case w.owned == 0:
		d.seen = nil
		return 0
	}
	if len(d.seen) == 0 {
		d.calm = w.at
	}
	d.seen = append(d.seen, w)
	for len(d.seen) > 2 && w.at.Sub(d.seen[1].at) >= demandWindow {
		d.seen = d.seen[1:]
	}
	if w.at.Sub(d.calm) < demandCalm {
		return 1
	}
	busy := d.busy()
	backlog := w.backlog()
	if backlog == 0 {
		return min(1, busy/busyEnough)
	}
	pace := d.pace()
	if pace == 0 { // what is to be told from a standstill is told by others
		return 1
	}
	behind := max(1, float64(backlog)/pace/demandTarget.Seconds())
	// Where workers are free, what waits waits for something else, such as others of its contract.
	lacking := min(1, max(0, (busy-busyEnough)/(busyAtLimit-busyEnough)))
	return min(float64(w.owned), demandMost, min(1, busy/busyEnough)*(1+lacking*(behind-1)))
}

// backlog is how many offsets were not begun.
func (w *workload) backlog() (offsets int64) {
	for _, p := range w.waits {
		offsets += max(0, p.end-p.begun)
	}
	return offsets
}

// pace is how many offsets are begun a second.
func (d *demand) pace() float64 {
	var begun int64
	for i, w := range d.seen[1:] {
		for id, p := range w.waits {
			if before, held := d.seen[i].waits[id]; held {
				begun += max(0, p.begun-before.begun)
			}
		}
	}
	return float64(begun) / d.seen[len(d.seen)-1].at.Sub(d.seen[0].at).Seconds()
}

// busy is how much of what the instance can do it does, on average: by calls under way or by CPU, whichever is more.
func (d *demand) busy() float64 {
	var calls, cpu float64
	for _, w := range d.seen {
		calls, cpu = calls+w.calls, cpu+w.cpuRatio
	}
	return min(1, max(calls, cpu)/float64(len(d.seen)))
}
