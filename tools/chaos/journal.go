package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// journal is what the oracle takes from the log of one worker.
type journal struct {
	begun  bool // it was past its checks
	open   []period
	broken []period // tenures of partitions: from the first sign of a failure to the end
}

// logLine is a line of balanceq's log, with --log.format=json.
type logLine struct {
	Time       time.Time `json:"time"`
	Message    string    `json:"message"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Tries      int       `json:"tries"`      // to commit
	Unfinished int       `json:"unfinished"` // requests, where it gave partitions back
	Took       float64   `json:"took_ms"`    // that, in milliseconds
}

// commitSilence is how long commits that fail may go without a word: they are told of at every doubling only.
const commitSilence = 20 * time.Second

// tenure is for how long partitions have been held, as far as its end is concerned.
type tenure struct {
	held    bool
	failing time.Time // commits, since then
	failed  time.Time // the last one told of
	lost    time.Time // the group went on without this worker
}

// end returns the first sign of a failure in a tenure that ends now, having begun to end at from; ok is false for one
// that ends as it should, with a commit of all that was answered.
func (t *tenure) end(from, now time.Time, broken bool) (p period, ok bool) {
	p = period{from, now}
	if now.Sub(t.failed) < commitSilence {
		p.from, broken = earlier(p.from, t.failing), true
	}
	if !t.lost.IsZero() {
		p.from, broken = earlier(p.from, t.lost), true
		t.lost = time.Time{}
	}
	return p, broken && t.held
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// readJournal reads the log of a worker that ended at that time, killed or by itself.
func readJournal(log io.Reader, ended time.Time, killed bool) (journal, error) {
	var j journal
	var opened time.Time
	var now tenure
	over := func(from, to time.Time, broken bool) {
		if p, broken := now.end(from, to, broken); broken {
			j.broken = append(j.broken, p)
		}
	}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := lines.Text()
		if strings.HasPrefix(text, "panic:") || strings.Contains(text, "DATA RACE") ||
			strings.Contains(text, "a panic while handling") {
			return j, errors.New(text)
		}
		var l logLine
		if json.Unmarshal([]byte(text), &l) != nil {
			continue // a killed process may leave half a line
		}
		switch {
		case l.Message == "starting":
			j.begun = true
		case strings.HasPrefix(l.Message, "joined the consumer group"),
			strings.HasPrefix(l.Message, "the consumer group has assigned"):
			now.held = true
		case strings.HasPrefix(l.Message, "committing offsets failed"):
			if now.failed = l.Time; l.Tries <= 1 {
				now.failing = l.Time
			}
		case strings.HasPrefix(l.Message, "the consumer group has gone on without"):
			now.lost = l.Time
		case strings.HasPrefix(l.Message, "gave partitions back"):
			over(l.Time.Add(-time.Duration(l.Took*float64(time.Millisecond))), l.Time, l.Unfinished > 0)
		case l.To == "open":
			opened = l.Time
		case l.From == "open":
			j.open = append(j.open, period{opened, l.Time})
			opened = time.Time{}
		}
	}
	if !opened.IsZero() {
		j.open = append(j.open, period{opened, ended})
	}
	if killed || !now.lost.IsZero() {
		over(ended, ended, true)
	}
	return j, lines.Err()
}
