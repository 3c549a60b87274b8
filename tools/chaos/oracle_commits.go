package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

const never = math.MaxInt64

// ahead checks that whatever lies below a committed offset had been written by then, in two ways.
//
// The brokers' log of commits holds every commit with the time at which it was taken; results carry the time at which
// the broker appended them, and dead letters an earlier one. Both are one clock's, and a write is acknowledged before a
// commit that counts on it is sent. In a transaction this order need not be kept: there, what counts is when it was
// committed, which lies between its own appends and those of the same producer's next one.
//
// Samples need no clock: the ends of the topics are taken after the offsets, so an outcome at or beyond them came
// later. They see dead letters exactly, and miss only what was put right within the one round trip between.
func (b *ledger) ahead(v *verdict, r rules) (wrong []string) {
	byTime := b.newFrontiers(func(o *outcome) int64 { return o.written })
	v.checked = len(b.commits)
	for _, c := range b.commits {
		at := c.at
		if r.exactlyOnce {
			at = c.ended
		}
		if q := byTime[b.lifeOf(c)].missing(c.partition, c.offset, at); q != nil {
			wrong = append(wrong, fmt.Sprintf("%d/%d was committed at %d; request %d at %v was not written before %s",
				c.partition, c.offset, at, q.seq, q, when(b.outcomes[q.seq])))
		}
	}
	bySample := b.newFrontiers(func(o *outcome) int64 {
		at := target{o.dead, o.partition}
		seen := sort.Search(len(b.samples), func(i int) bool { return b.samples[i].ends[at] > o.offset })
		if seen == len(b.samples) {
			return never
		}
		return int64(seen)
	})
	for i, s := range b.samples {
		for partition, offset := range s.committed {
			if b.stale(s, partition) {
				continue
			}
			v.sampled++
			if q := bySample[b.lifeAt(s.at)].missing(partition, offset, int64(i)); q != nil {
				wrong = append(wrong, fmt.Sprintf("sample %d of %d: %d/%d is committed; request %d at %v is not written yet",
					i, len(b.samples), partition, offset, q.seq, q))
			}
		}
	}
	if v.checked+v.sampled == 0 {
		wrong = append(wrong, "no commit was seen")
	}
	return wrong
}

// apart finds outcomes that were in no transaction, or in one that did not hold an offset beyond their request, which a
// crash behind it would have repeated. It needs the brokers' log of commits.
func (b *ledger) apart() (wrong []string) {
	if len(b.commits) == 0 {
		return nil
	}
	taken := map[inLife][]commit{} // by time; each with the highest offset until then
	for _, c := range slices.SortedStableFunc(slices.Values(b.commits),
		func(x, y commit) int { return cmp.Compare(x.at, y.at) }) {
		at := inLife{c.partition, b.lifeOf(c)}
		if of := taken[at]; len(of) > 0 {
			c.offset = max(c.offset, of[len(of)-1].offset)
		}
		taken[at] = append(taken[at], c)
	}
	covered := func(q *request, o *outcome) bool {
		until := b.until(q)
		if until != endless && o.ended >= b.losses[until-1].at {
			return true // its offset went with the log, or counts in the next one
		}
		for life := q.life; life < min(until, len(b.losses)+1); life++ {
			of := taken[inLife{q.partition, life}]
			later := sort.Search(len(of), func(i int) bool { return of[i].at > o.ended })
			if later > 0 && of[later-1].offset > q.offset {
				return true
			}
		}
		return false
	}
	for _, q := range b.all {
		for _, o := range b.outcomes[q.seq] {
			if !o.inOne || !covered(q, o) {
				wrong = append(wrong, fmt.Sprintf("%v (dead letter: %v, in a transaction: %v) became visible at %d, "+
					"and no offset behind its request %d at %v", o, o.dead, o.inOne, o.ended, q.seq, q))
			}
		}
	}
	return wrong
}

func when(outcomes []*outcome) string {
	if len(outcomes) == 0 {
		return "the end"
	}
	return fmt.Sprint(outcomes[0].written)
}

// frontier knows, for each partition of requests, when everything up to some offset had been written.
type frontier map[int32][]milestone

// milestone is a request and the instant, of whatever clock, at which it and all requests before it had been written.
type milestone struct {
	request *request // the one that was last of all these
	offset  int64
	at      int64
}

// newFrontiers returns one for each life.
func (b *ledger) newFrontiers(date func(*outcome) int64) []frontier {
	var all []frontier
	for life := range len(b.losses) + 1 {
		all = append(all, b.newFrontier(life, date))
	}
	return all
}

// newFrontier dates outcomes by a clock that never goes back. Requests are ordered by partition and offset.
func (b *ledger) newFrontier(life int, date func(*outcome) int64) frontier {
	f := frontier{}
	for _, q := range b.in(life) {
		m := milestone{q, q.offset, never}
		for _, o := range b.outcomes[q.seq] {
			m.at = min(m.at, date(o))
		}
		if of := f[q.partition]; len(of) > 0 && of[len(of)-1].at > m.at {
			m.request, m.at = of[len(of)-1].request, of[len(of)-1].at
		}
		f[q.partition] = append(f[q.partition], m)
	}
	return f
}

// missing returns a request below the offset that had not been written at that instant, nil if there is none.
func (f frontier) missing(partition int32, offset, at int64) *request {
	of := f[partition]
	below := sort.Search(len(of), func(i int) bool { return of[i].offset >= offset })
	if below == 0 || of[below-1].at <= at {
		return nil
	}
	return of[below-1].request
}
