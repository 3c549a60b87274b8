package demo

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/balanceq/balanceq/internal/oracle"
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

// ledger is everything that was published, as the topics tell it.
type ledger struct {
	published   int       // requests that the broker acknowledged, as the publisher counted them
	requests    []request // each list in the order of its partitions
	results     []answer
	deadLetters []answer
	open        []span
}

// blur is taken off both ends of a span: the observer hears of a change a moment after it, and a dead letter's time is
// read a moment after its decision and cut to milliseconds. On a busy machine such a moment is a tenth of a second;
// against the seconds that the breaker stays open it is still little.
const blur = 250 * time.Millisecond

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
func (b ledger) check() *report {
	r := &report{rows: map[kind]*row{}, requests: len(b.requests)}
	for _, k := range kinds {
		r.rows[k] = &row{deadLetters: map[schemas.Reason]int{}}
	}
	b.checkOutcomes(r)
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

// checkOutcomes asks the oracle, and counts by kind.
func (b ledger) checkOutcomes(r *report) {
	requests := make(map[schemas.Position]request, len(b.requests))
	o := oracle.New[schemas.Position]()
	for _, q := range b.requests {
		requests[q.at] = q
		known := oracle.Request[schemas.Position]{ID: q.at, Seq: q.at.Offset}
		if row := r.rows[q.kind]; row != nil {
			row.published++
			known.Want = q.describe(q.kind.want(), q.id)
		} else {
			r.complain(&r.unknown, "unknown: request %s at %s is none of the demo's", q.id, q.at)
		}
		o.Request(known)
	}
	answers := slices.Concat(b.results, b.deadLetters)
	for i, a := range answers {
		q := requests[a.source]
		came := oracle.Outcome[schemas.Position]{Of: a.source, Is: q.describe(a, a.id), Ref: i, Partition: a.at.Partition}
		if a.reason == "" { // dead letters of one contract have no order: invalid requests overtake others
			came.Stream = strconv.FormatInt(q.contract, 10)
		}
		o.Outcome(came)
		if row := r.rows[q.kind]; row != nil {
			row.count(a)
		}
	}
	r.take(o, requests, answers)
}

// describe makes answers to a request comparable: what it is, and under which id it came. Of a malformed request the id
// may be what cannot be read.
func (q request) describe(a answer, id string) string {
	if q.kind == malformed {
		id = ""
	}
	return a.String() + " " + id
}

func (r *row) count(a answer) {
	if a.reason != "" {
		r.deadLetters[a.reason]++
	} else {
		r.results++
	}
}

// take counts what the oracle found, and describes it.
func (r *report) take(o *oracle.Oracle[schemas.Position], requests map[schemas.Position]request, answers []answer) {
	f := o.Findings()
	r.once = f.Once
	for _, u := range f.Unknown {
		a := answers[u.Ref]
		r.complain(&r.unknown, "unknown: %s answers %s (%s), which was not asked", a.at, a.source, a)
	}
	for _, l := range f.Lost {
		q := requests[l.ID]
		r.wrongOf(q)
		r.complain(&r.lost, "lost: request %s (%s) at %s has no answer", q.id, q.kind, q.at)
	}
	told := map[schemas.Position]bool{}
	for _, again := range f.Repeated {
		if q := requests[again.Of]; !told[q.at] {
			told[q.at] = true
			r.wrongOf(q)
			all := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.source != q.at })
			r.complain(&r.repeated, "repeated: request %s (%s) at %s has %d answers: %v", q.id, q.kind, q.at, len(all), all)
		}
	}
	for _, w := range f.Wrong {
		q, a := requests[w.Of], answers[w.Ref]
		if told[q.at] {
			continue
		}
		r.wrongOf(q)
		if want := q.kind.want(); want.String() != a.String() {
			r.complain(&r.wrong, "wrong: request %s (%s) at %s is answered by %s, not %s", q.id, q.kind, q.at, a, want)
		} else {
			r.complain(&r.wrong, "wrong: request %s (%s) at %s is answered under the id %s", q.id, q.kind, q.at, a.id)
		}
	}
	for _, d := range f.Disorder {
		a := answers[d.Outcome.Ref]
		r.complain(&r.disorder, "out of order: %s answers %s of contract %s after %s", a.at, a.source, d.Outcome.Stream,
			d.After.Of)
	}
}

func (r *report) wrongOf(q request) {
	if row := r.rows[q.kind]; row != nil {
		row.wrong++
	}
}

// checkOpen looks for dead letters that were decided while the breaker was open.
func (b ledger) checkOpen(r *report) {
	for _, s := range b.open {
		r.openFor += s.to.Sub(s.from)
	}
	if r.openFor == 0 {
		r.problems = append(r.problems,
			"the breaker never opened: the outage went unnoticed, so the demo shows nothing about it")
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
