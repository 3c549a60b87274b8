package producer

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// On any line that carries the least of what may be sent within the time for it, what is sent fits the line after a few
// tries and goes on fitting, and a fast line carries the most again soon.
func TestPaceFindsTheLine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const most, timeout = 8 << 20, 15 * time.Second
		p := pace{limit: rapid.IntRange(leastPace, most).Draw(t, "limit"), most: most, aim: timeout / 3}
		latency := time.Duration(rapid.IntRange(0, 1000).Draw(t, "latency")) * time.Millisecond
		send := func(rate float64) bool { // all that may be sent at a time
			size := p.limit
			d := latency + time.Duration(float64(size)/rate*float64(time.Second))
			if d > p.timeout(size, timeout) {
				p.late(size)
				return false
			}
			p.took(size, d)
			return true
		}
		slow := rapid.Float64Range(2*leastPace/timeout.Seconds(), most).Draw(t, "rate")
		late := 0
		for i := range 40 {
			if !send(slow) {
				late = i + 1
			}
			if p.limit < leastPace || p.limit > most {
				t.Fatalf("limit %d", p.limit)
			}
		}
		if late > 4 { // 8 MiB quartered
			t.Errorf("try %d is too much for a line of %.0f B/s", late, slow)
		}
		for range 12 {
			send(1 << 30)
		}
		if latency < p.aim/2 && p.limit != most {
			t.Errorf("a fast line carries %d at a time, want %d", p.limit, most)
		}
	})
}

// What small sizes take is the brokers' time: it says nothing about the line.
func TestPaceOfSmallSizes(t *testing.T) {
	t.Parallel()
	p := pace{limit: 4 << 20, most: 8 << 20, aim: time.Second}
	for range 10 {
		p.took(1000, 900*time.Millisecond)
		p.took(1000, time.Millisecond)
		p.took(0, 0)
	}
	if p.limit != 4<<20 {
		t.Errorf("limit %d", p.limit)
	}
}

// A single message larger than the limit gets time in proportion.
func TestTimeoutOfALargeMessage(t *testing.T) {
	t.Parallel()
	p := pace{limit: leastPace, most: 8 << 20, aim: 5 * time.Second}
	if got := p.timeout(leastPace, 15*time.Second); got != 15*time.Second {
		t.Errorf("%v for what fits", got)
	}
	if got := p.timeout(16*leastPace, 15*time.Second); got != 160*time.Second {
		t.Errorf("%v for 16 times as much", got)
	}
}
