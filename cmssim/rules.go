package cmssim

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// FaultState is a fault that is still in force.
type FaultState struct {
	ID        string
	Fault     Fault
	Taken     int64         // calls it took so far
	Remaining int           // calls it will still take; 0: no limit
	EndsIn    time.Duration // time it will still last; 0: no limit
}

// rule is a fault in force, with what a call needs made ready.
type rule struct {
	id        string
	fault     Fault
	contracts map[int64]struct{} // nil: all
	body      []byte
	mediaType []string
	retry     []string // Retry-After; nil: none
	ends      time.Time
	reached   int64 // calls that reached it, for Match.Every
	taken     int64
}

// ruleList is the ordered list of faults. The counters of its rules belong to mu.
type ruleList struct {
	armed  atomic.Bool // there are rules: without any, a call takes no lock
	mu     sync.Mutex
	rules  []*rule
	lastID int
}

func newRule(id string, f Fault, now time.Time) *rule {
	f.Match.Contracts = slices.Clone(f.Match.Contracts)
	r := &rule{id: id, fault: f}
	if len(f.Match.Contracts) > 0 {
		r.contracts = make(map[int64]struct{}, len(f.Match.Contracts))
		for _, contractID := range f.Match.Contracts {
			r.contracts[contractID] = struct{}{}
		}
	}
	if f.For > 0 {
		r.ends = now.Add(f.For)
	}
	if f.RetryAfter > 0 {
		r.retry = []string{strconv.Itoa(f.RetryAfter)}
	}
	switch f.Effect {
	case EffectStatus:
		r.body, r.mediaType = statusBody(f)
	case EffectGarbage:
		r.body, r.mediaType = garbageBody(f)
	case EffectDelay, EffectHang, EffectReset, EffectTruncate: // nothing to make ready
	}
	return r
}

func statusBody(f Fault) (body []byte, mediaType []string) {
	if f.Body != "" {
		return []byte(f.Body), mediaTypeOf(f.Body)
	}
	e := errorFor(f.Status)
	if f.Source != "" {
		e.source = f.Source
	}
	if f.ReasonCode != "" {
		e.reasonCode = f.ReasonCode
	}
	if f.Description != "" {
		e.description = f.Description
	}
	return e.append(nil), mediaJSON
}

func garbageBody(f Fault) (body []byte, mediaType []string) {
	switch {
	case f.Body != "":
		return []byte(f.Body), mediaJSON
	case f.Mode == ModeShape:
		return []byte(`{"contractBalances":{"balanceCode":["AVAILABLE"],"balanceId":"none"}}`), mediaJSON
	default:
		return []byte("<html><body><h1>It works!</h1></body></html>\n"), mediaHTML
	}
}

// mediaTypeOf labels a body given by the user: what is no JSON is most likely a proxy's error page.
func mediaTypeOf(body string) []string {
	switch {
	case jsontext.Value(body).IsValid():
		return mediaJSON
	case body[0] == '<':
		return mediaHTML
	default:
		return mediaText
	}
}

func (l *ruleList) add(f Fault, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	r := newRule("f"+strconv.Itoa(l.lastID), f, now)
	l.rules = append(l.rules, r)
	l.armed.Store(true)
	return r.id
}

// remove ends the rule of that id, or all rules if id is "". It returns how many it ended.
func (l *ruleList) remove(id string, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(func(r *rule) bool { return r.lasts(now) })
	before := len(l.rules)
	l.keep(func(r *rule) bool { return id != "" && r.id != id })
	return before - len(l.rules)
}

// keep drops the rules that are over. Requires mu.
func (l *ruleList) keep(stays func(*rule) bool) {
	l.rules = slices.DeleteFunc(l.rules, func(r *rule) bool { return !stays(r) })
	l.armed.Store(len(l.rules) > 0)
}

// take returns the first rule that matches the call, nil if none does; active tells whether any rule was in force. draw
// returns a random number and is called for rules with a percentage only. A rule that took its last call is dropped;
// the call still uses the pointer, whose fields other than the counters never change.
func (l *ruleList) take(contractID int64, now time.Time, draw func() uint64) (matched *rule, active bool) {
	if !l.armed.Load() {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	over := false
	for _, r := range l.rules {
		if !r.lasts(now) {
			over = true
			continue
		}
		active = true
		if r.matches(contractID, draw) {
			r.taken++
			matched = r
			over = over || !r.lasts(now)
			break
		}
	}
	if over {
		l.keep(func(r *rule) bool { return r.lasts(now) })
	}
	return matched, active
}

func (l *ruleList) list(now time.Time) []FaultState {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(func(r *rule) bool { return r.lasts(now) })
	states := make([]FaultState, 0, len(l.rules))
	for _, r := range l.rules {
		s := FaultState{ID: r.id, Fault: r.fault, Taken: r.taken}
		s.Fault.Match.Contracts = slices.Clone(r.fault.Match.Contracts)
		if r.fault.Count > 0 {
			s.Remaining = r.fault.Count - int(r.taken)
		}
		if !r.ends.IsZero() {
			s.EndsIn = r.ends.Sub(now)
		}
		states = append(states, s)
	}
	return states
}

// lasts reports whether the rule is still in force. Requires mu of its list.
func (r *rule) lasts(now time.Time) bool {
	if r.fault.Count > 0 && r.taken >= int64(r.fault.Count) {
		return false
	}
	return r.ends.IsZero() || now.Before(r.ends)
}

// matches counts the call as having reached the rule. Requires mu of its list.
func (r *rule) matches(contractID int64, draw func() uint64) bool {
	if r.contracts != nil {
		if _, ok := r.contracts[contractID]; !ok {
			return false
		}
	}
	r.reached++
	switch {
	case r.fault.Match.Every > 1:
		return r.reached%int64(r.fault.Match.Every) == 0
	case r.fault.Match.Percent > 0:
		return float64(draw()>>11)/(1<<53)*100 < r.fault.Match.Percent
	}
	return true
}

// AddFault puts the fault at the end of the list and returns its id. It panics on a fault that Validate refuses: that
// is a mistake in the calling program, and the control endpoint validates before it gets here.
func (s *Simulator) AddFault(f Fault) (id string) {
	if err := f.Validate(); err != nil {
		panic(fmt.Sprintf("cmssim: invalid fault: %v", err))
	}
	return s.faults.add(f, time.Now())
}

// Outage makes every call fail for d: 503 from the gateway.
func (s *Simulator) Outage(d time.Duration) (id string) {
	return s.AddFault(Fault{Effect: EffectStatus, Status: 503, For: d})
}

// RemoveFault ends the fault and reports whether it was still in force. Calls that it already holds stay held.
func (s *Simulator) RemoveFault(id string) bool {
	return id != "" && s.faults.remove(id, time.Now()) > 0
}

// ClearFaults ends all faults and returns how many were in force.
func (s *Simulator) ClearFaults() int { return s.faults.remove("", time.Now()) }

// Faults lists the faults in force, in the order in which calls meet them.
func (s *Simulator) Faults() []FaultState { return s.faults.list(time.Now()) }
