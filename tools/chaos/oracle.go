package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// rules say what is promised.
type rules struct {
	exactlyOnce bool
	runAhead    int           // requests that a worker may have started and not committed; these may come again
	worth       time.Duration // and what was answered in such a time before the first sign of trouble, and from then on
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
	promiseLost      = "every request has an outcome"
	promiseRepeated  = "what is repeated keeps to its bound"
	promiseReread    = "what was committed is not read again"
	promiseOrder     = "first outcomes of one contract are in order"
	promiseBuried    = "no dead letter is decided on while the breaker is open"
	promiseCommits   = "no committed offset is ahead of what was written"
	promiseTogether  = "no outcome is visible ahead of its offset"
	promiseIDs       = "what names the request of an outcome names no other"
	promiseSettled   = "in the end everything is committed"
	promiseWorkers   = "workers write what can be read, and do not end by themselves"
)

// verdict is what the oracle found.
type verdict struct {
	requests, results, deadLetters int
	lost, repeated, bound          int
	disorder, buried, ahead        int
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

// books is a history with what more than one check looks up.
type books struct {
	history
	renewed  map[inLife]int64 // when an offset was first committed in a life or later, Unix milliseconds
	all      []*request       // those that are gone too, by partition, offset and life
	bySeq    map[int]*request
	outcomes map[int][]*outcome // those that are what their request is due, by sequence number
}

// judge holds a history against the promises. It believes nothing that a worker says of itself but for the times at which
// its breaker opened and closed, and for its broken tenures, which widen the bound of repetitions.
func judge(h history, r rules) verdict {
	b := books{history: h, bySeq: map[int]*request{}, outcomes: map[int][]*outcome{}}
	v := verdict{requests: len(h.requests), gone: len(h.gone)}
	b.renew()
	v.find(promiseWorkers, h.incidents)
	v.find(promisePublished, b.enterRequests())
	known, fated := b.enterOutcomes(&v)
	v.find(promiseKnown, known)
	v.find(promiseFate, fated)
	v.lost = v.find(promiseLost, b.lost())
	v.find(promiseRepeated, b.repeats(&v, r))
	v.find(promiseReread, b.reread(r))
	v.find(promiseIDs, b.sharedIDs())
	v.disorder = v.find(promiseOrder, b.disorder())
	v.buried = v.find(promiseBuried, b.buried(r.slack))
	v.ahead = v.find(promiseCommits, b.ahead(&v, r))
	if r.exactlyOnce {
		v.ahead += v.find(promiseTogether, b.apart())
	}
	v.find(promiseSettled, b.unsettled())
	b.findStalls(&v)
	return v
}

func (b *books) enterRequests() (wrong []string) {
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

// enterOutcomes sorts out what is no outcome of a request of ours, or not the one it is due.
func (b *books) enterOutcomes(v *verdict) (known, fated []string) {
	for i := range b.history.outcomes {
		o := &b.history.outcomes[i]
		if o.dead {
			v.deadLetters++
		} else {
			v.results++
		}
		q := b.bySeq[o.seq]
		switch {
		case q == nil:
			known = append(known, fmt.Sprintf("%v is about %d, which nobody has sent", o, o.seq))
		case q.contract != o.contract || q.position != o.source:
			known = append(known, fmt.Sprintf("%v says contract %s and source %v of request %d: contract %s at %v",
				o, o.contract, o.source, q.seq, q.contract, q))
		case b.refusal(q, o):
			b.outcomes[o.seq] = append(b.outcomes[o.seq], o)
		case o.dead != (q.fate != answered) || o.dead && o.reason != reasons[q.fate]:
			fated = append(fated, fmt.Sprintf("%v (dead letter: %v %s) is about request %d at %v, which is due another",
				o, o.dead, o.reason, q.seq, q))
		default:
			b.outcomes[o.seq] = append(b.outcomes[o.seq], o)
		}
	}
	return known, fated
}

// refusal returns whether a dead letter says that a contract was refused, and some contracts were by then.
func (b *books) refusal(q *request, o *outcome) bool {
	return q.refused && o.dead && o.reason == refusedReason && slices.ContainsFunc(b.deeds, func(d deed) bool {
		return d.name == refuse && d.from.UnixMilli() <= o.written
	})
}

func (b *books) lost() (wrong []string) {
	for _, q := range b.requests {
		if len(b.outcomes[q.seq]) == 0 {
			wrong = append(wrong, fmt.Sprintf("request %d at %v, contract %s", q.seq, q, q.contract))
		}
	}
	return wrong
}

// repeats counts outcomes beyond the first. At least once means: for each broken tenure no more than what may run ahead
// of the committed offset, and what was answered since the last commit.
func (b *books) repeats(v *verdict, r rules) (wrong []string) {
	for seq, outcomes := range b.outcomes {
		if v.repeated += len(outcomes) - 1; r.exactlyOnce && len(outcomes) > 1 {
			wrong = append(wrong, fmt.Sprintf("request %d has %d outcomes", seq, len(outcomes)))
		}
	}
	if !r.exactlyOnce {
		if v.bound = b.bound(r); v.repeated > v.bound {
			wrong = append(wrong, fmt.Sprintf("%d are repeated; %d broken tenures allow for %d",
				v.repeated, len(b.broken), v.bound))
		}
	}
	return wrong
}

func (b *books) bound(r rules) (bound int) {
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

// disorder looks at the first outcomes only: whoever drops what has been seen before must not notice that anything was
// repeated. Invalid requests have no contract to be ordered by. Where the partition of a contract's requests changes, because
// there are more of them, and where Kafka loses requests, order begins again.
func (b *books) disorder() (wrong []string) {
	type stream struct {
		dead     bool
		contract string
		from     int32 // partition
		life     int   // of the topic
		gone     bool
	}
	last := map[stream]*outcome{}
	seen := map[int]bool{}
	for i := range b.history.outcomes {
		o := &b.history.outcomes[i]
		q := b.bySeq[o.seq]
		if q == nil || q.fate == invalid || seen[o.seq] {
			continue
		}
		seen[o.seq] = true
		of := stream{o.dead, o.contract, q.partition, b.creation(q.life), b.until(q) != endless}
		before := last[of]
		switch {
		case before == nil:
		case before.partition != o.partition:
			wrong = append(wrong, fmt.Sprintf("contract %s has outcomes in partitions %d and %d",
				o.contract, before.partition, o.partition))
		case before.seq > o.seq:
			wrong = append(wrong, fmt.Sprintf("contract %s: request %d comes out at %v, behind request %d",
				o.contract, o.seq, o, before.seq))
		}
		last[of] = o
	}
	return wrong
}

// buried compares the times at which dead letters were decided on with the times at which their instance's breaker was open.
func (b *books) buried(slack time.Duration) (wrong []string) {
	for _, o := range b.history.outcomes {
		if !o.dead {
			continue
		}
		open, known := b.open[o.instance]
		if !known {
			wrong = append(wrong, fmt.Sprintf("dead letter %v is by %q, which is no worker of ours", o, o.instance))
		}
		decided := time.UnixMilli(o.written)
		for _, p := range open {
			if decided.After(p.from.Add(slack)) && decided.Before(p.to.Add(-slack)) {
				wrong = append(wrong, fmt.Sprintf("dead letter %v of %s is of %s; the breaker was open from %s to %s", o, o.instance,
					clock(decided), clock(p.from), clock(p.to)))
			}
		}
	}
	return wrong
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// unsettled compares the last sample with the ends of the request topic.
func (b *books) unsettled() (wrong []string) {
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
