package consumer

import (
	"context"
	"testing"

	"github.com/balanceq/balanceq/inflight"
)

// BenchmarkTracker is what a record costs its partition's tracker: finished in order, and with one record that stays
// unfinished while 80 others finish behind it, all named in a commit.
func BenchmarkTracker(b *testing.B) {
	b.Run("in order", func(b *testing.B) {
		t := newTracker(0, nil)
		offset := int64(0)
		b.ReportAllocs()
		for b.Loop() {
			t.finish(t.start(offset, offset%100+1))
			offset++
		}
	})
	b.Run("behind one", func(b *testing.B) {
		t := newTracker(0, nil)
		offset := int64(0)
		b.ReportAllocs()
		for b.Loop() {
			first := t.start(offset, 1)
			for i := range int64(80) {
				t.finish(t.start(offset+1+i, 2+i))
			}
			if _, all := encodeNote(logID{}, 0, t.next, t.above(), aheadLimit); !all {
				b.Fatal("the note is full")
			}
			if t.finish(first); t.open != 0 {
				b.Fatal(t.open)
			}
			offset += 81
		}
	})
}

// BenchmarkLanes is what a record costs on its way through its lane: alone in it, and behind others of its contract.
func BenchmarkLanes(b *testing.B) {
	for name, contracts := range map[string]int64{"own lanes": 1 << 20, "ten lanes": 10} {
		b.Run(name, func(b *testing.B) {
			handled := make(chan struct{}, 256)
			handle := func(_ context.Context, lane *Lane) {
				lane.Take(1, func(*inflight.Request) bool { handled <- struct{}{}; return true })
			}
			l := newLanes(HandlerFunc(handle), 16)
			p := &partition{lease: &fakeLease{}}
			slots := make([]*slot, 1024) // as many as the window has, over and over
			for i := range slots {
				slots[i] = record(p, 1, 0)
			}
			n := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				if n >= int64(len(slots)) {
					<-handled
				}
				s := slots[n%int64(len(slots))]
				s.req.Request.ContractID = 1 + n%contracts
				l.submit(b.Context(), s)
				n++
			}
			for range min(n, int64(len(slots))) {
				<-handled
			}
			l.close()
		})
	}
}
