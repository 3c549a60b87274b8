package cmsclient

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Observer is told what happens: one or several of CallObserver, BreakerObserver, ThrottleObserver, HaltObserver and
// QuotaObserver. Their methods are called outside any lock, so they may call the client. What is not about a single
// call comes one at a time and in the order of events.
type Observer any

// CallObserver hears of every attempt.
type CallObserver interface {
	// Called reports one attempt and how long it took. The class is one of the Call constants.
	Called(class string, d time.Duration)
}

// BreakerObserver hears of the circuit breaker.
type BreakerObserver interface {
	// BreakerChanged reports a change; failing is how the CMS fails or failed, as in Status.
	BreakerChanged(from, to BreakerState, failing Failing)
}

// ThrottleObserver hears when the CMS asks for fewer calls.
type ThrottleObserver interface {
	// Throttled reports that all calls pause after a 429, until then or, if others ask for more, longer.
	Throttled(until time.Time)
}

// HaltObserver hears when the CMS refuses the client itself.
type HaltObserver interface {
	// Halted reports that calls stopped because of something that no request can be blamed for; err says what to fix.
	Halted(err error)
	// Resumed reports the end of that.
	Resumed()
}

// QuotaObserver hears of the day's quota.
type QuotaObserver interface {
	// QuotaSpent reports that it is used up; until is the next UTC day.
	QuotaSpent(until time.Time)
}

// Classes of CallObserver.Called, by what came back.
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

// CallClasses are all classes of CallObserver.Called.
var CallClasses = []string{Call2xx, Call3xx, Call4xx, Call429, Call5xx, CallOther, CallUndecodable, CallUndecryptable,
	CallTimeout, CallNetwork, CallCancelled}

// observers are those of a client, by what they hear of.
type observers struct {
	call     []CallObserver
	breaker  []BreakerObserver
	throttle []ThrottleObserver
	halt     []HaltObserver
	quota    []QuotaObserver
}

// newObservers refuses what would never be called; nil is ignored.
func newObservers(all []Observer) (observers, error) {
	var o observers
	for _, one := range all {
		known := one == nil
		known = add(&o.call, one) || known
		known = add(&o.breaker, one) || known
		known = add(&o.throttle, one) || known
		known = add(&o.halt, one) || known
		known = add(&o.quota, one) || known
		if !known {
			return o, fmt.Errorf("a %T hears of nothing: implement one of the observers of this package", one)
		}
	}
	return o, nil
}

func add[T any](to *[]T, one Observer) bool {
	observer, ok := one.(T)
	if ok {
		*to = append(*to, observer)
	}
	return ok
}

func (o *observers) called(class string, d time.Duration) {
	for _, one := range o.call {
		one.Called(class, d)
	}
}

func (o *observers) breakerChanged(from, to BreakerState, failing Failing) {
	for _, one := range o.breaker {
		one.BreakerChanged(from, to, failing)
	}
}

func (o *observers) throttled(until time.Time) {
	for _, one := range o.throttle {
		one.Throttled(until)
	}
}

func (o *observers) halted(err error) {
	for _, one := range o.halt {
		one.Halted(err)
	}
}

func (o *observers) resumed() {
	for _, one := range o.halt {
		one.Resumed()
	}
}

func (o *observers) quotaSpent(until time.Time) {
	for _, one := range o.quota {
		one.QuotaSpent(until)
	}
}

// events hands state changes to the observer: post under any lock, flush under none.
type events struct {
	some    atomic.Bool // queue is not empty: spares all calls the lock
	mu      sync.Mutex  // a leaf: nothing else is locked under it
	queue   []func()
	running bool
}

func (e *events) post(f func()) {
	e.mu.Lock()
	e.queue = append(e.queue, f)
	e.some.Store(true)
	e.mu.Unlock()
}

// flush runs what was posted. Only one goroutine runs at a time, which keeps the order: if A runs event 1 while B
// flushes event 2, B returns at once and A finds event 2 when it comes back for more. For the same reason an observer
// that calls the client, and so flush again, neither deadlocks nor recurses.
//
// A caller that posts flushes after that, and sees its own event or that it is taken: so a flush that sees none leaves
// none.
func (e *events) flush() {
	for e.some.Load() && e.runNext() {
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
	e.some.Store(len(e.queue) > 0)
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
