package consumer

import (
	"testing"

	"pgregory.net/rapid"
)

// naiveTracker is the tracker in its simplest form: it remembers everything since the last reset.
type naiveTracker struct {
	begin   int64
	records []naiveRecord
	high    int64 // the end of what was started or skipped
}

type naiveRecord struct {
	offset   int64
	ticket   ticket
	finished bool
}

// next is the end of the contiguous finished run: the first unfinished offset; a stretch without records after the last
// finished one belongs to the run only if it was skipped.
func (n *naiveTracker) next(skipped map[int64]int64) int64 {
	next := n.begin
	for _, r := range n.records {
		if !r.finished {
			// A stretch before it counts when it was skipped.
			return max(next, skippedTo(skipped, next, r.offset))
		}
		next = r.offset + 1
	}
	return max(next, skippedTo(skipped, next, n.high))
}

// skippedTo returns where the skips that start at from lead, at most to limit.
func skippedTo(skipped map[int64]int64, from, limit int64) int64 {
	for {
		to, ok := skipped[from]
		if !ok || to > limit {
			return from
		}
		from = to
	}
}

// open counts the started records that next has not passed.
func (n *naiveTracker) open() int {
	for i, r := range n.records {
		if !r.finished {
			return len(n.records) - i
		}
	}
	return 0
}

func TestTrackerAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.Int64Range(0, 1000).Draw(t, "begin")
		tr := newTracker(begin, nil)
		model := naiveTracker{begin: begin, high: begin}
		skipped := map[int64]int64{} // from → to

		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			before, openBefore := tr.next, model.open()
			switch rapid.SampledFrom([]string{"start", "start", "finish", "finish", "finish", "skip", "late"}).Draw(t, "step") {
			case "start":
				offset := model.high + rapid.Int64Range(0, 5).Draw(t, "gap")
				k := tr.start(offset, 0)
				for _, r := range model.records {
					if r.ticket == k {
						t.Fatalf("ticket %d was given out twice", k)
					}
				}
				model.records = append(model.records, naiveRecord{offset: offset, ticket: k})
				model.high = offset + 1
			case "finish": // possibly one that is finished
				if len(model.records) > 0 {
					r := &model.records[rapid.IntRange(0, len(model.records)-1).Draw(t, "which")]
					r.finished = true
					moved := tr.finish(r.ticket)
					if want := openBefore - model.open(); moved != want {
						t.Fatalf("finish moved past %d records, want %d", moved, want)
					}
				}
			case "late":
				if n := tr.finish(ticket(1 << 40)); n != 0 {
					t.Fatalf("a ticket never given out moved past %d records", n)
				}
			case "skip":
				to := model.high + rapid.Int64Range(-3, 9).Draw(t, "by")
				tr.skip(to)
				if to > model.high {
					skipped[model.high] = to
					model.high = to
				}
			}
			if want := model.next(skipped); tr.next != want {
				t.Fatalf("next = %d, want %d", tr.next, want)
			}
			if tr.open != model.open() {
				t.Fatalf("open = %d, want %d", tr.open, model.open())
			}
			if tr.next < before {
				t.Fatalf("next went back from %d to %d", before, tr.next)
			}
		}
	})
}

// Memory does not grow with what has passed.
func TestTrackerForgets(t *testing.T) {
	t.Parallel()
	tr := newTracker(0, nil)
	for offset := range int64(100_000) {
		k := tr.start(offset, 0)
		if offset%3 == 0 {
			tr.skip(offset + 1)
		}
		tr.finish(k)
	}
	if len(tr.entries) != 0 || cap(tr.entries) > 1024 || tr.open != 0 || tr.next != 100_000 {
		t.Errorf("%d entries (capacity %d), %d open, next %d", len(tr.entries), cap(tr.entries), tr.open, tr.next)
	}
}
