package consumer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// logged is a record of the log that lives plays.
type logged struct{ offset, contract int64 }

// lives is a partition whose owners die again and again. It plays what surrounds the tracker: reading in order,
// completing in the order of each contract, acknowledgements in any order, commits now and then.
type lives struct {
	t     *rapid.T
	log   []logged
	limit int // of the metadata

	durable map[int64]bool // acknowledged by any owner
	answers []logged       // every outcome that was written, in that order

	// What the last commit stored, and what was known then.
	next      int64
	metadata  string
	all       bool
	acked     map[int64]bool
	committed []Run

	// Of the present owner.
	skips     func(offset int64) bool // what it was told at its beginning
	tracker   tracker
	read      int                // records of log read
	waiting   map[int64][]logged // by contract, not completed yet
	completed []logged           // not acknowledged yet
	tickets   map[int64]ticket
}

func (l *lives) begin() {
	ahead, err := decodeAhead(l.next, l.metadata)
	if err != nil {
		l.t.Fatal(err)
	}
	l.committed = slices.Clone(ahead)
	l.tracker = newTracker(l.next, ahead)
	next, told := l.next, slices.Clone(ahead)
	l.skips = func(offset int64) bool {
		return offset < next || slices.ContainsFunc(told, func(r Run) bool { return r.From <= offset && offset < r.To })
	}
	l.read = 0
	for l.read < len(l.log) && l.log[l.read].offset < l.next {
		l.read++
	}
	l.waiting, l.completed, l.tickets = map[int64][]logged{}, nil, map[int64]ticket{}
	for _, r := range l.log {
		l.checkRestart(r)
	}
}

// checkRestart holds what the last commit says of a record against what is true.
func (l *lives) checkRestart(r logged) {
	if l.skips(r.offset) {
		if !l.durable[r.offset] {
			l.t.Fatalf("%v is skipped and was never answered", r)
		}
		return
	}
	if !l.acked[r.offset] { // when the commit was made: may be repeated
		return
	}
	earlier := slices.ContainsFunc(l.log, func(e logged) bool {
		return e.contract == r.contract && e.contract != 0 && e.offset < r.offset && !l.acked[e.offset]
	})
	fits := l.all || len(l.committed) > 0 && r.offset < l.committed[len(l.committed)-1].To
	if !earlier && fits {
		l.t.Fatalf("%v was answered before the commit of %d, and is repeated; skipped are %v", r, l.next, l.committed)
	}
}

func (l *lives) readOne() {
	if l.read == len(l.log) {
		return
	}
	r := l.log[l.read]
	l.read++
	skip := l.skips(r.offset)
	if got := l.tracker.answered(r.offset); got != skip {
		l.t.Fatalf("answered(%d) = %v, the commit said %v", r.offset, got, skip)
	}
	if !skip {
		l.tickets[r.offset] = l.tracker.start(r.offset, r.contract)
		l.waiting[r.contract] = append(l.waiting[r.contract], r)
	}
	if rapid.Bool().Draw(l.t, "end of a chunk") {
		end := r.offset + 1
		if l.read < len(l.log) {
			end = rapid.Int64Range(end, l.log[l.read].offset).Draw(l.t, "skip")
		}
		l.tracker.skip(end)
	}
}

func (l *lives) completeOne() {
	var contracts []int64
	for contract, waiting := range l.waiting {
		if len(waiting) > 0 {
			contracts = append(contracts, contract)
		}
	}
	if len(contracts) == 0 {
		return
	}
	slices.Sort(contracts)
	contract := rapid.SampledFrom(contracts).Draw(l.t, "contract")
	r := l.waiting[contract][0]
	l.waiting[contract] = l.waiting[contract][1:]
	l.completed = append(l.completed, r)
	l.answers = append(l.answers, r)
}

func (l *lives) acknowledgeOne() {
	if len(l.completed) == 0 {
		return
	}
	i := rapid.IntRange(0, len(l.completed)-1).Draw(l.t, "acknowledged")
	r := l.completed[i]
	l.completed = slices.Delete(l.completed, i, i+1)
	l.durable[r.offset] = true
	l.tracker.finish(l.tickets[r.offset])
}

func (l *lives) commit() {
	next := l.tracker.next
	if next < l.next {
		l.t.Fatalf("the commit went back from %d to %d", l.next, next)
	}
	l.metadata, l.all = encodeAhead(next, l.tracker.above(), l.limit)
	l.next = next
	runs, err := decodeAhead(next, l.metadata)
	if err != nil {
		l.t.Fatalf("%v of %v: %v", l.metadata, slices.Collect(l.tracker.above()), err)
	}
	l.committed = runs
	l.acked = map[int64]bool{}
	for _, r := range l.log {
		// What this owner was not told of, because an earlier one's commit did not, it does not know to be finished.
		_, started := l.tickets[r.offset]
		l.acked[r.offset] = r.offset < next || started && l.finished(r.offset) || l.tracker.knows(r.offset)
	}
}

// finished says whether this owner has seen the record's acknowledgement.
func (l *lives) finished(offset int64) bool {
	k := l.tickets[offset]
	return k < l.tracker.first || l.tracker.entries[k-l.tracker.first].finished
}

// knows says whether the offset was finished by an earlier owner, as far as the tracker was told and has kept it.
func (t *tracker) knows(offset int64) bool {
	before := t.next
	for _, e := range t.entries {
		if !e.started && before <= offset && offset < e.after {
			return true
		}
		before = e.after
	}
	return slices.ContainsFunc(t.ahead, func(r Run) bool { return r.From <= offset && offset < r.To })
}

// Whichever owner dies when: every record is answered, nothing is skipped that was not, nothing is repeated that was
// named or should have been, and a contract's last answers come out in order.
func TestRestartsSkipWhatIsFinished(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := &lives{t: t, limit: rapid.SampledFrom([]int{0, 8, 12, 20, aheadLimit}).Draw(t, "limit"),
			durable: map[int64]bool{}, acked: map[int64]bool{}, all: true}
		offset := rapid.Int64Range(0, 300).Draw(t, "first")
		l.next = offset
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			offset += rapid.SampledFrom([]int64{1, 1, 1, 3}).Draw(t, "step")
			l.log = append(l.log, logged{offset, rapid.Int64Range(0, 6).Draw(t, "contract")})
		}
		l.begin()
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"read", "read", "complete", "complete", "ack", "ack", "commit", "die"}).
				Draw(t, "step") {
			case "read":
				l.readOne()
			case "complete":
				l.completeOne()
			case "ack":
				l.acknowledgeOne()
			case "commit":
				l.commit()
			case "die":
				if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					l.begin()
				}
			}
		}
		for range l.log {
			l.readOne()
		}
		for range l.log {
			l.completeOne()
		}
		for len(l.completed) > 0 {
			l.acknowledgeOne()
		}
		l.commit()
		if end := l.log[len(l.log)-1].offset + 1; l.next != end || l.metadata != "" {
			t.Fatalf("in the end %d is committed with %q, want %d", l.next, l.metadata, end)
		}
		last := map[int64]int{} // where the last answer to an offset is
		for i, r := range l.answers {
			last[r.offset] = i
		}
		before := map[int64]logged{}
		for _, r := range l.log {
			if _, ok := last[r.offset]; !ok || !l.durable[r.offset] {
				t.Fatalf("%v was never answered", r)
			}
			if b, ok := before[r.contract]; ok && r.contract != 0 && last[b.offset] > last[r.offset] {
				t.Fatalf("the last answer to %v comes after that to %v", b, r)
			}
			before[r.contract] = r
		}
	})
}
