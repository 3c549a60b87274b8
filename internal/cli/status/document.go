// Package status is balanceq status: one look at all instances and at their group as Kafka sees it, and what is wrong.
package status

import (
	"time"

	"github.com/balanceq/balanceq/telemetry"
)

// Document is all that is known at a moment; as JSON it is what --output json writes, see status.schema.json. Members
// are only ever added.
type Document struct {
	At       time.Time `json:"at"`
	OK       bool      `json:"ok"`       // nothing is wrong
	Summary  string    `json:"summary"`  // in one line
	Problems []Problem `json:"problems"` // worst first
	Notes    []string  `json:"notes"`    // what is worth knowing, and no fault
	// Lag is that of the group where Kafka was asked, else the sum of the instances'.
	Lag        int64      `json:"lag"`
	LagSeconds *float64   `json:"lagSeconds,omitempty"` // age of the oldest that is not behind a commit; nil: not known
	InFlight   int        `json:"inFlight"`             // requests, of all instances that answer
	Group      *Group     `json:"group,omitempty"`      // nil: Kafka was not asked, or did not answer
	Instances  []Instance `json:"instances"`
}

// Problem is what needs attention.
type Problem struct {
	About string `json:"about"` // an instance, a member, a partition, kafka
	What  string `json:"what"`
	rank  rank
}

// Group is the consumer group as Kafka sees it.
type Group struct {
	Name       string      `json:"name"`
	Topic      string      `json:"topic"`
	State      string      `json:"state"`    // as Kafka names it: Stable, Empty, PreparingRebalance, …
	Protocol   string      `json:"protocol"` // classic or consumer (KIP-848)
	Members    []Member    `json:"members"`
	Partitions []Partition `json:"partitions"`
}

// Member is a member of the group.
type Member struct {
	ID         string  `json:"id"`
	StaticID   string  `json:"staticId,omitempty"` // group.instance.id
	Client     string  `json:"client"`
	Host       string  `json:"host"`
	Partitions []int32 `json:"partitions"`
	Instance   string  `json:"instance,omitempty"` // which of those that answer it is; "": none of them
}

// Partition is one of the request topic.
type Partition struct {
	Partition  int32    `json:"partition"`
	Member     string   `json:"member,omitempty"`    // id of the member that holds it; "": no member does
	Committed  *int64   `json:"committed,omitempty"` // nil: nothing is
	End        int64    `json:"end"`
	Lag        int64    `json:"lag"`                  // offsets that are not behind a commit
	LagSeconds *float64 `json:"lagSeconds,omitempty"` // age of the oldest of their records; nil: not known
	Problem    string   `json:"problem,omitempty"`    // why it could not be asked for
}

// Instance is one that was asked.
type Instance struct {
	URL    string            `json:"url"`
	Error  string            `json:"error,omitempty"` // why it did not answer
	Member bool              `json:"member"`          // Kafka has it in the group
	Status *telemetry.Status `json:"status,omitempty"`
}
