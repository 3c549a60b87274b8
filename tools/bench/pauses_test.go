package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPauses(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	p := newPauses(2, start)
	p.add([]answer{{0, at(5), "a"}, {1, at(5), "b"}}, at(900)) // a start takes as long as it takes
	p.mark()
	p.add([]answer{{2, at(890), "a"}}, at(1000))
	p.add([]answer{{2, at(890), "a"}}, at(1200)) // again: no progress
	p.add([]answer{{4, at(895), "a"}, {6, at(892), "c"}}, at(1250))
	longest, repeated := p.sinceMark(at(1300))
	if longest[0] != 250*time.Millisecond || longest[1] != 400*time.Millisecond || repeated != 1 {
		t.Errorf("longest %v, repeated %d; the pause of partition 1 goes on", longest, repeated)
	}
	for since, want := range map[int]int{0: 0, 5: 1, 894: 1, 895: 2} {
		if got := p.behind(at(since)); got != want {
			t.Errorf("%d behind %d ms, want %d", got, since, want)
		}
	}
	p.mark()
	longest, repeated = p.sinceMark(at(1300))
	if longest[0] != 50*time.Millisecond || longest[1] != 400*time.Millisecond || repeated != 0 {
		t.Errorf("after the mark: %v %d; a pause that goes on began before it", longest, repeated)
	}
	if distinct, repeated, disorder := p.total(); distinct != 5 || repeated != 1 || disorder != 0 {
		t.Error(distinct, repeated, disorder)
	}
}

// The longest pause is what sorting out each partition's answers afterwards finds.
func TestPausesAreTheLargestDistances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1000, 0)
		parts := rapid.IntRange(1, 4).Draw(t, "partitions")
		p, now := newPauses(parts, start), start
		came, seen, repeated := make([][]time.Time, parts), map[int]bool{}, 0
		for partition := range came {
			came[partition] = []time.Time{start}
		}
		for range rapid.IntRange(0, 30).Draw(t, "answers") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "distance")) * time.Millisecond)
			number := rapid.IntRange(0, 20).Draw(t, "number")
			p.add([]answer{{number, start, "a"}}, now)
			if seen[number] {
				repeated++
				continue
			}
			seen[number] = true
			came[number%parts] = append(came[number%parts], now)
		}
		longest, again := p.sinceMark(now)
		if again != repeated {
			t.Errorf("%d repeated, not %d", again, repeated)
		}
		for partition, times := range came {
			want := now.Sub(times[len(times)-1])
			for i := range times[1:] {
				want = max(want, times[i+1].Sub(times[i]))
			}
			if longest[partition] != want {
				t.Errorf("partition %d: %v, want %v", partition, longest[partition], want)
			}
		}
	})
}
