package schemas

import (
	"testing"
	"time"
)

// A time stamp that another writer has set may be anything.
func TestFormatTime(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for want, at := range map[string]time.Time{
		"2026-03-01T12:00:00.000Z":      time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		"2026-03-01T11:00:00.007Z":      time.Date(2026, 3, 1, 12, 0, 0, 7_999_999, berlin),
		"1969-12-31T23:59:59.999Z":      time.UnixMilli(-1),
		"146140482-04-24T15:36:27.904Z": time.UnixMilli(1 << 62),
	} {
		if got := FormatTime(at); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
