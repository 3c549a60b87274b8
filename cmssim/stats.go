package cmssim

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts the calls since the start or the last Reset. Control requests are not counted.
type Stats struct {
	Calls        int64         `json:"calls"`
	ByStatus     map[int]int64 `json:"byStatus"`     // by HTTP status of the answer, truncated ones included
	Unanswered   int64         `json:"unanswered"`   // reset, or the client gave up first
	InFlight     int64         `json:"inFlight"`     // at this moment
	MaxInFlight  int64         `json:"maxInFlight"`  // the most at any moment
	Connections  int64         `json:"connections"`  // TCP connections accepted, those of control clients included
	DuringFaults int64         `json:"duringFaults"` // calls while at least one fault was in force
	Faulted      int64         `json:"faulted"`      // calls that a fault took
	First        time.Time     `json:"first,omitzero"`
	Last         time.Time     `json:"last,omitzero"`

	// RefusedSignatures counts the calls that Config.Verify refused by cause: header, noConsumerKey, bodyHash,
	// consumerKey, signature, timestamp, nonce.
	RefusedSignatures map[string]int64 `json:"refusedSignatures,omitempty"`

	// ByContract counts the recorded calls by contract; only on request (Simulator.CallsByContract, ?by=contract).
	ByContract map[int64]int64 `json:"byContract,omitempty"`
}

// counters are Stats as calls write them. Each is exact by itself; a snapshot taken under load may be a call apart.
type counters struct {
	calls        atomic.Int64
	byStatus     [600]atomic.Int64
	unanswered   atomic.Int64
	inFlight     atomic.Int64
	maxInFlight  atomic.Int64
	connections  atomic.Int64
	duringFaults atomic.Int64
	faulted      atomic.Int64
	refused      [causes]atomic.Int64
	first        atomic.Int64 // Unix nanoseconds; 0: no call yet
	last         atomic.Int64
}

// begin counts a call in and returns how many are in flight with it.
func (c *counters) begin(now time.Time) int64 {
	c.calls.Add(1)
	nanos := now.UnixNano()
	c.last.Store(nanos)
	if c.first.Load() == 0 {
		c.first.CompareAndSwap(0, nanos)
	}
	n := c.inFlight.Add(1)
	for most := c.maxInFlight.Load(); n > most && !c.maxInFlight.CompareAndSwap(most, n); {
		most = c.maxInFlight.Load()
	}
	return n
}

func (c *counters) snapshot() Stats {
	s := Stats{
		Calls:        c.calls.Load(),
		ByStatus:     make(map[int]int64),
		Unanswered:   c.unanswered.Load(),
		InFlight:     c.inFlight.Load(),
		MaxInFlight:  c.maxInFlight.Load(),
		Connections:  c.connections.Load(),
		DuringFaults: c.duringFaults.Load(),
		Faulted:      c.faulted.Load(),
	}
	for status := range c.byStatus {
		if n := c.byStatus[status].Load(); n > 0 {
			s.ByStatus[status] = n
		}
	}
	for i, name := range causeNames {
		if n := c.refused[i].Load(); n > 0 {
			if s.RefusedSignatures == nil {
				s.RefusedSignatures = make(map[string]int64)
			}
			s.RefusedSignatures[name] = n
		}
	}
	if first := c.first.Load(); first != 0 {
		s.First, s.Last = time.Unix(0, first), time.Unix(0, c.last.Load())
	}
	return s
}

// reset sets the counters to zero, except for the calls in flight: those are still there.
func (c *counters) reset() {
	for status := range c.byStatus {
		c.byStatus[status].Store(0)
	}
	for i := range c.refused {
		c.refused[i].Store(0)
	}
	for _, n := range []*atomic.Int64{
		&c.calls, &c.unanswered, &c.connections, &c.duringFaults, &c.faulted, &c.first, &c.last,
	} {
		n.Store(0)
	}
	c.maxInFlight.Store(c.inFlight.Load())
}

// Call is one recorded call about a contract, on the balances path and with any outcome.
type Call struct {
	ContractID    int64
	Time          time.Time // of arrival
	Codes         []string  // as asked; nil if they could not be read
	CorrelationID string    // the Correlation-Id header of the request
	Traceparents  []string  // the Traceparent headers of the request
	Status        int       // of the answer; 0: none yet, or none at all
}

// maxRecorded bounds what a recorder keeps: the latest calls.
const maxRecorded = 1 << 16

// recorder keeps the latest calls in a ring, in order of arrival.
type recorder struct {
	mu    sync.Mutex
	calls []*Call
	next  int // where the ring is overwritten once it is full
}

func (r *recorder) add(c *Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) < maxRecorded {
		r.calls = append(r.calls, c)
		return
	}
	r.calls[r.next] = c
	r.next = (r.next + 1) % maxRecorded
}

func (r *recorder) answered(c *Call, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Status = status
}

// each calls fn for every recorded call, oldest first, under the lock.
func (r *recorder) each(fn func(*Call)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.calls {
		fn(r.calls[(r.next+i)%len(r.calls)])
	}
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.next = nil, 0
}

// Stats returns the counters at this moment.
func (s *Simulator) Stats() Stats { return s.counters.snapshot() }

// Calls returns the recorded calls about a contract in order of arrival. Only the latest 65536 calls about all
// contracts are kept, and none unless Config.Record is on.
func (s *Simulator) Calls(contractID int64) []Call {
	var calls []Call
	s.recorder.each(func(c *Call) {
		if c.ContractID == contractID {
			calls = append(calls, *c)
		}
	})
	return calls
}

// CallsByContract counts the recorded calls by contract, within the limits of Calls.
func (s *Simulator) CallsByContract() map[int64]int64 {
	byContract := make(map[int64]int64)
	s.recorder.each(func(c *Call) { byContract[c.ContractID]++ })
	return byContract
}

// ConnState counts new connections; it is an http.Server's ConnState hook.
func (s *Simulator) ConnState(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.counters.connections.Add(1)
	}
}
