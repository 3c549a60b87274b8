package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// longStall is what is worth a line of its own.
const longStall = 5 * time.Second

// stall is a time during which a partition had requests, and no first outcome of any of them became readable.
type stall struct {
	period
	partitions []int32 // that stood still at some time of it
	cause      string
}

func (s stall) length() time.Duration { return s.to.Sub(s.from).Round(100 * time.Millisecond) }

func (s stall) String() string {
	return fmt.Sprintf("%v from %s to %s UTC in %d partitions: %s",
		s.length(), clock(s.from), clock(s.to), len(s.partitions), s.cause)
}

// findStalls finds the longest stall, and all long ones. Those of several partitions that overlap are one, as long as
// the longest of them.
func (b *ledger) findStalls(v *verdict) {
	var all []stall
	for partition := range b.partitions() {
		for _, p := range b.standstills(partition) {
			if p.to.Sub(p.from) > v.longest.to.Sub(v.longest.from) {
				v.longest = stall{period: p, partitions: []int32{partition}}
			}
			if p.to.Sub(p.from) >= longStall {
				all = append(all, stall{period: p, partitions: []int32{partition}})
			}
		}
	}
	slices.SortFunc(all, func(x, y stall) int { return x.from.Compare(y.from) })
	reach := time.Time{}
	for _, s := range all {
		if n := len(v.stalls); n > 0 && s.from.Before(reach) {
			last := &v.stalls[n-1]
			if s.length() > last.length() {
				last.period = s.period
			}
			if !slices.Contains(last.partitions, s.partitions[0]) {
				last.partitions = append(last.partitions, s.partitions[0])
			}
		} else {
			v.stalls = append(v.stalls, s)
		}
		if s.to.After(reach) {
			reach = s.to
		}
	}
	v.longest.cause = causes(b.injected, v.longest.period)
	for i := range v.stalls {
		v.stalls[i].cause = causes(b.injected, v.stalls[i].period)
	}
}

func (b *ledger) partitions() map[int32]bool {
	partitions := map[int32]bool{}
	for _, q := range b.all {
		partitions[q.partition] = true
	}
	return partitions
}

// standstills returns all times between two events of a partition at which requests waited.
func (b *ledger) standstills(partition int32) (periods []period) {
	type event struct {
		at    int64
		delta int // +1: a request, -1: its first outcome
	}
	var events []event
	for _, q := range b.all {
		if q.partition != partition {
			continue
		}
		until := b.until(q)
		events = append(events, event{q.written, +1})
		if outcomes := b.outcomes[q.seq]; len(outcomes) > 0 {
			first := slices.MinFunc(outcomes, func(x, y *outcome) int { return cmp.Compare(x.readable, y.readable) })
			events = append(events, event{max(q.written, first.readable), -1})
		} else if until != endless { // nothing waits for it any more
			events = append(events, event{max(q.written, b.losses[until-1].at), -1})
		}
	}
	slices.SortFunc(events, func(x, y event) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(y.delta, x.delta)) })
	waiting, since := 0, int64(0)
	note := func(at int64) {
		if waiting > 0 && at > since {
			periods = append(periods, period{time.UnixMilli(since), time.UnixMilli(at)})
		}
	}
	for _, e := range events {
		if e.delta < 0 {
			note(e.at)
		}
		if e.delta < 0 || waiting == 0 {
			since = e.at
		}
		waiting += e.delta
	}
	note(b.ended)
	return periods
}

// causes names the faults that a stall overlaps with, or comes soon after, the one with the longest overlap first; at
// most three of them, and none that overlaps with less than a fifth of it.
func causes(injected []injection, p period) string {
	type suspect struct {
		effect  string
		overlap time.Duration
	}
	var suspects []suspect
	for _, d := range injected {
		from, to := d.from, d.to.Add(d.aftermath)
		if p.from.After(from) {
			from = p.from
		}
		if p.to.Before(to) {
			to = p.to
		}
		if overlap := to.Sub(from); overlap > 0 && overlap >= p.to.Sub(p.from)/5 {
			suspects = append(suspects, suspect{d.effect, overlap})
		}
	}
	if len(suspects) == 0 {
		return "no fault"
	}
	slices.SortStableFunc(suspects, func(x, y suspect) int { return cmp.Compare(y.overlap, x.overlap) })
	var names []string
	for _, s := range suspects {
		if !slices.Contains(names, s.effect) && len(names) < 3 {
			names = append(names, s.effect)
		}
	}
	return strings.Join(names, ", ")
}
