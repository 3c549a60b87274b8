package term

import (
	"time"
)

func Seconds(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func Time(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000 MST") }

// Latency rounds to what a person reads at a glance.
func Latency(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
