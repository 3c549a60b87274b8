package processor

import (
	"slices"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// Replies says what a request may want of its result by its headers.
type Replies struct {
	Echo    []string // names of those that come back on the result
	Results string   // the results topic: who names it as the reply topic has the result anyhow
	Topics  []string // others that a copy may be wanted in
	// Refused hears of each wish that is not granted, by a cause of Refusals; nil: it is not told.
	Refused func(cause string)
}

// Causes of a wish for a reply that is not granted.
const (
	RefusedTopic     = "topic"     // kafka_replyTopic is not among those that are allowed: no copy is written
	RefusedPartition = "partition" // kafka_replyPartition is not 4 bytes: the copy goes where its key belongs
	RefusedHeader    = "header"    // a header that should come back is too long: the result is without it
	RefusedSize      = "size"      // the copy is larger than its topic takes: only the results topic has the result
)

// Refusals are all of them.
var Refusals = []string{RefusedTopic, RefusedPartition, RefusedHeader, RefusedSize}

// address gives the result of an outcome what its request wants of it. Nothing of that is an error of the request: its
// answer is the same.
func (r *Replies) address(req *inflight.Request, out *schemas.Outcome) {
	if out.Result == nil || len(req.Record.Headers) == 0 {
		return
	}
	echo, tooLong := schemas.Echo(&req.Record, r.Echo)
	out.Result.Echo = echo
	for range tooLong {
		r.refuse(RefusedHeader)
	}
	topic, partition, malformed := schemas.ReadReply(&req.Record)
	if len(topic) == 0 || string(topic) == r.Results {
		return
	}
	i := slices.IndexFunc(r.Topics, func(allowed string) bool { return allowed == string(topic) })
	if i < 0 {
		r.refuse(RefusedTopic)
		return
	}
	if malformed {
		r.refuse(RefusedPartition)
	}
	out.Reply = &schemas.Reply{Topic: r.Topics[i], Partition: partition}
}

func (r *Replies) refuse(cause string) {
	if r.Refused != nil {
		r.Refused(cause)
	}
}
