package consumer

import (
	"iter"
	"slices"
	"time"
)

// tracker finds the offset that may be committed for one partition while its records finish in any order: the end of
// the contiguous run of finished ones; and what is finished beyond it. It is pure; the partition guards it.
//
// Offsets must be started in ascending order; gaps (compaction, control records) are no obstacle.
type tracker struct {
	first   ticket // of entries[0]
	entries []tracked
	next    int64 // the offset to commit: everything below it is finished
	open    int   // started and not yet passed by next
	ahead   []Run // beyond what was read: finished by a former owner, as its last commit says
}

// ticket names a started record within its tracker.
type ticket uint64

type tracked struct {
	after    int64 // the offset to commit when this and everything before it is finished
	written  int64 // the record's timestamp, in Unix milliseconds
	contract int64 // whose order the record keeps; 0: none
	finished bool
	started  bool // false: a stretch with nothing to do, which takes no slot in the window
}

// newTracker begins at next. ahead are the runs above it that need not be started.
func newTracker(next int64, ahead []Run) tracker { return tracker{next: next, ahead: ahead} }

// start notes that the record at offset is being worked on.
func (t *tracker) start(offset, contract int64) ticket {
	t.entries = append(t.entries, tracked{after: offset + 1, contract: contract, started: true})
	t.open++
	return t.first + ticket(len(t.entries)-1) //nolint:gosec // there is one at least
}

// date notes the timestamp of the record that was started last.
func (t *tracker) date(written time.Time) { t.entries[len(t.entries)-1].written = written.UnixMilli() }

// finish notes that a record is done and returns how many records the commit offset moved past. Finishing twice changes
// nothing.
func (t *tracker) finish(k ticket) int {
	if k < t.first || k >= t.first+ticket(len(t.entries)) {
		return 0
	}
	t.entries[k-t.first].finished = true
	return t.advance()
}

// answered says whether the record at offset was finished by a former owner. Then it is not to be started,
// and the commit offset can move past it.
func (t *tracker) answered(offset int64) bool {
	for len(t.ahead) > 0 && t.ahead[0].To <= offset {
		t.ahead = t.ahead[1:]
	}
	if offset >= t.next && (len(t.ahead) == 0 || offset < t.ahead[0].From) {
		return false
	}
	t.skip(offset + 1)
	return true
}

// forget notes that what a former owner finished from offset on is not there any more. Nothing of it was started: where
// next is above it, a run of that owner's took it there (advance).
func (t *tracker) forget(offset int64) {
	t.ahead = slices.Collect(below(slices.Values(t.ahead), offset))
	t.next = min(t.next, offset)
}

// begun returns the offset behind what was started last.
func (t *tracker) begun() int64 {
	if n := len(t.entries); n > 0 {
		return t.entries[n-1].after
	}
	return t.next
}

// skip notes that there is nothing to do between the last record started and offset, so that the commit offset can move
// past control records and compacted stretches too.
func (t *tracker) skip(offset int64) {
	n := len(t.entries)
	switch {
	case offset <= t.begun():
	case n > 0 && !t.entries[n-1].started:
		t.entries[n-1].after = offset
	default:
		t.entries = append(t.entries, tracked{after: offset, finished: true})
		t.advance()
	}
}

func (t *tracker) advance() (moved int) {
	i := 0
	for i < len(t.entries) && t.entries[i].finished {
		if t.entries[i].started {
			moved++
		}
		t.next = t.entries[i].after
		i++
	}
	t.entries = t.entries[i:]
	t.first += ticket(i)
	t.open -= moved
	for len(t.entries) == 0 && len(t.ahead) > 0 && t.ahead[0].From <= t.next {
		t.next = max(t.next, t.ahead[0].To) // before its records come; those are answered all the same
		t.ahead = t.ahead[1:]
	}
	return moved
}

// above returns the finished runs beyond next that the next owner may skip, in ascending order; they do not touch.
//
// Skipping must not change the order of a contract's answers. So a finished record is left out while an earlier one of
// its contract is not: records of one lane are completed in order, but a dead letter can be acknowledged later than the
// result after it, and the next owner would answer the earlier record behind the skipped one. Hence whatever is skipped
// has all of its contract's records before it skipped too or below next, and whatever is answered again has all of its
// contract's records after it answered again, by the same lane, in order. Runs that this owner has not reached yet
// (ahead) were found by the same rule, and nothing started since lies before them that was not unfinished then.
func (t *tracker) above() iter.Seq[Run] {
	return func(yield func(Run) bool) {
		held := map[int64]bool{} // contracts with an unfinished record
		var r Run                // the current run
		end := t.next
		add := func(from, to int64) bool {
			if r.To == from {
				r.To = to
				return true
			}
			last := r
			r = Run{from, to}
			return last.To == 0 || yield(last)
		}
		for _, e := range t.entries {
			switch {
			case !e.finished && e.contract != 0:
				held[e.contract] = true
			case e.finished && !held[e.contract] && !add(end, e.after):
				return
			}
			end = e.after
		}
		for _, a := range t.ahead {
			if a.To > end && !add(max(a.From, end), a.To) {
				return
			}
		}
		if r.To != 0 {
			yield(r)
		}
	}
}
