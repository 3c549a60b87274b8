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
	busy map[*handler]struct{}
}

// NewHandlers returns one that has heard of no handler.
func NewHandlers() *Handlers { return &Handlers{busy: map[*handler]struct{}{}} }

// handler is one at work; what it reports are its signs of life.
type handler struct {
	all *Handlers
	handling
}

// handling is what is known of a handler. Handlers.mu guards it.
type handling struct {
	contract int64
	step     processor.Step
	sign     time.Time // when it came to that step, again if it did so more than once
	taken    []schemas.Position
}

// Begin notes that a handler was given the lane of a contract.
func (h *Handlers) Begin(contract int64) processor.Progress {
	b := &handler{all: h, handling: handling{contract: contract, sign: time.Now()}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy[b] = struct{}{}
	return b
}

// End implements processor.Progress.
func (b *handler) End() {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	delete(b.all.busy, b)
}

// Took implements processor.Progress.
func (b *handler) Took(reqs []*inflight.Request) {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	for _, req := range reqs {
		b.taken = append(b.taken, req.Record.Position)
	}
}

// Step implements processor.Progress.
func (b *handler) Step(s processor.Step) {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	b.step, b.sign = s, time.Now()
}

// Completed implements processor.Progress.
func (b *handler) Completed(req *inflight.Request) {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	b.step, b.sign = processor.StepAsking, time.Now()
	b.taken = slices.DeleteFunc(b.taken, func(at schemas.Position) bool { return at == req.Record.Position })
}

// snapshot returns what all handlers do.
func (h *Handlers) snapshot() []handling {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]handling, 0, len(h.busy))
	for b := range h.busy {
		now := b.handling
		now.taken = slices.Clone(b.taken)
		all = append(all, now)
	}
	return all
}
