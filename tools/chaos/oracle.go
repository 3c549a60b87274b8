package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/internal/oracle"
)

// rules say what is promised.
type rules struct {
	exactlyOnce bool
	runAhead    int           // requests that a worker may have started and not committed; these may come again
	worth       time.Duration // and what was answered in such a time before the first sign of a failure, and from then on
	stale       time.Duration // how long after its offset was committed a request may still come out again
	slack       time.Duration // between a change of the breaker and its line in the log, on a slow machine
}

// finding is a promise that was broken.
type finding struct {
	promise string
	cases   []string
}

// The promises, as findings name them.
const (
	promisePublished = "the request topic holds what was published, once and in order"
	promiseKnown     = "an outcome belongs to a request"
	promiseFate      = "nothing is dead-lettered because of an outage, and nothing answered that has no answer"
	promiseOwn       = "an outcome has its own contract's balances, and its request's key"
	promiseLost      = "every request has an outcome"
	promiseRepeated  = "what is repeated keeps to its bound"
	promiseReread    = "what was committed is not read again"
	promiseOrder     = "first outcomes of one contract are in order"
	promiseWhileOpen = "no dead letter is decided on while the breaker is open"
	promiseCommits   = "no committed offset is ahead of what was written"
	promiseTogether  = "no outcome is visible ahead of its offset"
	promiseIDs       = "what names the request of an outcome names no other"
	promiseCommitted = "in the end everything is committed"
	promiseWorkers   = "workers write what can be read, and do not end by themselves"
)

// verdict is what the oracle found.
type verdict struct {
	requests, results, deadLetters int
	lost, repeated, bound          int
	disorder, whileOpen, ahead     int
	checked, sampled               int // offsets: of the log of commits, and of samples
	gone                           int // acknowledged requests that Kafka has lost
	longest                        stall
	stalls                         []stall // the long ones
	findings                       []finding
}

func (v *verdict) find(promise string, cases []string) int {
	if len(cases) > 0 {
		v.findings = append(v.findings, finding{promise, cases})
	}
	return len(cases)
}

// ledger is a history with what more than one check looks up.
type ledger struct {
	history
	renewed  map[inLife]int64 // when an offset was first committed in a life or later, Unix milliseconds
	all      []*request       // those that are gone too, by partition, offset and life
	bySeq    map[int]*request
	outcomes map[int][]*outcome // those that are what their request is due, by sequence number
	once     oracle.Findings[int]
}

// evaluate holds a history against the promises. It believes nothing that a worker says of itself but for the times at
// which its breaker opened and closed, and for its broken tenures, which widen the bound of repetitions.
func evaluate(h history, r rules) verdict {
	b := ledger{history: h, bySeq: map[int]*request{}, outcomes: map[int][]*outcome{}}
	v := verdict{requests: len(h.requests), gone: len(h.gone)}
	b.renew()
	v.find(promiseWorkers, h.incidents)
	v.find(promisePublished, b.enterRequests())
	known, fated := b.enterOutcomes(&v)
	v.find(promiseKnown, known)
	v.find(promiseFate, fated)
	v.find(promiseOwn, b.foreign())
	v.lost = v.find(promiseLost, b.lost())
	v.repeated = len(b.once.Repeated)
	v.find(promiseRepeated, b.repeats(&v, r))
	v.find(promiseReread, b.reread(r))
	v.find(promiseIDs, b.sharedIDs())
	v.disorder = v.find(promiseOrder, b.disorder())
	v.whileOpen = v.find(promiseWhileOpen, b.whileOpen(r.slack))
	v.ahead = v.find(promiseCommits, b.ahead(&v, r))
	if r.exactlyOnce {
		v.ahead += v.find(promiseTogether, b.apart())
	}
	v.find(promiseCommitted, b.uncommitted())
	b.findStalls(&v)
	return v
}

func (b *ledger) enterRequests() (wrong []string) {
	last := map[int32]int{}
	for i := range b.requests {
		q := &b.requests[i]
		if b.bySeq[q.seq] != nil {
			wrong = append(wrong, fmt.Sprintf("request %d is at %v and at %v", q.seq, b.bySeq[q.seq], q))
		} else if before, some := last[q.partition]; some && before > q.seq {
			wrong = append(wrong, fmt.Sprintf("request %d is at %v, behind %d", q.seq, q, before))
		}
		b.bySeq[q.seq], last[q.partition], b.all = q, q.seq, append(b.all, q)
	}
	for i := range b.gone {
		q := &b.gone[i]
		if b.bySeq[q.seq] != nil || b.until(q) == endless {
			wrong = append(wrong, fmt.Sprintf("request %d is not at %v any more, and Kafka has lost nothing there", q.seq, q))
		}
		b.bySeq[q.seq], b.all = q, append(b.all, q)
	}
	slices.SortStableFunc(b.all, func(x, y *request) int {
		return cmp.Or(cmp.Compare(x.partition, y.partition), cmp.Compare(x.offset, y.offset), cmp.Compare(x.life, y.life))
	})
	if len(b.bySeq) < b.published || b.published == 0 {
		wrong = append(wrong, fmt.Sprintf("%d requests were acknowledged, and %d are there", b.published, len(b.bySeq)))
	}
	return wrong
}

// enterOutcomes asks the oracle, and sorts out what is no outcome of a request of this run, or not the one it is due.
func (b *ledger) enterOutcomes(v *verdict) (known, fated []string) {
	o := oracle.New[int]()
	for _, q := range b.all {
		o.Request(oracle.Request[int]{ID: q.seq, Seq: int64(q.seq), Want: q.due()})
	}
	for i := range b.history.outcomes {
		came := &b.history.outcomes[i]
		if came.dead {
			v.deadLetters++
		} else {
			v.results++
		}
		q := b.bySeq[came.seq]
		if q != nil && (q.contract != came.contract || q.position != came.source) {
			known = append(known, fmt.Sprintf("%v says contract %s and source %v of request %d: contract %s at %v",
				came, came.contract, came.source, q.seq, q.contract, q))
			continue
		}
		o.Outcome(oracle.Outcome[int]{Of: came.seq, Is: b.is(q, came), Ref: i, Stream: b.stream(q, came),
			Partition: came.partition})
		if q != nil && b.is(q, came) == q.due() {
			b.outcomes[came.seq] = append(b.outcomes[came.seq], came)
		}
	}
	b.once = o.Findings()
	for _, u := range b.once.Unknown {
		known = append(known, fmt.Sprintf("%v is about %d, which was not sent", &b.history.outcomes[u.Ref], u.Of))
	}
	for _, w := range b.once.Wrong {
		came, q := &b.history.outcomes[w.Ref], b.bySeq[w.Of]
		fated = append(fated, fmt.Sprintf("%v (dead letter: %v %s) is about request %d at %v, which is due another",
			came, came.dead, came.reason, q.seq, q))
	}
	return known, fated
}

// foreign returns outcomes with what belongs to another request: an answer that was read, or a message that was made,
// in memory that another one still used would have it.
func (b *ledger) foreign() (wrong []string) {
	due := map[string]string{}
	for i := range b.history.outcomes {
		o := &b.history.outcomes[i]
		q := b.bySeq[o.seq]
		if q == nil {
			continue
		}
		if o.key != q.contract {
			wrong = append(wrong, fmt.Sprintf("%v has key %q, and request %d has %q", o, o.key, q.seq, q.contract))
		}
		if o.dead {
			continue
		}
		want, known := due[q.contract]
		if !known {
			want = balancesOf(q.contract)
			due[q.contract] = want
		}
		if o.balances != want {
			wrong = append(wrong, fmt.Sprintf("%v, of request %d, has %s; contract %s has %s", o, q.seq, o.balances,
				q.contract, want))
		}
	}
	return wrong
}

// due is the outcome that the request is due: a result, or a dead letter with this reason.
func (q *request) due() string { return cmp.Or(reasons[q.fate], result) }

// result is what a result is, as dead letters are their reason.
const result = "result"

// is says what came out for a request, nil for none of this run's. A refused contract is due a dead letter as well as a
// result.
func (b *ledger) is(q *request, came *outcome) string {
	switch {
	case q != nil && b.refusal(q, came):
		return q.due()
	case came.dead:
		return came.reason
	default:
		return result
	}
}

// stream names what has an order: results, or dead letters, of one contract. Invalid requests have no contract to be
// ordered by. Where the partition of a contract's requests changes, because there are more of them, and where Kafka
// loses requests, order begins again.
func (b *ledger) stream(q *request, came *outcome) string {
	if q == nil || q.fate == invalid {
		return ""
	}
	return fmt.Sprintf("contract %s (dead letters: %v, of partition %d, life %d, to be lost: %v)",
		came.contract, came.dead, q.partition, b.creation(q.life), b.until(q) != endless)
}

// refusal returns whether a dead letter says that a contract was refused, and some contracts were by then.
func (b *ledger) refusal(q *request, o *outcome) bool {
	return q.refused && o.dead && o.reason == refusedReason && slices.ContainsFunc(b.injected, func(d injection) bool {
		return d.name == refuse && d.from.UnixMilli() <= o.written
	})
}

// lost leaves out what Kafka itself has lost.
func (b *ledger) lost() (wrong []string) {
	for _, l := range b.once.Lost {
		if q := b.bySeq[l.ID]; b.until(q) == endless {
			wrong = append(wrong, fmt.Sprintf("request %d at %v, contract %s", q.seq, q, q.contract))
		}
	}
	return wrong
}

// repeats holds outcomes beyond the first against what is promised. At least once means: for each broken tenure no more
// than what may run ahead of the committed offset, and what was answered since the last commit.
func (b *ledger) repeats(v *verdict, r rules) (wrong []string) {
	if r.exactlyOnce {
		for _, again := range b.once.Repeated {
			wrong = append(wrong, fmt.Sprintf("request %d comes out again at %v", again.Of, &b.history.outcomes[again.Ref]))
		}
		return wrong
	}
	if v.bound = b.bound(r); v.repeated > v.bound {
		wrong = append(wrong, fmt.Sprintf("%d are repeated; %d broken tenures allow for %d", v.repeated, len(b.broken),
			v.bound))
	}
	return wrong
}

func (b *ledger) bound(r rules) (bound int) {
	times := make([]int64, 0, len(b.history.outcomes))
	for _, o := range b.history.outcomes {
		times = append(times, o.written)
	}
	slices.Sort(times)
	for _, p := range b.broken {
		first, _ := slices.BinarySearch(times, p.from.Add(-r.worth).UnixMilli())
		behind, _ := slices.BinarySearch(times, p.to.UnixMilli()+1)
		bound += r.runAhead + max(0, behind-first)
	}
	return bound
}

// disorder tells what the oracle found: requests of one contract are numbered in their order.
func (b *ledger) disorder() (wrong []string) {
	for _, d := range b.once.Disorder {
		wrong = append(wrong, fmt.Sprintf("%s: request %d comes out at %v, behind request %d at %v", d.Outcome.Stream,
			d.Outcome.Of,
			&b.history.outcomes[d.Outcome.Ref], d.After.Of, &b.history.outcomes[d.After.Ref]))
	}
	return wrong
}

// whileOpen compares the times at which dead letters were decided on with the times at which their instance's breaker
// was open.
func (b *ledger) whileOpen(slack time.Duration) (wrong []string) {
	for _, o := range b.history.outcomes {
		if !o.dead {
			continue
		}
		open, known := b.open[o.instance]
		if !known {
			wrong = append(wrong, fmt.Sprintf("dead letter %v is by %q, which is no worker of this run", o, o.instance))
		}
		decided := time.UnixMilli(o.written)
		for _, p := range open {
			if decided.After(p.from.Add(slack)) && decided.Before(p.to.Add(-slack)) {
				wrong = append(wrong, fmt.Sprintf("dead letter %v of %s is of %s; the breaker was open from %s to %s", o,
					o.instance,
					clock(decided), clock(p.from), clock(p.to)))
			}
		}
	}
	return wrong
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// uncommitted compares the last sample with the ends of the request topic.
func (b *ledger) uncommitted() (wrong []string) {
	if len(b.samples) == 0 {
		return []string{"no committed offset was seen"}
	}
	ends := map[int32]int64{}
	for _, q := range b.requests {
		ends[q.partition] = max(ends[q.partition], q.offset+1)
	}
	final := b.samples[len(b.samples)-1].committed
	for partition, end := range ends {
		if final[partition] != end {
			wrong = append(wrong, fmt.Sprintf("partition %d is committed up to %d of %d", partition, final[partition], end))
		}
	}
	return wrong
}
