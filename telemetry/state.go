package telemetry

import "time"

// Stage is a part of the pipeline that can be stuck.
type Stage string

// The stages, in the order of a record's journey.
const (
	StageGroup    Stage = "group"    // membership in the consumer group
	StageFetch    Stage = "fetch"    // records come in
	StageDispatch Stage = "dispatch" // what has come in gets a handler
	StageCall     Stage = "call"     // the CMS is asked, and its answer handled
	StageWrite    Stage = "write"    // outcomes are written
	StageCommit   Stage = "commit"   // what is finished is committed
)

// Stages are all stages.
var Stages = []Stage{StageGroup, StageFetch, StageDispatch, StageCall, StageWrite, StageCommit}

// Causes of waiting that are neither the CMS's (those are cmsclient's Cause constants) nor processor.CauseBudget.
const (
	CauseKafka     = "kafka"       // Kafka refuses, or does not answer
	CauseRebalance = "rebalance"   // this instance is not a member of the group at the moment
	CauseStart     = "start"       // it is not known yet where some partitions start
	CauseRetries   = "retry-share" // retries are over their share of the calls
	CauseLimit     = "limit"       // the calls in flight or their rate
	CauseBackoff   = "backoff"     // a request between two attempts: its back-off, or what the CMS asked it to wait
)

// State says how the pipeline is. Waiting and stuck exclude each other; neither is ok.
type State struct {
	Waiting string // a cause, cmsclient's, processor's or one of this package's; "": it waits for nothing
	Kafka   error  // what keeps Kafka from working; nil: nothing
	Stuck   *Stuck // nil: it is not
}

// Stuck says where the pipeline stands still without a reason, as /livez does.
type Stuck struct {
	Stage     Stage     `json:"stage"`
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	Partition *int32    `json:"partition,omitempty"` // of the request topic, with the lowest offset that is held up
	Offset    *int64    `json:"offset,omitempty"`
}
