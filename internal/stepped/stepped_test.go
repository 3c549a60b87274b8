package stepped

import (
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{-time.Hour, 0, time.Hour} {
		s := Time(now, by)
		if s.Sub(now) != 0 || s.Round(0).Sub(now.Round(0)) != by {
			t.Errorf("by %v: %v apart, %v on the wall", by, s.Sub(now), s.Round(0).Sub(now.Round(0)))
		}
	}
}
