package client

import (
	"container/list"
	"context"
	"sync"

	"github.com/balanceq/balanceq/internal/wait"
)

// waiters are the tickets without an answer. It is safe for concurrent use.
type waiters struct {
	room    chan struct{} // holds one element for each of them
	closing chan struct{} // closed: no more are taken in
	drained chan struct{} // closed, after closing: none is left that may be waited for

	mu      sync.Mutex
	byID    map[string]*Ticket // the oldest of each id
	count   int
	keys    map[string]int // how many there are of each record key
	keyless int            // how many have none: their answers' keys are not known
	idle    list.List      // of *Ticket: those whose wait has ended without an answer, the earliest first
	blocked int            // calls of add that wait for room
}

func newWaiters(size int) *waiters {
	return &waiters{
		room: make(chan struct{}, size), closing: make(chan struct{}), drained: make(chan struct{}),
		byID: map[string]*Ticket{}, keys: map[string]int{},
	}
}

// add takes a ticket in, before its request is sent: the answer may come before the acknowledgement. While there is no
// room, those whose wait has ended make some; else it waits.
func (w *waiters) add(ctx context.Context, t *Ticket) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed() {
		<-w.room
		return ErrClosed
	}
	if last := w.byID[t.id]; last == nil {
		w.byID[t.id] = t
	} else {
		for last.next != nil {
			last = last.next
		}
		last.next = t
	}
	w.count++
	if t.keyed {
		w.keys[t.key]++
	} else {
		w.keyless++
	}
	return nil
}

// enter takes a place in the room.
func (w *waiters) enter(ctx context.Context) error {
	select {
	case w.room <- struct{}{}:
		return nil
	default:
	}
	// A ticket that becomes idle meanwhile is seen here, or its end sees this call: both are under mu.
	w.mu.Lock()
	if w.closed() {
		w.mu.Unlock()
		return ErrClosed
	}
	w.blocked++
	w.evict()
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.blocked--
		w.mu.Unlock()
	}()
	select {
	case w.room <- struct{}{}:
		return nil
	case <-w.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// evict gives up the ticket that has been idle for longest, for somebody who is blocked. It requires mu.
func (w *waiters) evict() {
	if front := w.idle.Front(); front != nil && w.blocked > 0 {
		t, _ := front.Value.(*Ticket)
		w.remove(t)
		t.complete(nil, &UnknownError{t, ErrForgotten})
	}
}

// wanted says whether anybody waits for an answer with that record key.
func (w *waiters) wanted(key []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keyless > 0 || w.keys[string(key)] > 0
}

// take removes the ticket that an answer belongs to; nil: it is another's, or has had its answer.
func (w *waiters) take(id string) *Ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.byID[id]
	if t != nil {
		w.remove(t)
	}
	return t
}

// forget removes a ticket, if it is there still.
func (w *waiters) forget(t *Ticket) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.gone {
		return false
	}
	w.remove(t)
	return true
}

// remove requires mu, and that the ticket is there.
func (w *waiters) remove(t *Ticket) {
	before := w.byID[t.id]
	switch {
	case before == t && t.next == nil:
		delete(w.byID, t.id)
	case before == t:
		w.byID[t.id] = t.next
	default:
		for before.next != t {
			before = before.next
		}
		before.next = t.next
	}
	t.next, t.gone = nil, true
	w.setIdle(t, false)
	w.count--
	if !t.keyed {
		w.keyless--
	} else if w.keys[t.key]--; w.keys[t.key] == 0 {
		delete(w.keys, t.key)
	}
	<-w.room
	w.checkDrained()
}

// setIdle requires mu.
func (w *waiters) setIdle(t *Ticket, idle bool) {
	switch {
	case idle && t.idle == nil && !t.gone:
		t.idle = w.idle.PushBack(t)
	case !idle && t.idle != nil:
		w.idle.Remove(t.idle)
		t.idle = nil
	}
}

// begin and end are called around each wait for a ticket.
func (w *waiters) begin(t *Ticket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.waits++
	w.setIdle(t, false)
}

func (w *waiters) end(t *Ticket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.waits--; t.waits == 0 {
		w.setIdle(t, true)
		w.evict()
		w.checkDrained()
	}
}

func (w *waiters) closed() bool { return wait.Over(w.closing) }

// close takes no more in. It returns false if that was so already.
func (w *waiters) close() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed() {
		return false
	}
	close(w.closing)
	w.checkDrained()
	return true
}

// checkDrained requires mu.
func (w *waiters) checkDrained() {
	if w.closed() && w.count == w.idle.Len() && !wait.Over(w.drained) {
		close(w.drained)
	}
}

// rest removes all that are left, and returns them.
func (w *waiters) rest() []*Ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*Ticket, 0, w.count)
	for _, t := range w.byID {
		for ; t != nil; t = t.next {
			all = append(all, t)
		}
	}
	for _, t := range all {
		w.remove(t)
	}
	return all
}
