package cmsclient

import "container/list"

// kind says why a call is made.
type kind int

const (
	first kind = iota // for a request that has not failed, or whose failure was no fault of its own
	retry             // for a request whose call failed while others were answered
	hedge             // beside a call that is slow
)

// waiter is one caller in the queue; its permit comes through the channel (capacity 1).
type waiter struct {
	granted chan permit
	kind    kind
	turn    int // who came first
	element *list.Element
}

// queue is those who wait, first come, first served, but that retries may have to let others pass.
type queue struct {
	firsts, retries list.List // of *waiter
	turns           int
}

func (q *queue) of(k kind) *list.List {
	if k == retry {
		return &q.retries
	}
	return &q.firsts
}

func (q *queue) len() int { return q.firsts.Len() + q.retries.Len() }

// passes reports whether a newcomer need not queue behind others. Retries that still wait after the last pump wait for
// the budget, or for what keeps everybody waiting.
func (q *queue) passes(k kind) bool {
	return q.firsts.Len() == 0 && (k == first || q.retries.Len() == 0)
}

func (q *queue) push(k kind) *waiter {
	w := &waiter{granted: make(chan permit, 1), kind: k, turn: q.turns}
	q.turns++
	w.element = q.of(k).PushBack(w)
	return w
}

func (q *queue) remove(w *waiter) { q.of(w.kind).Remove(w.element) }

// next returns the waiter whose turn it is; nil: none.
func (q *queue) next(retriesToo bool) *waiter {
	f, r := front(&q.firsts), front(&q.retries)
	if r != nil && retriesToo && (f == nil || r.turn < f.turn) {
		return r
	}
	return f
}

func front(l *list.List) *waiter {
	if e := l.Front(); e != nil {
		w, _ := e.Value.(*waiter) // push puts nothing else there
		return w
	}
	return nil
}
