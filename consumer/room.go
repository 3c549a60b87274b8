package consumer

import "sync/atomic"

// minWindow is how many records of a partition may always be started, however many there are in all: no partition can
// stop another one from working.
const minWindow = 16

// room bounds how many records are started and have no outcome yet, over all partitions of a consumer. A partition
// starts one
//   - always, if it has fewer than minWindow,
//   - otherwise, if all together have less than limit, when it has less than its equal share of that,
//   - and beyond its share while all together have fewer than calls may be made at a time: a few partitions with much
//     to do keep all calls busy, and what comes for another one meanwhile waits for the end of one of them.
//
// So there are never more than limit, and minWindow a partition on top of that. With the partitions that were held all
// the time shares alone keep the sum at limit; the rest is for partitions that come while others are over what is now
// their share, and for more partitions than limit/minWindow.
//
// What a stall leaves behind takes no place in it, or one contract that hangs would stop its partition as soon as its
// requests have filled that one's share, and the commit offset that stands still for it as soon as the others have. It
// has pools of its own.
type room struct {
	limit   int64
	calls   int64
	started atomic.Int64 // over all partitions
	share   atomic.Int64 // of each
	ahead   pool         // records that have an outcome and wait for the commit
	parked  pool         // records that wait behind others of their contract
	due     pool         // records whose outcomes wait for the transaction alone
	starved atomic.Int32 // partitions that wait because of the others
	wake    func()       // has all partitions look again
}

// parkedFactor is how many records may be parked for each that may be in the room. A parked one costs what one in the
// room does, about 1 KiB.
const parkedFactor = 4

// dueFactor is how many outcomes may wait for a transaction for each record that may be in the room; each takes more
// than 2 KiB. With the usual room, brokers that take a third of a second get 24,000 a second; more would turn a
// transaction that takes seconds, such as the first of a cold cluster, into memory.
const dueFactor = 8

func newRoom(limit, calls, ahead int, wake func()) *room {
	r := &room{limit: int64(limit), calls: int64(min(calls, limit)), wake: wake}
	r.ahead.limit, r.parked.limit, r.due.limit = int64(ahead), parkedFactor*r.limit, dueFactor*r.limit
	r.divide(1)
	return r
}

// pool bounds a number over all partitions without shares: a partition may have as many as are left for all. One alone
// gets half of it, two get a third each; who has fewest is refused last (Choudhury and Hahne, Dynamic Queue Length
// Thresholds for Shared-Memory Packet Switches, 1998). It bounds what is started: what was started by then still comes
// on top.
type pool struct {
	limit int64
	used  atomic.Int64
}

// full says whether a partition that has so many already may not have another one. It may always have minWindow.
func (p *pool) full(has int) bool { return has >= minWindow && int64(has) >= p.limit-p.used.Load() }

// divide says how many partitions there are from now on.
func (r *room) divide(partitions int) {
	r.share.Store(max(minWindow, r.limit/int64(max(1, partitions))))
}

// usage says how full it is with so many partitions.
func (r *room) usage(partitions int) Usage {
	ratio := func(used *atomic.Int64, limit int64) float64 {
		return float64(used.Load()) / float64(max(limit, int64(partitions)*minWindow))
	}
	return Usage{ratio(&r.started, r.limit), ratio(&r.parked.used, r.parked.limit),
		max(ratio(&r.ahead.used, r.ahead.limit), ratio(&r.due.used, r.due.limit))}
}

// take counts another record of a partition that has these already. starved says that it is refused because of the
// others.
func (r *room) take(has occupancy) (ok, starved bool) {
	switch {
	case r.ahead.full(has.ahead) || r.parked.full(has.parked) || r.due.full(has.due):
		return false, true
	case has.started < minWindow:
		r.started.Add(1)
		return true, false
	}
	for {
		n := r.started.Load()
		if int64(has.started) >= r.share.Load() && n >= r.calls { // one of its own that is finished has it look again
			return false, false
		}
		if n >= r.limit {
			return false, true
		}
		if r.started.CompareAndSwap(n, n+1) {
			return true, false
		}
	}
}

// add counts what has changed for a partition. A partition that was refused counts itself as starved and then asks once
// more before it waits: either that finds room, or the room is given back after the partition was counted as starved,
// and it is woken.
func (r *room) add(change occupancy) {
	r.started.Add(int64(change.started))
	if change.parked != 0 {
		r.parked.used.Add(int64(change.parked))
	}
	if change.ahead != 0 {
		r.ahead.used.Add(int64(change.ahead))
	}
	if change.due != 0 {
		r.due.used.Add(int64(change.due))
	}
	if r.starved.Load() > 0 && min(change.started, change.parked, change.ahead, change.due) < 0 {
		r.wake()
	}
}
