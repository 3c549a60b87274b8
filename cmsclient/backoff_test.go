package cmsclient

import (
	"testing"
	"time"
)

func TestBackoffHasFullJitter(t *testing.T) {
	const initial, limit = 100 * time.Millisecond, time.Second
	bounds := []time.Duration{initial, 2 * initial, 4 * initial, 8 * initial, limit, limit, limit}
	low := make([]bool, len(bounds))
	high := make([]bool, len(bounds))
	for range 1000 {
		b := NewBackoff(initial, limit)
		for i, bound := range bounds {
			wait := b.Next(0)
			if wait < 0 || wait > bound {
				t.Fatalf("wait %d is %v, outside [0, %v]", i, wait, bound)
			}
			low[i] = low[i] || wait < bound/10
			high[i] = high[i] || wait > bound*9/10
		}
	}
	for i := range bounds {
		if !low[i] || !high[i] {
			t.Errorf("wait %d does not use its whole range: low %v, high %v", i, low[i], high[i])
		}
	}
}

func TestBackoffHonoursRetryAfter(t *testing.T) {
	for range 1000 {
		wait := NewBackoff(100*time.Millisecond, time.Second).Next(7 * time.Second)
		if wait < 7*time.Second || wait > 7100*time.Millisecond {
			t.Fatalf("waits %v after Retry-After 7 s", wait)
		}
	}
}

// Odd settings must not make it spin or panic.
func TestBackoffWithOddBounds(t *testing.T) {
	for _, c := range [][2]time.Duration{{0, 0}, {1, 1}, {time.Second, time.Millisecond}, {-1, -1}} {
		b := NewBackoff(c[0], c[1])
		for range 100 {
			if wait := b.Next(-1); wait < 0 || wait > max(c[0], c[1], 2) {
				t.Fatalf("bounds %v: wait %v", c, wait)
			}
		}
	}
}
