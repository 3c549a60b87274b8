package main

import (
	"slices"
	"testing"
	"time"
)

func instant(ms int64) time.Time { return time.UnixMilli(ms) }

func requestAt(partition int32, offset int64, seq int, written int64) request {
	return request{position: position{partition, offset}, seq: seq, contract: "1", written: written}
}

// answers are outcomes of requests, each of which is followed by the time at which its outcome becomes readable.
func answers(pairs ...any) (outcomes []outcome) {
	for i := 0; i < len(pairs); i += 2 {
		q, at := pairs[i].(request), int64(pairs[i+1].(int))
		outcomes = append(outcomes, outcome{position: q.position, seq: q.seq, contract: "1", source: q.position,
			written: q.written, dates: dates{false, at, at}})
	}
	return outcomes
}

func TestLongestStall(t *testing.T) {
	first, second, other := requestAt(0, 0, 0, 1000), requestAt(0, 1, 1, 1500), requestAt(1, 0, 2, 1000)
	for name, test := range map[string]struct {
		outcomes []outcome
		want     time.Duration
	}{
		"idle time does not count":      {answers(first, 1100, second, 1600, other, 1001), 100 * time.Millisecond},
		"the other partition's answers": {answers(first, 4000, second, 4500, other, 1001), 3 * time.Second},
		"a repetition is no progress": {answers(first, 1100, first, 1700, second, 3000, other, 1001),
			1500 * time.Millisecond},
		"what is lost stalls to the end":   {answers(first, 1100, second, 1600), 9 * time.Second},
		"everything at once is no stall":   {answers(first, 1000, second, 1500, other, 1000), 0},
		"progress ends a stall, others go": {answers(first, 3000, second, 5000, other, 1000), 2 * time.Second},
	} {
		v := evaluate(history{published: 3, requests: []request{first, second, other}, outcomes: test.outcomes,
			ended: 10_000}, promised)
		if got := v.longest.length(); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// Stalls of partitions that overlap are one; its cause is what overlaps with it most.
func TestStallsHaveCauses(t *testing.T) {
	const s = 1000
	requests := []request{requestAt(0, 0, 0, 0), requestAt(0, 1, 1, 60*s), requestAt(1, 0, 2, 2*s),
		requestAt(2, 0, 3, 100*s)}
	outcomes := answers(requests[0], 10*s, requests[1], 61*s, requests[2], 20*s, requests[3], 106*s)
	made := func(name string, from, to int64) injection {
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		return injection{faults[i], period{instant(from), instant(to)}}
	}
	b := ledger{history: history{requests: requests, ended: 200 * s, injected: []injection{
		made("broker", 3*s, 19*s), made("cut", 1*s, 2*s), made("slow", 50*s, 55*s),
	}}, bySeq: map[int]*request{}, outcomes: map[int][]*outcome{}}
	b.enterRequests()
	for i := range outcomes {
		b.outcomes[outcomes[i].seq] = append(b.outcomes[outcomes[i].seq], &outcomes[i])
	}
	var v verdict
	b.findStalls(&v)
	if len(v.stalls) != 2 || len(v.stalls[0].partitions) != 2 ||
		v.stalls[0].period != (period{instant(2 * s), instant(20 * s)}) ||
		v.stalls[0].cause != "broker killed" || v.stalls[1].cause != "no fault" ||
		v.longest.cause != "broker killed" || v.longest.length() != 18*time.Second {
		t.Errorf("%v; longest %v", v.stalls, v.longest)
	}
}

func TestCauses(t *testing.T) {
	during := func(effect string, from, to int64, aftermath time.Duration) injection {
		return injection{fault{effect: effect, aftermath: aftermath}, period{instant(from), instant(to)}}
	}
	for name, test := range map[string]struct {
		injected []injection
		want     string
	}{
		"none":              {nil, "no fault"},
		"over before":       {[]injection{during("a", 0, 900, 0)}, "no fault"},
		"begun after":       {[]injection{during("a", 2000, 2500, time.Second)}, "no fault"},
		"its aftermath":     {[]injection{during("a", 0, 900, time.Second)}, "a"},
		"hardly any of it":  {[]injection{during("a", 0, 1199, 0)}, "no fault"},
		"a fifth of it":     {[]injection{during("a", 0, 1200, 0)}, "a"},
		"the longest first": {[]injection{during("a", 0, 1400, 0), during("b", 0, 1900, 0)}, "b, a"},
		"each once, and three": {[]injection{during("a", 0, 3000, 0), during("a", 0, 3000, 0), during("b", 0, 1900, 0),
			during("c", 0, 1800, 0), during("d", 0, 1700, 0)}, "a, b, c"},
		"one that lies within it":    {[]injection{during("a", 1200, 1700, 0)}, "a"},
		"one that it lies within":    {[]injection{during("a", 0, 9000, 0)}, "a"},
		"begun as it ended, no more": {[]injection{during("a", 1999, 9000, 0)}, "no fault"},
	} {
		if got := causes(test.injected, period{instant(1000), instant(2000)}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
