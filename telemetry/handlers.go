package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/schemas"
)

// Handlers collects what the processor's handlers report, for the watchdog: its Begin is what processor.Config wants
// for Progress. It is safe for concurrent use.
type Handlers struct {
	mu   sync.Mutex
	all  []*handler // as many as have been at work at the same time
	free []*handler // those of them that are not
}

// NewHandlers returns one that has heard of no handler.
func NewHandlers() *Handlers { return &Handlers{} }

// handler is one at work; what it reports are its signs of life. Each has a lock of its own, which it shares with
// snapshot alone: every handler reports several times a request.
type handler struct {
	all *Handlers

	mu   sync.Mutex
	busy bool
	handling
}

// handling is what is known of a handler.
type handling struct {
	contract int64
	step     processor.Step
	sign     time.Time // when it came to that step, again if it did so more than once
	taken    []schemas.Position
}

// Begin notes that a handler was given the lane of a contract.
func (h *Handlers) Begin(contract int64) processor.Progress {
	b := h.next()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy, b.handling = true, handling{contract: contract, sign: time.Now(), taken: b.taken[:0]}
	return b
}

func (h *Handlers) next() *handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.free)
	if n == 0 {
		b := &handler{all: h}
		h.all = append(h.all, b)
		return b
	}
	b := h.free[n-1]
	h.free = h.free[:n-1]
	return b
}

// End implements processor.Progress.
func (b *handler) End() {
	b.mu.Lock()
	b.busy = false
	b.mu.Unlock()
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	b.all.free = append(b.all.free, b)
}

// Took implements processor.Progress.
func (b *handler) Took(reqs []*inflight.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, req := range reqs {
		b.taken = append(b.taken, req.Record.Position)
	}
}

// Step implements processor.Progress.
func (b *handler) Step(s processor.Step) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.step, b.sign = s, time.Now()
}

// Completed implements processor.Progress.
func (b *handler) Completed(req *inflight.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.step, b.sign = processor.StepAsking, time.Now()
	b.taken = slices.DeleteFunc(b.taken, func(at schemas.Position) bool { return at == req.Record.Position })
}

// snapshot returns what all handlers do.
func (h *Handlers) snapshot() []handling {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]handling, 0, len(h.all)-len(h.free))
	for _, b := range h.all {
		if now, busy := b.now(); busy {
			all = append(all, now)
		}
	}
	return all
}

func (b *handler) now() (now handling, busy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now = b.handling
	now.taken = slices.Clone(b.taken)
	return now, b.busy
}
