package main

import (
	"fmt"
	"slices"
)

// loss is an end of records that had been acknowledged. Losses divide a run into lives of the request topic: life n is
// behind the first n of them. An offset means another request in another life.
type loss struct {
	at        int64 // from then on they are gone, Unix milliseconds
	partition int32 // wholeTopic where the topic was deleted and created again
	offset    int64 // where the partition ends from then on
	epoch     int32 // the first leader epoch behind it, where it hit one partition
}

const wholeTopic int32 = -1

func (l loss) hits(partition int32) bool {
	return l.partition == wholeTopic || l.partition == partition
}

func (l loss) covers(p position) bool { return l.hits(p.partition) && p.offset >= l.offset }

// about is what a commit says of the log that it counts in.
type about struct {
	epoch int32 // of the last record below it; below 0 where it says none
	life  int   // in which the topic was created whose id its metadata holds; below 0 where it holds none
}

// unsaid is about a commit that says nothing.
var unsaid = about{-1, -1}

// older returns whether a commit says that it counts in a log of before the loss with that index. The next owner of the
// partition can tell, so that it does no harm.
func (a about) older(l loss, index int) bool {
	if l.partition == wholeTopic {
		return a.life >= 0 && a.life <= index
	}
	return a.epoch >= 0 && a.epoch < l.epoch
}

// until returns the first life in which a request is gone.
func (b *ledger) until(q *request) int {
	for i := q.life; i < len(b.losses); i++ {
		if b.losses[i].covers(q.position) {
			return i + 1
		}
	}
	return endless
}

// endless is a life that never comes.
const endless = 1 << 30

// lifeAt returns the life at that time.
func (b *ledger) lifeAt(at int64) int {
	if i := slices.IndexFunc(b.losses, func(l loss) bool { return l.at > at }); i >= 0 {
		return i
	}
	return len(b.losses)
}

// lifeOf returns the life in whose log a commit counts.
func (b *ledger) lifeOf(c commit) int {
	life := b.lifeAt(c.at)
	for i := life - 1; i >= 0; i-- {
		if l := b.losses[i]; l.hits(c.partition) {
			if !c.older(l, i) {
				break
			}
			life = i
		}
	}
	return life
}

// in returns the requests that were in the log in a life, by partition and offset.
func (b *ledger) in(life int) []*request {
	var alive []*request
	for i := range b.all {
		if q := b.all[i]; q.life <= life && life < b.until(q) {
			alive = append(alive, q)
		}
	}
	return alive
}

// stale returns whether a sampled offset may be of before the last loss that hit its partition: no commit is known to
// have followed. What is committed outlives the log that it counts in.
func (b *ledger) stale(s sample, partition int32) bool {
	life := b.lifeAt(s.at)
	for i := life - 1; i >= 0; i-- {
		if l := b.losses[i]; l.hits(partition) {
			first, some := b.renewed[inLife{partition, i + 1}]
			return !some || first > s.at
		}
	}
	return false
}

// inLife is a partition in a life.
type inLife struct {
	partition int32
	life      int
}

// renew finds when offsets were first committed in each life.
func (b *ledger) renew() {
	b.renewed = map[inLife]int64{}
	for _, c := range b.commits {
		for life := b.lifeOf(c); life > 0; life-- {
			at := inLife{c.partition, life}
			if first, some := b.renewed[at]; !some || c.ended < first {
				b.renewed[at] = c.ended
			}
		}
	}
}

// creation returns the life in which the topic of a life was created.
func (b *ledger) creation(life int) int {
	for i := life - 1; i >= 0; i-- {
		if b.losses[i].partition == wholeTopic {
			return i + 1
		}
	}
	return 0
}

// reread finds requests that came out again long after an offset behind them was committed, in the log that they are
// in. A worker that was stopped writes what it had in hand, but not later than it was stopped for; a reader that begins
// at the start of a log again has no such limit.
func (b *ledger) reread(r rules) (wrong []string) {
	of := map[int32][]commit{}
	for _, c := range b.commits {
		of[c.partition] = append(of[c.partition], c)
	}
	for _, q := range b.all {
		if len(b.outcomes[q.seq]) < 2 {
			continue
		}
		committed := int64(never)
		for _, c := range of[q.partition] {
			if life := b.lifeOf(c); c.offset > q.offset && q.life <= life && life < b.until(q) {
				committed = min(committed, c.ended)
			}
		}
		for _, o := range b.outcomes[q.seq] {
			if committed != never && o.written > committed+r.stale.Milliseconds() {
				wrong = append(wrong, fmt.Sprintf("request %d at %v was committed at %d and comes out at %d, at %v",
					q.seq, q, committed, o.written, o))
			}
		}
	}
	return wrong
}

// sharedIDs finds outcomes that their readers take for those of another request.
func (b *ledger) sharedIDs() (wrong []string) {
	type name struct {
		dead bool
		id   string
	}
	first := map[name]*outcome{}
	for i := range b.history.outcomes {
		o := &b.history.outcomes[i]
		if before := first[name{o.dead, o.id}]; before == nil {
			first[name{o.dead, o.id}] = o
		} else if before.seq != o.seq {
			wrong = append(wrong, fmt.Sprintf("%v of request %d and %v of request %d (dead letters: %v) both name %q",
				before, before.seq, o, o.seq, o.dead, o.id))
		}
	}
	return wrong
}
