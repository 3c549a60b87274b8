package main

import (
	"sync"
	"time"
)

// pauses measures how long partitions stand still: of the time between two answers to different requests of a
// partition, as a reader of committed records sees them come. The i-th request is in partition i modulo their number.
type pauses struct {
	mu      sync.Mutex
	answers *answers
	parts   []partitionPauses
	marked  int // answers repeated before the mark
}

type partitionPauses struct {
	last    time.Time     // when the last answer came
	asked   time.Time     // when the newest request answered was due
	longest time.Duration // between two answers, since the mark
}

func newPauses(parts int, now time.Time) *pauses {
	p := &pauses{answers: newAnswers(), parts: make([]partitionPauses, parts)}
	for i := range p.parts {
		p.parts[i].last = now
	}
	return p
}

// add enters answers that came together. A repeated one is no progress, so it ends no pause.
func (p *pauses) add(got []answer, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range got {
		if !p.answers.add(g, now) {
			continue
		}
		part := &p.parts[g.number%len(p.parts)]
		part.longest = max(part.longest, now.Sub(part.last))
		part.last = now
		if g.due.After(part.asked) {
			part.asked = g.due
		}
	}
}

// mark forgets pauses that are over and repetitions so far.
func (p *pauses) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.parts {
		p.parts[i].longest = 0
	}
	p.marked = p.answers.repeated()
}

// sinceMark returns each partition's longest pause since the mark, one that goes on included, and the number of
// repeated answers.
func (p *pauses) sinceMark(now time.Time) (longest []time.Duration, repeated int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range p.parts {
		longest = append(longest, max(part.longest, now.Sub(part.last)))
	}
	return longest, p.answers.repeated() - p.marked
}

// behind counts the partitions in which no request has been answered that was due after a certain time.
func (p *pauses) behind(since time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range p.parts {
		if !part.asked.After(since) {
			n++
		}
	}
	return n
}

// total returns how many requests have been answered, how many answers came again, and how many out of order.
func (p *pauses) total() (distinct, repeated, disorder int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers.distinct, p.answers.repeated(), p.answers.disorder()
}
