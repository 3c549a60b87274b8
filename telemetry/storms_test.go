package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// said is a line of the log.
type said struct {
	Event, Message, Of string
	Lines              int
}

func linesOf(t *testing.T, log string) (all []said) {
	t.Helper()
	for line := range strings.Lines(log) {
		var s said
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, s)
	}
	return all
}

// Whichever event comes with each of 5,000 records of half a minute, a few lines tell of it, and the counts add up; a
// line of another event is not lost among them.
func TestStorms(t *testing.T) {
	for _, event := range Events {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			log, err := NewLogger(zerolog.SyncWriter(&out), "info", "json")
			if err != nil {
				t.Fatal(err)
			}
			const records = 5_000
			for i := range records {
				log.WithLevel(event.Level).Str("event", event.Name).Int("record", i).Msg(event.Means)
				if i == records/2 {
					log.Warn().Str("event", "another").Msg("another one")
				}
				<-time.After(6 * time.Millisecond)
			}
			<-time.After(stormPeriod)
			synctest.Wait()
			written, leftOut, others := 0, 0, 0
			for _, line := range linesOf(t, out.String()) {
				switch line.Event {
				case "another":
					others++
				case "lines_left_out":
					if line.Of != "" {
						leftOut += line.Lines
						if line.Of != event.Means {
							t.Errorf("%s: it counts %q", event.Name, line.Of)
						}
						continue
					}
					written++
				case event.Name:
					written++
				}
			}
			if written+leftOut != records || written > 4*stormLines || others != 1 {
				t.Errorf("%s: %d lines written, %d said to be left out, %d of another event", event.Name, written, leftOut, others)
			}
		})
	}
}

// Few lines are all written, however long they go on; and at level debug so is a storm.
func TestNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for level, pause := range map[string]time.Duration{"info": stormPeriod / stormLines, "debug": time.Microsecond} {
			var out bytes.Buffer
			log, err := NewLogger(&out, level, "json")
			if err != nil {
				t.Fatal(err)
			}
			for range 10 * stormLines {
				log.Info().Msg("one")
				<-time.After(pause)
			}
			if got := len(linesOf(t, out.String())); got != 10*stormLines {
				t.Errorf("%s: %d lines", level, got)
			}
		}
	})
}

// Sentences that all differ take no more memory than some of them.
func TestManySentences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStorms(zerolog.Nop())
		log := zerolog.New(&bytes.Buffer{}).Hook(s)
		for _, pause := range []time.Duration{time.Second, time.Microsecond} {
			for range 10 * maxSentences {
				log.Info().Msg(time.Now().String())
				<-time.After(pause)
			}
			s.mu.Lock() // as tell may run: the last pause ends no sooner than a period that is told of
			if n := len(s.sentences); n > maxSentences+1 {
				t.Errorf("%d sentences are kept", n)
			}
			s.mu.Unlock()
		}
		<-time.After(stormPeriod)
	})
}
