package producer

import (
	"context"
	"slices"
	"sync"
)

// line is a queue of writes that wait for room, first come, first served: a large one would otherwise wait for as long
// as small ones find room before it. Its owner's mutex guards it. While none waits, it costs nothing.
type line[T any] struct{ waiting []*waiter[T] }

// waiter is one write in the line. What lets it in does its work for it, under the mutex: left to the goroutines that
// are woken, the order would be the scheduler's.
type waiter[T any] struct {
	item T
	done chan struct{} // closed when it is let in, or turned away
	err  error         // why it was turned away
}

// wait joins the line and returns when item was let in, when the line was closed, or with ctx's error when that ends
// first: then item has left the line. It requires mu, and has released it meanwhile.
//
// If ctx ends while item is being let in, letting in wins: its work is done by then.
func (l *line[T]) wait(ctx context.Context, mu sync.Locker, item T) error {
	w := &waiter[T]{item: item, done: make(chan struct{})}
	l.waiting = append(l.waiting, w)
	mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	mu.Lock()
	if i := slices.Index(l.waiting, w); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		return ctx.Err()
	}
	return w.err
}

// advance lets in those for whom there is room, in their order: who comes behind one that has to wait waits too, unless
// it is exempt. enter does the work of one that is let in; it may change what the other two say.
func (l *line[T]) advance(room, exempt func(T) bool, enter func(T)) {
	blocked := false
	rest := l.waiting[:0]
	for _, w := range l.waiting {
		if blocked = blocked || !room(w.item); blocked && !exempt(w.item) {
			rest = append(rest, w)
			continue
		}
		enter(w.item)
		close(w.done)
	}
	clear(l.waiting[len(rest):])
	l.waiting = rest
}

// close turns all away.
func (l *line[T]) close(err error) {
	for _, w := range l.waiting {
		w.err = err
		close(w.done)
	}
	l.waiting = nil
}
