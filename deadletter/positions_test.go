package deadletter

import (
	"testing"

	"pgregory.net/rapid"
)

// A set of positions is a set.
func TestPositions(t *testing.T) {
	t.Parallel()
	type at struct {
		partition int32
		offset    int64
	}
	rapid.Check(t, func(t *rapid.T) {
		var s Positions
		want := map[at]bool{}
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			p := at{rapid.Int32Range(0, 2).Draw(t, "partition"), rapid.Int64Range(0, 200).Draw(t, "offset")}
			if rapid.Bool().Draw(t, "remove") {
				if got := s.Remove(p.partition, p.offset); got != want[p] {
					t.Fatalf("removing %v says %t", p, got)
				}
				delete(want, p)
			} else {
				s.Add(p.partition, p.offset)
				want[p] = true
			}
			if s.Len() != len(want) || s.Has(p.partition, p.offset) != want[p] {
				t.Fatalf("%d positions, want %d; has %v: %t", s.Len(), len(want), p, s.Has(p.partition, p.offset))
			}
		}
		for partition := range int32(3) {
			for offset := range int64(201) {
				if p := (at{partition, offset}); s.Has(partition, offset) != want[p] {
					t.Fatalf("has %v: %t", p, !want[p])
				}
			}
		}
	})
	if (*Positions)(nil).Has(0, 0) {
		t.Error("nothing holds something")
	}
}
