package telemetry

import (
	"net/http"
	"time"
)

// Status is what /status says: the state of an instance as a program reads it, for balanceq status. It holds no more
// than /readyz and /metrics tell, nothing of a request, so it needs no login. Members are only ever added.
type Status struct {
	Instance string    `json:"instance"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Group    string    `json:"group"`
	Topic    string    `json:"topic"`            // of requests
	Member   string    `json:"member,omitempty"` // its id in the group; "": not a member yet
	// Health is what /readyz says.
	Health      Health       `json:"health"`
	Held        []Held       `json:"held"`
	Calls       Calls        `json:"calls"`
	DeadLetters DeadLetters  `json:"deadLetters"`
	Keys        []KeyExpires `json:"keys"`
}

// Held is a partition that an instance holds.
type Held struct {
	Partition      int32   `json:"partition"`
	Lag            int64   `json:"lag"`            // offsets that are not finished
	LagSeconds     float64 `json:"lagSeconds"`     // age of the oldest record that is not; 0: there is none
	Open           int     `json:"open"`           // requests that were started and are not behind the commit offset
	StalledSeconds float64 `json:"stalledSeconds"` // since one with open requests last moved
}

// Calls are those to the CMS.
type Calls struct {
	InFlight int `json:"inFlight"`
	Limit    int `json:"limit"` // that may be under way at the moment
	Waiting  int `json:"waiting"`
}

// DeadLetters says how far the budget is spent.
type DeadLetters struct {
	Ratio  float64 `json:"ratio"`  // among the outcomes of the budget's window
	Budget float64 `json:"budget"` // the ratio from which on they are held; 1: never
	Held   int     `json:"held"`   // that wait for an operator
}

// KeyExpires is a key or certificate.
type KeyExpires struct {
	Name    string     `json:"name"`
	Expires *time.Time `json:"expires,omitempty"` // nil: not known
	Failing string     `json:"failing,omitempty"`
}

// About says which instance this is.
type About struct {
	Instance string
	Version  string
	Started  time.Time
	Group    string
	Topic    string  // of requests
	Budget   float64 // of dead letters
}

func (p Probes) status(w http.ResponseWriter, _ *http.Request) {
	c, cms, budget, now := p.Sources.Consumer(), p.Sources.CMS(), p.Sources.Budget(), time.Now()
	s := Status{
		Instance: p.About.Instance, Version: p.About.Version, Started: p.About.Started.UTC(), Group: p.About.Group,
		Topic: p.About.Topic, Member: c.Member, Health: p.Sources.health(p.Watchdog.State()), Held: []Held{},
		Calls:       Calls{InFlight: cms.InFlight, Limit: cms.Limit, Waiting: cms.Queued},
		DeadLetters: DeadLetters{Ratio: budget.Share, Budget: p.About.Budget, Held: budget.Held}, Keys: []KeyExpires{},
	}
	for i := range c.Partitions {
		part := stateOf(&c.Partitions[i], now)
		s.Held = append(s.Held, Held{Partition: part.Partition, Lag: part.Lag(), LagSeconds: part.oldest.Seconds(),
			Open: part.Open, StalledSeconds: part.stalled.Seconds()})
	}
	for _, k := range p.Sources.Keys() {
		key := KeyExpires{Name: k.Name}
		if !k.Expires.IsZero() {
			key.Expires = &k.Expires
		}
		if k.Failing != nil {
			key.Failing = k.Failing.Error()
		}
		s.Keys = append(s.Keys, key)
	}
	writeJSON(w, true, s)
}
