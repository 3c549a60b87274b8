package term

import (
	"fmt"
	"time"
)

// Latency rounds a duration to what a person can take in.
func Latency(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// Pace is like "1000 requests in 1.2s (820/s)".
func Pace(n int64, noun string, took time.Duration) string {
	text := fmt.Sprintf("%s in %s", Count(n, noun), Latency(took))
	if n > 1 && took > 0 {
		rate := float64(n) / took.Seconds()
		digits := 0
		if rate < 10 {
			digits = 1
		}
		text += fmt.Sprintf(" (%.*f/s)", digits, rate)
	}
	return text
}
