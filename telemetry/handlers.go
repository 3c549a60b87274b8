package telemetry

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/schemas"
)

// Handlers keeps the books of what handlers do, for the watchdog: wrap every lane that a handler gets with Begin. It is
// safe for concurrent use.
type Handlers struct {
	mu   sync.Mutex
	busy map[*Handled]struct{}
}

// NewHandlers returns empty books.
func NewHandlers() *Handlers { return &Handlers{busy: map[*Handled]struct{}{}} }

// step is what a handler did last.
type step int

const (
	began   step = iota // it has not asked the CMS yet: it waits for leave to
	asked               // it asks, or waits before it asks again
	settles             // it hands an outcome over to be written
	aside               // it waits for what may take long, and has left its place to another one
)

// Handled is a lane in the hands of a handler. What the handler does with it are its signs of life.
type Handled struct {
	*consumer.Lane
	books *Handlers
	step  step      // this and the rest is guarded by books.mu
	sign  time.Time // when it came to that step, again if it did so more than once
	taken []schemas.Position
}

// Begin notes that a handler was given a lane. The handler must use what it returns, and its End when it is done.
func (h *Handlers) Begin(lane *consumer.Lane) *Handled {
	l := &Handled{Lane: lane, books: h, sign: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy[l] = struct{}{}
	return l
}

// End notes that the handler has returned.
func (l *Handled) End() {
	l.books.mu.Lock()
	defer l.books.mu.Unlock()
	delete(l.books.busy, l)
}

// Take is the lane's.
func (l *Handled) Take(dst []*schemas.Inquiry, join func(*schemas.Inquiry) bool) []*schemas.Inquiry {
	all := l.Lane.Take(dst, join)
	l.books.mu.Lock()
	defer l.books.mu.Unlock()
	for _, inq := range all[len(dst):] {
		l.taken = append(l.taken, inq.Record.Position)
	}
	return all
}

// Live is the lane's. A handler looks right before it asks the CMS, each time.
func (l *Handled) Live(inq *schemas.Inquiry) bool {
	l.did(asked)
	return l.Lane.Live(inq)
}

// StepAside is the lane's.
func (l *Handled) StepAside(ctx context.Context, wait func()) {
	l.did(aside)
	defer l.did(asked)
	l.Lane.StepAside(ctx, wait)
}

// Settle is the lane's.
func (l *Handled) Settle(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome) {
	l.did(settles)
	l.Lane.Settle(ctx, inq, out)
	l.books.mu.Lock()
	defer l.books.mu.Unlock()
	l.step, l.sign = asked, time.Now()
	l.taken = slices.DeleteFunc(l.taken, func(at schemas.Position) bool { return at == inq.Record.Position })
}

func (l *Handled) did(s step) {
	l.books.mu.Lock()
	defer l.books.mu.Unlock()
	l.step, l.sign = s, time.Now()
}

// handling is a snapshot of a handler at work.
type handling struct {
	contract int64
	step     step
	sign     time.Time
	taken    []schemas.Position
}

// snapshot returns what all handlers do.
func (h *Handlers) snapshot() []handling {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]handling, 0, len(h.busy))
	for l := range h.busy {
		all = append(all, handling{l.Contract(), l.step, l.sign, slices.Clone(l.taken)})
	}
	return all
}

// ordering says that the producer may have no room for an outcome before an earlier request is answered. Where every earlier
// one is at the producer too, that is no excuse.
func (m *moment) ordering() bool {
	return m.producer.Ordered && slices.ContainsFunc(m.consumer.Partitions, func(p consumer.PartitionStatus) bool {
		return p.Open > 0 && !slices.ContainsFunc(m.handlers, func(b handling) bool {
			return b.step == settles && b.holds(p.Partition, p.Oldest)
		})
	})
}
