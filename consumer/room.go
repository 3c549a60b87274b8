package consumer

import "sync/atomic"

// minWindow is how many records of a partition may always be started, however many there are in all: no partition can
// stop another one from working.
const minWindow = 16

// room bounds how far work runs ahead of the committed offsets: how many records are started and not yet behind them,
// over all partitions of a consumer. A partition starts one
//   - always, if it has fewer than minWindow,
//   - and otherwise if it has less than its equal share of limit, and all together have less than limit.
//
// So there are never more than limit, and minWindow a partition on top of that. With the partitions that were held all
// the time shares alone keep the sum at limit; the rest is for partitions that come while others are over what is now
// their share, and for more partitions than limit/minWindow.
type room struct {
	limit   int64
	started atomic.Int64 // over all partitions
	share   atomic.Int64 // of each
	starved atomic.Int32 // partitions that wait because of the others, being below their share
	wake    func()       // has all partitions look again
}

func newRoom(limit int, wake func()) *room {
	r := &room{limit: int64(limit), wake: wake}
	r.divide(1)
	return r
}

// divide says how many partitions there are from now on.
func (r *room) divide(partitions int) {
	r.share.Store(max(minWindow, r.limit/int64(max(1, partitions))))
}

// take counts another record of a partition that has so many already. starved says that it is refused because of the
// others.
func (r *room) take(has int) (ok, starved bool) {
	switch {
	case has < minWindow:
		r.started.Add(1)
		return true, false
	case int64(has) >= r.share.Load():
		return false, false
	}
	for {
		n := r.started.Load()
		if n >= r.limit {
			return false, true
		}
		if r.started.CompareAndSwap(n, n+1) {
			return true, false
		}
	}
}

// give takes records out of the count. A partition that was refused counts itself as starved and then asks once more
// before it waits: either that finds room, or the room is given back after the partition was counted as starved, and it
// is woken.
func (r *room) give(records int) {
	if r.started.Add(-int64(records)); r.starved.Load() > 0 {
		r.wake()
	}
}
