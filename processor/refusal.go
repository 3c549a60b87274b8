package processor

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// refusals tells a request that something on the way to the CMS refuses from one server of many that refuses
// everything.
//
// What speaks for the first is that chance does not explain it: a request that was refused n times in a row, where one
// call in a hundred is refused, is hardly there by chance, and where one in two is, it very well may be. What was given
// up is remembered, so that the next requests of such a contract do not hold up their partition for as long as the
// first one did.
type refusals struct {
	answered atomic.Int64 // requests of this period whose first call was answered

	mu      sync.Mutex
	began   time.Time  // the period
	refused int64      // requests of this period whose first call was refused
	before  firstCalls // of the period before it

	some  atomic.Bool         // given is not empty: spares all answers the lock
	given map[int64]time.Time // contracts whose requests were given up, and when the latest was
}

const (
	refusalPeriod = 5 * time.Second // the latest one to two of these are looked at
	// longAgo is as how many calls those before count after a pause, and lately where there are few: so few that it is
	// noticed soon when every second call is refused from now on.
	longAgo = 100
	lately  = 16
	// maxShare bounds how many attempts are wanted, to some fifty.
	maxShare = .75
	// maxChance is what the chance of having been refused every time may be at most, for a request to be blamed for it.
	maxChance = 1e-6
	// rememberGiven is how long after its latest dead letter one refusal is enough for a contract's request.
	rememberGiven = 5 * time.Minute
	maxGiven      = 10_000
	// refusalWait is how long a request of such a contract waits for others to be answered, before it asks after one
	// itself. It is short: the windows of all partitions may be full behind such requests, and then nothing else is under
	// way.
	refusalWait = 2 * time.Millisecond
	// probeWait is how long it waits for the answer to another one's question.
	probeWait = 100 * time.Millisecond
)

// isRefusal reports whether a call was refused for something that no request can be blamed for, as it seems.
func isRefusal(c cmsclient.Class) bool { return c == cmsclient.Halting || c == cmsclient.Undecryptable }

// answer notes that a contract was answered; first: by the first call for it.
func (r *refusals) answer(contract int64, first bool) {
	if first {
		r.answered.Add(1)
	}
	if r.some.Load() {
		r.mu.Lock()
		delete(r.given, contract)
		r.some.Store(len(r.given) > 0)
		r.mu.Unlock()
	}
}

// refuse notes a refusal, of a request's first call or a later one, and returns what became of first calls of late.
func (r *refusals) refuse(first bool, now time.Time) firstCalls {
	r.mu.Lock()
	defer r.mu.Unlock()
	if past := now.Sub(r.began); past >= refusalPeriod {
		// Not forgotten altogether: where the windows of all partitions are full behind what is refused, no others come.
		latest := firstCalls{r.answered.Swap(0), r.refused}
		known := latest.and(r.before)
		switch {
		case past >= 2*refusalPeriod:
			r.before = known.scaled(longAgo)
		case latest.answered+latest.refused < lately:
			r.before = known.scaled(lately)
		default:
			r.before = latest
		}
		r.began, r.refused = now, 0
	}
	if first {
		r.refused++
	}
	return r.before.and(firstCalls{r.answered.Load(), r.refused})
}

// firstCalls are how many first calls were answered, and how many were refused.
type firstCalls struct{ answered, refused int64 }

func (f firstCalls) and(g firstCalls) firstCalls {
	return firstCalls{f.answered + g.answered, f.refused + g.refused}
}

// scaled counts them as at most so many.
func (f firstCalls) scaled(most int64) firstCalls {
	if all := f.answered + f.refused; all > most {
		return firstCalls{f.answered * most / all, f.refused * most / all}
	}
	return f
}

// chance is how likely it is that a call is refused so many times in a row, of which only these first calls are known:
// Laplace's rule of succession, once for each time. So few calls make nothing certain: a share taken from them alone
// would, where it happens to be small, blame requests that were refused by chance.
func (f firstCalls) chance(times int) float64 {
	p := 1.0
	for i := range int64(times) {
		p *= float64(f.refused+1+i) / float64(f.answered+f.refused+2+i)
	}
	return min(p, math.Pow(maxShare, float64(times)))
}

// giveUp remembers a contract one of whose requests was given up.
func (r *refusals) giveUp(contract int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.given[contract]; !known && len(r.given) >= maxGiven {
		r.given = nil // they are learned again
	}
	if r.given == nil {
		r.given = map[int64]time.Time{}
	}
	r.given[contract] = now
	r.some.Store(true)
}

// gaveUp reports whether a request of that contract was given up of late.
func (r *refusals) gaveUp(contract int64, now time.Time) bool {
	if !r.some.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.given[contract]
	return known && now.Sub(at) < rememberGiven
}

// refused notes a group's call if it was refused, and returns what became of first calls and whether requests of its
// contract were given up of late while others, sent since this call, are answered. For that it waits a moment.
func (p *Processor) refused(ctx context.Context, q *query, class cmsclient.Class,
	sent time.Time) (others firstCalls, gaveUp bool) {
	if !isRefusal(class) {
		return firstCalls{}, false
	}
	others = p.refusals.refuse(q.requests[0].Attempts == 1, time.Now())
	if gaveUp = p.refusals.gaveUp(q.ContractID, time.Now()); gaveUp {
		p.outages.await(ctx, sent, refusalWait)
		for range 3 { // another probe may have been sent before this call
			if p.probe(ctx, q.ContractID, sent) {
				break
			}
			p.outages.await(ctx, sent, probeWait)
		}
	}
	return others, gaveUp && p.outages.since(sent)
}
