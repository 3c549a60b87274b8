package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func at(second int) time.Time { return time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC) }

func TestJournal(t *testing.T) {
	const (
		joined   = `{"message":"joined the consumer group","time":"2026-01-01T00:00:01Z"}`
		assigned = `{"message":"the consumer group has assigned partitions","time":"2026-01-01T00:00:01Z"}`
		again    = `{"message":"joined the consumer group","time":"2026-01-01T00:00:05Z"}`
		refused  = `{"message":"committing offsets failed; trying again","tries":1,"time":"2026-01-01T00:00:02Z"}`
		still    = `{"message":"committing offsets failed; trying again","tries":2,"time":"2026-01-01T00:00:03Z"}`
		lost     = `{"message":"the consumer group has gone on without this instance; what it held","time":"2026-01-01T00:00:03Z"}`
		returned = `{"message":"gave partitions back","unfinished":0,"took_ms":1000,"time":"2026-01-01T00:00:04Z"}`
		dropped  = `{"message":"gave partitions back","unfinished":7,"took_ms":1000,"time":"2026-01-01T00:00:04Z"}`
		late     = `{"message":"gave partitions back","unfinished":0,"took_ms":1000,"time":"2026-01-01T00:00:40Z"}`
		opened   = `{"message":"the circuit breaker opened","from":"closed","to":"open","time":"2026-01-01T00:00:02Z"}`
		probing  = `{"message":"the circuit breaker is half-open","from":"open","to":"half-open","time":"2026-01-01T00:00:04Z"}`
		reopened = `{"message":"the circuit breaker opened","from":"half-open","to":"open","time":"2026-01-01T00:00:06Z"}`
	)
	for name, test := range map[string]struct {
		lines  []string
		killed bool
		want   journal
	}{
		"nothing":         {},
		"past its checks": {lines: []string{`{"message":"starting"}`}, want: journal{begun: true}},
		"clean rebalance": {lines: []string{joined, returned, again, returned}},
		"killed with partitions": {lines: []string{joined}, killed: true,
			want: journal{broken: []period{{at(9), at(9)}}}},
		"killed before it joined": {killed: true},
		"killed in the consumer protocol": {lines: []string{assigned}, killed: true,
			want: journal{broken: []period{{at(9), at(9)}}}},
		"commits refused": {lines: []string{joined, refused, returned, again},
			want: journal{broken: []period{{at(2), at(4)}}}},
		"commits refused more than once": {lines: []string{joined, refused, still, returned},
			want: journal{broken: []period{{at(2), at(4)}}}},
		"a rebalance does not end that": {lines: []string{refused, joined, returned},
			want: journal{broken: []period{{at(2), at(4)}}}},
		"commits that work again": {lines: []string{joined, refused, late}},
		"commits refused, then killed": {lines: []string{joined, refused}, killed: true,
			want: journal{broken: []period{{at(2), at(9)}}}},
		"commits refused, then stopped": {lines: []string{joined, refused}},
		"unfinished": {lines: []string{joined, dropped, again},
			want: journal{broken: []period{{at(3), at(4)}}}},
		"the first sign counts": {lines: []string{joined, refused, dropped, again},
			want: journal{broken: []period{{at(2), at(4)}}}},
		"lost": {lines: []string{joined, lost, returned, again, late},
			want: journal{broken: []period{{at(3), at(4)}}}},
		"lost, and never given back": {lines: []string{joined, lost}, want: journal{broken: []period{{at(3), at(9)}}}},
		"two tenures": {lines: []string{joined, dropped, again, `x`}, killed: true,
			want: journal{broken: []period{{at(3), at(4)}, {at(9), at(9)}}}},
		"breaker": {lines: []string{opened, probing, reopened},
			want: journal{open: []period{{at(2), at(4)}, {at(6), at(9)}}}},
		"half a line is no line": {lines: []string{opened, probing[:40]},
			want: journal{open: []period{{at(2), at(9)}}}},
		"probing says that it was open": {lines: []string{probing}, want: journal{open: []period{{time.Time{}, at(4)}}}},
	} {
		got, err := readJournal(strings.NewReader(strings.Join(test.lines, "\n")), at(9), test.killed)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, test.want)
		}
	}
}

func TestJournalReportsDefects(t *testing.T) {
	for _, line := range []string{"panic: runtime error", "WARNING: DATA RACE",
		`{"level":"error","message":"a panic while handling a request"}`} {
		if _, err := readJournal(strings.NewReader("{}\n"+line+"\n"), at(9), false); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
	if _, err := readJournal(strings.NewReader(strings.Repeat("x", 2<<20)), at(9), false); err == nil {
		t.Error("a line that is not read to its end: no error")
	}
}
