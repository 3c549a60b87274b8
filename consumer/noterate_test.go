package consumer

import (
	"testing"
	"testing/synctest"
	"time"
)

// Behind a held record the offset stands still, and what is finished above it is named again and again. What that
// writes to the group's log is bounded, and everything is named soon after it finished, and at once when the partition
// is given back.
func TestNotesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPartition(&Consumer{cfg: testConfig(), delivery: &fakeDelivery{}, room: newRoom(1<<20, 0, 1<<20, func() {})},
			0, &fakeLease{}, position{})
		finish := func(offset int64) {
			p.tracker.finish(p.tracker.start(offset, offset+1))
		}
		held := p.tracker.start(0, 1)
		const seconds, interval = 60, 100 * time.Millisecond
		written, commits, offset := 0, 0, int64(1)
		for range seconds * int(time.Second/interval) {
			p.tracker.start(offset, offset+1) // unfinished: a stretch more to name each time
			finish(offset + 1)
			offset += 2
			<-time.After(interval)
			if o, ok := p.toCommit(aheadLimit); ok {
				written += len(o.Metadata)
				commits++
				p.noteCommitted(o)
			}
		}
		if most := seconds*noteRate + aheadLimit; written > most || commits < 2*seconds {
			t.Errorf("%d characters in %d commits, at most %d", written, commits, most)
		}
		if full, all := p.note(0, p.tracker.above(), aheadLimit); !all || len(full.Metadata) < 1000 {
			t.Fatalf("%d characters: the test proves nothing", len(full.Metadata))
		}
		finish(offset)
		if _, ok := p.toCommit(aheadLimit); ok {
			t.Error("a long note is committed again at once")
		}
		p.draining = true
		if _, ok := p.toCommit(aheadLimit); !ok {
			t.Error("a partition that is given back does not name what has finished")
		}
		p.draining = false
		p.tracker.finish(held)
		if o, ok := p.toCommit(aheadLimit); !ok || o.Offset == 0 {
			t.Error("an offset that has moved waits")
		}
	})
}
