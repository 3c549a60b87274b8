package demo

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// progress holds what the view shows of the traffic: counts, and how long answers took. It hears of answers as
// any program that asks does; the ledger is checked without it.
type progress struct {
	mu        sync.Mutex
	open      map[string]asked // by request id, without an answer so far
	openKinds map[kind]int
	requests  int
	outcomes  map[string]int
	reasons   map[schemas.Reason]int
	latencies []latency // the youngest last
}

type asked struct {
	kind kind
	at   time.Time
}

type latency struct {
	at   time.Time
	took time.Duration
}

// latencyWindow is the time that the view's percentiles look back.
const latencyWindow = 5 * time.Second

func newProgress() *progress {
	return &progress{
		open: map[string]asked{}, openKinds: map[kind]int{},
		outcomes: map[string]int{}, reasons: map[schemas.Reason]int{},
	}
}

// asked notes a request that is about to be published.
func (b *progress) asked(q request, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	b.open[q.id] = asked{q.kind, now}
	b.openKinds[q.kind]++
}

// answered notes a result or a dead letter.
func (b *progress) answered(a answer, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.reason != "" {
		b.reasons[a.reason]++
	} else {
		b.outcomes[a.outcome]++
	}
	q, ok := b.open[a.id]
	if !ok {
		return
	}
	delete(b.open, a.id)
	b.openKinds[q.kind]--
	if a.reason == "" {
		b.latencies = append(b.latencies, latency{now, now.Sub(q.at)})
	}
}

// lag returns how many requests have no answer yet.
func (b *progress) lag() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open)
}

// waiting returns how many of a kind have no answer yet.
func (b *progress) waiting(k kind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.openKinds[k]
}

// counts is the progress at one moment.
type counts struct {
	requests    int
	lag         int // requests without an answer
	results     int
	outcomes    map[string]int
	deadLetters int
	reasons     map[schemas.Reason]int
	p50, p99    time.Duration // 0: no results lately
}

func (b *progress) counts(now time.Time) counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := counts{requests: b.requests, lag: len(b.open), outcomes: maps.Clone(b.outcomes), reasons: maps.Clone(b.reasons)}
	for _, n := range b.outcomes {
		c.results += n
	}
	for _, n := range b.reasons {
		c.deadLetters += n
	}
	old := 0
	for old < len(b.latencies) && now.Sub(b.latencies[old].at) > latencyWindow {
		old++
	}
	b.latencies = b.latencies[old:]
	took := make([]time.Duration, len(b.latencies))
	for i, l := range b.latencies {
		took[i] = l.took
	}
	slices.Sort(took)
	c.p50, c.p99 = percentile(took, 50), percentile(took, 99)
	return c
}

// percentile picks from a sorted list; 0 if it is empty.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*p/100]
}

// meter turns a growing count into a rate over the last seconds.
type meter struct{ samples []sample }

type sample struct {
	at    time.Time
	count int
}

const meterWindow = 2 * time.Second

// rate adds a sample and returns the growth per second since the oldest one within the window.
func (m *meter) rate(now time.Time, count int) float64 {
	m.samples = append(m.samples, sample{now, count})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > meterWindow {
		m.samples = m.samples[1:]
	}
	oldest := m.samples[0]
	if passed := now.Sub(oldest.at).Seconds(); passed > 0 {
		return float64(count-oldest.count) / passed
	}
	return 0
}
