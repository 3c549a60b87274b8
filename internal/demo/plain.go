package demo

import (
	"context"
	"fmt"
	"io"
	"time"
)

// plainView writes a line when an act begins and one a second: for pipes, logs and terminals without cursor movement.
type plainView struct{ out io.Writer }

const (
	plainLook  = 100 * time.Millisecond
	plainEvery = time.Second
)

func (v plainView) show(ctx context.Context, take func(time.Time) snapshot) {
	tick := time.NewTicker(plainLook)
	defer tick.Stop()
	act, last := -1, time.Now()
	for now := last; ; {
		if s := take(now); s.act != act {
			act = s.act
			_, _ = fmt.Fprintf(v.out, "\n%s: %s\nLook at: %s\n", story[act].name, story[act].says, story[act].watch)
		} else if now.Sub(last) >= plainEvery {
			last = last.Add(plainEvery)
			_, _ = fmt.Fprintln(v.out, plainLine(s))
		}
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
	}
}

// plainLine is one second in a line.
func plainLine(s snapshot) string {
	state := s.breaker.String()
	if s.coolDown > 0 {
		state += ", calls pause " + seconds(s.coolDown)
	}
	return fmt.Sprintf("%4.0fs  requests %5d %4.0f/s  calls %5d %4.0f/s  results %5d %4.0f/s  ",
		s.elapsed.Seconds(), s.requests, s.requestRate, s.calls, s.callRate, s.results, s.resultRate) +
		fmt.Sprintf("dead letters %4d  lag %4d  p50 %s p99 %s  breaker %s", s.deadLetters, s.lag, short(s.p50), short(s.p99),
			state)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// short writes a latency in three digits.
func short(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return seconds(d)
}
