package cmsclient

import (
	"sync"
	"time"
)

// Observer is told what happens; telemetry implements it. Its methods are called outside any lock, so they may call the
// client. BreakerChanged, Halted and Resumed come one at a time and in the order of events.
type Observer interface {
	// Called reports one attempt and how long it took. The class is one of the Call constants.
	Called(class string, d time.Duration)
	// BreakerChanged reports a change between "closed", "open" and "half-open"; failing is how the CMS fails or failed, as
	// in Status.
	BreakerChanged(from, to, failing string)
	// Halted reports that calls stopped because of something that no request can be blamed for; err says what to fix.
	Halted(err error)
	// Resumed reports the end of that.
	Resumed()
	// QuotaSpent reports that the day's quota of calls is used up; until is the next UTC day.
	QuotaSpent(until time.Time)
}

// Classes of Observer.Called, by what came back.
const (
	Call2xx           = "2xx"
	Call3xx           = "3xx"
	Call4xx           = "4xx" // but 429
	Call429           = "429"
	Call5xx           = "5xx"
	CallOther         = "other"         // a status that HTTP does not define
	CallUndecodable   = "undecodable"   // a 2xx that breaks the contract
	CallUndecryptable = "undecryptable" // a 2xx that no key opens
	CallTimeout       = "timeout"       // no complete answer within the attempt's time
	CallNetwork       = "network"       // no complete answer for another reason
	CallCancelled     = "cancelled"     // the caller gave up
)

// CallClasses are all classes of Observer.Called.
var CallClasses = []string{Call2xx, Call3xx, Call4xx, Call429, Call5xx, CallOther, CallUndecodable, CallUndecryptable, CallTimeout,
	CallNetwork, CallCancelled}

// NopObserver ignores everything.
type NopObserver struct{}

var _ Observer = NopObserver{}

// Called does nothing.
func (NopObserver) Called(string, time.Duration) {}

// BreakerChanged does nothing.
func (NopObserver) BreakerChanged(string, string, string) {}

// Halted does nothing.
func (NopObserver) Halted(error) {}

// Resumed does nothing.
func (NopObserver) Resumed() {}

// QuotaSpent does nothing.
func (NopObserver) QuotaSpent(time.Time) {}

// events hands state changes to the observer: post under any lock, flush under none.
type events struct {
	mu      sync.Mutex // a leaf: nothing else is locked under it
	queue   []func()
	running bool
}

func (e *events) post(f func()) {
	e.mu.Lock()
	e.queue = append(e.queue, f)
	e.mu.Unlock()
}

// flush runs what was posted. Only one goroutine runs at a time, which keeps the order: if A runs event 1 while B
// flushes event 2, B returns at once and A finds event 2 when it comes back for more. For the same reason an observer
// that calls the client, and so flush again, neither deadlocks nor recurses.
func (e *events) flush() {
	for e.runNext() {
	}
}

func (e *events) runNext() bool {
	e.mu.Lock()
	if e.running || len(e.queue) == 0 {
		e.mu.Unlock()
		return false
	}
	next := e.queue[0]
	e.queue = e.queue[1:]
	e.running = true
	e.mu.Unlock()

	defer func() {
		e.mu.Lock()
		e.running = false
		e.mu.Unlock()
	}()
	next()
	return true
}
