package demo

import (
	"fmt"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// request is one record of the requests topic.
type request struct {
	at       schemas.Position
	id       string
	kind     kind
	contract int64
}

// answer is one record of the results or the dead-letter topic.
type answer struct {
	at      schemas.Position
	source  schemas.Position // of the request that it answers
	id      string           // that request's
	outcome string           // of a result: complete or partial
	reason  schemas.Reason   // of a dead letter
	time    time.Time        // of the record; in a dead letter when it was decided, in whole milliseconds
}

func (a answer) String() string {
	if a.reason != "" {
		return string(a.reason)
	}
	return a.outcome
}

// span is a time in which the breaker was open.
type span struct{ from, to time.Time }

// books is everything that was published, as the topics tell it.
type books struct {
	published   int       // requests that the broker acknowledged, as the publisher counted them
	requests    []request // each list in the order of its partitions
	results     []answer
	deadLetters []answer
	open        []span
}

// blur is taken off both ends of a span: the observer hears of a change a moment after it, and a dead letter's time is
// read a moment after its decision and cut to milliseconds. Against the seconds that the breaker stays open it is nothing.
const blur = 25 * time.Millisecond

// report is what the checks found.
type report struct {
	rows      map[kind]*row
	requests  int
	once      int // answered exactly once
	lost      int
	repeated  int
	unknown   int // answers to nothing that was asked
	disorder  int // results older than one before, of the same contract
	wrong     int // answered, but not as its kind should be
	whileOpen int // dead letters written while the breaker was open
	openFor   time.Duration
	problems  []string
}

// row is one kind of request.
type row struct {
	published   int
	results     int
	deadLetters map[schemas.Reason]int
	wrong       int // lost, repeated or answered differently
}

// balances says whether there is nothing to complain about.
func (r *report) balances() bool { return len(r.problems) == 0 }

// shown bounds how many problems of one sort are described; the others are counted.
const shown = 5

func (r *report) complain(count *int, format string, args ...any) {
	if *count++; *count <= shown {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
}

// check compares what was asked with what was answered.
func (b books) check() *report {
	r := &report{rows: map[kind]*row{}, requests: len(b.requests)}
	for _, k := range kinds {
		r.rows[k] = &row{deadLetters: map[schemas.Reason]int{}}
	}
	answers := b.match(r)
	for i := range b.requests {
		b.requests[i].check(answers[b.requests[i].at], r)
	}
	checkOrder(b.results, b.contracts(), r)
	b.checkOpen(r)
	if b.published != len(b.requests) {
		r.problems = append(r.problems,
			fmt.Sprintf("the broker acknowledged %d requests, but the topic holds %d", b.published, len(b.requests)))
	}
	for _, sort := range []struct {
		n    int
		what string
	}{
		{r.unknown, "unknown"}, {r.lost, "lost"}, {r.repeated, "repeated"}, {r.wrong, "answered wrongly"},
		{r.disorder, "out of order"}, {r.whileOpen, "dead-lettered while the breaker was open"},
	} {
		if sort.n > shown {
			r.problems = append(r.problems, fmt.Sprintf("… %d in all are %s", sort.n, sort.what))
		}
	}
	return r
}

func (b books) contracts() map[schemas.Position]int64 {
	contracts := make(map[schemas.Position]int64, len(b.requests))
	for _, q := range b.requests {
		contracts[q.at] = q.contract
	}
	return contracts
}

// match finds the answers to each request by its position and reports those to none.
func (b books) match(r *report) map[schemas.Position][]answer {
	answers := make(map[schemas.Position][]answer, len(b.requests))
	for _, q := range b.requests {
		answers[q.at] = nil
	}
	for _, list := range [][]answer{b.results, b.deadLetters} {
		for _, a := range list {
			if _, asked := answers[a.source]; !asked {
				r.complain(&r.unknown, "unknown: %s answers %s (%s), which nobody asked", a.at, a.source, a)
				continue
			}
			answers[a.source] = append(answers[a.source], a)
		}
	}
	return answers
}

// check judges the answers to one request.
func (q request) check(answers []answer, r *report) {
	row := r.rows[q.kind]
	if row == nil {
		r.complain(&r.unknown, "unknown: request %s at %s is none of the demo's", q.id, q.at)
		return
	}
	row.published++
	for _, a := range answers {
		if a.reason != "" {
			row.deadLetters[a.reason]++
		} else {
			row.results++
		}
	}
	switch len(answers) {
	case 0:
		row.wrong++
		r.complain(&r.lost, "lost: request %s (%s) at %s has no answer", q.id, q.kind, q.at)
		return
	case 1:
		r.once++
	default:
		row.wrong++
		r.complain(&r.repeated, "repeated: request %s (%s) at %s has %d answers: %v", q.id, q.kind, q.at, len(answers), answers)
		return
	}
	a, want := answers[0], q.kind.want()
	switch {
	case a.outcome != want.outcome || a.reason != want.reason:
		row.wrong++
		r.complain(&r.wrong, "wrong: request %s (%s) at %s is answered by %s, not %s", q.id, q.kind, q.at, a, want)
	case a.id != q.id && q.kind != malformed: // of a malformed request the id may be what cannot be read
		row.wrong++
		r.complain(&r.wrong, "wrong: request %s (%s) at %s is answered under the id %s", q.id, q.kind, q.at, a.id)
	}
}

// checkOrder looks for results of one contract that are older than one before them. All requests of a contract have the
// same key, so they are in one partition, and so are their results.
func checkOrder(results []answer, contracts map[schemas.Position]int64, r *report) {
	newest := map[int64]answer{}
	for _, a := range results {
		contract, asked := contracts[a.source]
		if !asked {
			continue
		}
		if before, ok := newest[contract]; ok {
			moved := before.at.Partition != a.at.Partition || before.source.Partition != a.source.Partition
			if moved || a.source.Offset < before.source.Offset {
				r.complain(&r.disorder, "out of order: %s answers %s of contract %d after %s", a.at, a.source, contract, before.source)
				continue
			}
		}
		newest[contract] = a
	}
}

// checkOpen looks for dead letters that were decided while the breaker was open.
func (b books) checkOpen(r *report) {
	for _, s := range b.open {
		r.openFor += s.to.Sub(s.from)
	}
	if r.openFor == 0 {
		r.problems = append(r.problems, "the breaker never opened: the outage went unnoticed, so the demo shows nothing about it")
	}
	for _, a := range b.deadLetters {
		for _, s := range b.open {
			if a.time.After(s.from.Add(blur)) && a.time.Before(s.to.Add(-blur)) {
				r.complain(&r.whileOpen, "while open: %s (%s) was written at %s, when the breaker had been open for %v",
					a.at, a.reason, a.time.Format("15:04:05.000"), a.time.Sub(s.from).Round(time.Millisecond))
			}
		}
	}
}
