package consumer

// tracker finds the offset that may be committed for one partition while its records finish in any order: the end of the
// contiguous run of finished ones. It is pure; the partition guards it.
//
// Offsets must be started in ascending order; gaps (compaction, control records) are no obstacle.
type tracker struct {
	first   ticket // of entries[0]
	entries []tracked
	next    int64 // the offset to commit: everything below it is finished
	open    int   // started and not yet passed by next
}

// ticket names a started record within its tracker.
type ticket uint64

type tracked struct {
	after    int64 // the offset to commit when this and everything before it is finished
	finished bool
	started  bool // false: a stretch without records, which holds no place in the window
}

func newTracker(next int64) tracker { return tracker{next: next} }

// start notes that the record at offset is being worked on.
func (t *tracker) start(offset int64) ticket {
	t.entries = append(t.entries, tracked{after: offset + 1, started: true})
	t.open++
	return t.first + ticket(len(t.entries)-1)
}

// finish notes that a record is done and returns how many records the commit offset moved past. Finishing twice, or a
// ticket from before a reset, changes nothing.
func (t *tracker) finish(k ticket) int {
	if k < t.first || k >= t.first+ticket(len(t.entries)) {
		return 0
	}
	t.entries[k-t.first].finished = true
	return t.advance()
}

// skip notes that there are no records between the last one started and offset, so that the commit offset can move past
// control records and compacted stretches too.
func (t *tracker) skip(offset int64) {
	last := t.next
	if n := len(t.entries); n > 0 {
		last = t.entries[n-1].after
	}
	if offset > last {
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
	return moved
}

// reset forgets everything and goes on at offset; tickets given out before mean nothing any more.
func (t *tracker) reset(offset int64) {
	t.first += ticket(len(t.entries))
	t.entries, t.next, t.open = nil, offset, 0
}
