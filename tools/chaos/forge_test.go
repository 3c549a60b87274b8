package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// forger writes histories of a service that keeps all promises, one event a millisecond. It draws a seed and not every
// step: a history of hundreds of steps would take minutes to shrink, and is hardly shorter for it.
type forger struct {
	random   *rand.Rand
	inTxns   bool // exactly-once: outcomes and offset go together, when offsets are committed
	h        history
	now      int64
	ends     map[target]int64
	promised map[int32]int64 // committed offsets
	byTarget map[target][]outcome
	base     map[int32]int64 // where the requests begin
	outdated map[int32]int64 // what is committed until the first commit of this log
}

const forgedParts = 3

var promised = rules{runAhead: forgedWindow, worth: time.Minute, stale: time.Hour, slack: 100 * time.Millisecond}

// forgedWindow is how far the forged workers run ahead.
const forgedWindow = 8

// forge draws a history: a worker that answers contracts side by side, each in order, commits what is contiguous, is
// killed and begins again, and whose breaker is open when no dead letter is decided on.
func forge(t *rapid.T, inTxns bool) history {
	f := newForger(t, inTxns)
	f.forge(t, 0)
	return f.h
}

func newForger(t *rapid.T, inTxns bool) *forger {
	return &forger{inTxns: inTxns, random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
		now:  1_700_000_000_000,
		ends: map[target]int64{}, promised: map[int32]int64{}, byTarget: map[target][]outcome{},
		base: map[int32]int64{}, outdated: map[int32]int64{}, h: history{open: map[string][]period{"w1": nil}}}
}

// forge adds a life, whose requests are counted from first on.
func (f *forger) forge(t *rapid.T, first int) {
	const contracts = 50
	n := rapid.IntRange(60, 100).Draw(t, "requests")
	perPart := make([][]request, forgedParts)
	for seq := range n {
		rec := newRequest(first+seq, contracts)
		rec.Partition = int32(seq % contracts % forgedParts)
		rec.Offset = f.base[rec.Partition] + int64(len(perPart[rec.Partition]))
		rec.Timestamp = time.UnixMilli(f.tick())
		q, err := readRequest(rec)
		if err != nil {
			t.Fatal(err)
		}
		q.life = len(f.h.losses)
		perPart[rec.Partition] = append(perPart[rec.Partition], q)
	}
	f.h.published += n
	f.h.requests = append(f.h.requests, slices.Concat(perPart...)...)
	for partition, requests := range perPart {
		f.work(int32(partition), requests)
	}
	f.sample()
	f.h.open["w1"] = []period{{time.UnixMilli(f.now + 1000), time.UnixMilli(f.now + 9000)}}
	f.h.ended, f.h.outcomes = f.tick(), nil
	for _, at := range slices.SortedFunc(maps.Keys(f.byTarget), func(a, b target) int {
		if a.dead != b.dead {
			return map[bool]int{false: -1, true: 1}[a.dead]
		}
		return int(a.partition - b.partition)
	}) {
		f.h.outcomes = append(f.h.outcomes, f.byTarget[at]...)
	}
}

func (f *forger) tick() int64 {
	f.now++
	return f.now
}

// work answers the requests of one partition.
func (f *forger) work(partition int32, requests []request) {
	const (
		answer = iota
		commits
		sample
		kill
	)
	steps := append(slices.Repeat([]int{answer}, 12), commits, commits, commits, sample, sample, kill)
	next, done := 0, map[int]bool{}
	base := f.base[partition]
	f.promised[partition] = base
	var kept []request // outcomes that wait for their transaction
	for next < len(requests) || f.promised[partition] < base+int64(len(requests)) {
		switch steps[f.random.IntN(len(steps))] {
		case answer:
			open := requests[next:min(next+forgedWindow, len(requests))]
			var ready []request
			busy := map[string]bool{}
			for i, q := range open {
				if !done[next+i] && !busy[q.contract] {
					ready = append(ready, q)
				}
				busy[q.contract] = busy[q.contract] || !done[next+i]
			}
			if len(ready) == 0 {
				continue
			}
			q := ready[f.random.IntN(len(ready))]
			if kept = append(kept, q); !f.inTxns {
				f.write(q)
			}
			done[int(q.offset-base)] = true
			for done[next] {
				next++
			}
		case commits:
			if f.inTxns {
				kept = f.transaction(partition, base+int64(next), kept)
				continue
			}
			f.promised[partition] = base + int64(next)
			delete(f.outdated, partition)
			at := f.tick()
			f.h.commits = append(f.h.commits, commit{partition, base + int64(next), at, at, unsaid})
		case sample:
			f.sample()
		case kill:
			at := time.UnixMilli(f.tick())
			f.h.broken = append(f.h.broken, period{at, at})
			if f.inTxns { // in the midst of a transaction, which is aborted
				for _, q := range kept {
					f.ends[targetOf(q)]++
				}
			}
			next, done, kept = int(f.promised[partition]-base), map[int]bool{}, nil
		}
	}
}

// transaction commits an offset with the outcomes of requests below it, and returns those of requests above it.
func (f *forger) transaction(partition int32, offset int64, kept []request) (rest []request) {
	began := f.now
	at := f.tick() // offsets may be taken before the outcomes or after them
	for _, q := range kept {
		if q.offset < offset {
			f.write(q)
		} else {
			rest = append(rest, q)
		}
	}
	if f.random.IntN(2) == 0 {
		at = f.tick()
	}
	ended := f.tick()
	f.h.commits = append(f.h.commits, commit{partition, offset, at, ended, unsaid})
	for _, dead := range []bool{false, true} {
		of := f.byTarget[target{dead, partition}]
		for i := range of {
			if of[i].written > began {
				of[i].dates = dates{true, ended, ended}
			}
		}
	}
	f.promised[partition] = offset
	delete(f.outdated, partition)
	return rest
}

func targetOf(q request) target { return target{q.fate != answered, q.partition} }

func (f *forger) write(q request) {
	at := targetOf(q)
	o := outcome{
		position: position{q.partition, f.ends[at]}, dead: at.dead, seq: q.seq, contract: q.contract, source: q.position,
		reason: reasons[q.fate], id: fmt.Sprint(q.seq), written: f.tick(), key: q.contract,
	}
	o.dates = dates{false, o.written, o.written}
	if o.dead {
		o.instance = "w1"
	} else {
		o.balances = balancesOf(q.contract)
	}
	f.ends[at]++
	f.byTarget[at] = append(f.byTarget[at], o)
}

func (f *forger) sample() {
	committed := maps.Clone(f.promised)
	maps.Copy(committed, f.outdated)
	f.h.samples = append(f.h.samples, sample{f.now, committed, maps.Clone(f.ends)})
}
