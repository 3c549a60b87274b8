package telemetry

import (
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
)

// Stage is a part of the pipeline that can be stuck.
type Stage string

// The stages, in the order of a record's journey.
const (
	StageGroup    Stage = "group"    // a place in the consumer group
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
	CauseRebalance = "rebalance"   // the group has given this instance no place yet
	CauseStart     = "start"       // it is not known yet where some partitions start
	CauseRetries   = "retry-share" // retries are over their share of the calls
	CauseLimit     = "limit"       // the calls in flight or their rate
	CauseBackoff   = "backoff"     // a request between two attempts: its back-off, or what the CMS asked it to wait
)

// Verdict says how the pipeline is. Waiting and stuck exclude each other; neither is ok.
type Verdict struct {
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

// moment is what the watchdog sees at one time.
type moment struct {
	at       time.Time
	consumer consumer.Status
	producer producer.Status
	cms      cmsclient.Status
	budget   processor.BudgetStatus
	ended    uint64 // calls to the CMS that have ended, so far
	commits  error  // why commits fail; nil: they do not, or none has come back lately
	handlers []handling
	kafka    error          // why Kafka could not be asked
	there    map[int32]bool // partitions in whose log there is something at the offset to fetch from, as Kafka says
}

// suspicion is something that should move and has no reason not to. Only time tells whether it is stuck.
type suspicion struct {
	stage  Stage
	reason string // what does not happen, without numbers that change: part of its identity
	id     int64  // which of those with that reason
	mark   int64  // changes whenever there is progress

	hold      time.Duration // stuck when it is suspected for this long
	since     time.Time     // for how long it is known to stand; zero: since it was first suspected
	partition *consumer.PartitionStatus
}

// history is what the watchdog remembers. A verdict follows from it and from the moment alone: no clock, no input.
type history struct {
	after  time.Duration // without progress for this long is stuck
	retry  time.Duration // most between two attempts at a request for which nobody has to wait
	free   time.Time     // since when the CMS keeps nobody waiting; now, while it does
	opened time.Time     // since when nothing keeps dead letters back, nor the CMS anybody waiting; now, while something does
	before map[suspect]seen
}

type suspect struct {
	stage  Stage
	reason string
	id     int64
}

type seen struct {
	mark int64
	at   time.Time // when it was first suspected with that mark
}

// judge must be called with ascending times.
func (h *history) judge(m *moment) Verdict {
	if m.cms.Cause != "" || h.free.IsZero() {
		h.free = m.at
	}
	if m.cms.Cause != "" || m.budget.Spent() || h.opened.IsZero() {
		h.opened = m.at
	}
	var worst *Stuck
	now := map[suspect]seen{}
	for _, s := range h.suspicions(m) {
		key := suspect{s.stage, s.reason, s.id}
		known, again := h.before[key]
		if !again || known.mark != s.mark {
			known = seen{s.mark, m.at}
		}
		now[key] = known
		since := known.at
		if !s.since.IsZero() {
			since = s.since
		}
		if m.at.Sub(known.at) >= s.hold && (worst == nil || since.Before(worst.Since)) {
			worst = stuck(m, &s, since)
		}
	}
	h.before = now
	if worst != nil {
		return Verdict{Stuck: worst, Kafka: kafkaTrouble(m)}
	}
	return Verdict{Waiting: h.waiting(m), Kafka: kafkaTrouble(m)}
}

func stuck(m *moment, s *suspicion, since time.Time) *Stuck {
	st := &Stuck{Stage: s.stage, Reason: s.reason, Since: since}
	if s.partition == nil {
		s.partition = mostHeldUp(m)
	}
	if p := s.partition; p != nil {
		st.Partition, st.Offset = &p.Partition, &p.Next
	}
	return st
}

// mostHeldUp returns the partition whose lowest uncommitted offset has not moved for the longest; nil: none has to.
func mostHeldUp(m *moment) (held *consumer.PartitionStatus) {
	for i := range m.consumer.Partitions {
		if p := &m.consumer.Partitions[i]; p.Open > 0 && (held == nil || p.Moved.Before(held.Moved)) {
			held = p
		}
	}
	return held
}

// kafkaTrouble returns what keeps Kafka from working; nil: nothing. A restart does not mend it.
func kafkaTrouble(m *moment) error {
	switch {
	case m.producer.Failing != nil:
		return fmt.Errorf("writing fails: %w", m.producer.Failing)
	case m.commits != nil:
		return fmt.Errorf("committing fails: %w", m.commits)
	case m.kafka != nil:
		return m.kafka
	}
	return nil
}

// waiting names what is waited for; "": nothing.
func (h *history) waiting(m *moment) string {
	held := mostHeldUp(m)
	switch {
	case m.cms.Cause != "":
		return m.cms.Cause
	case m.budget.Spent(): // whatever else there is goes by; this does not
		return processor.CauseBudget
	case kafkaTrouble(m) != nil:
		return CauseKafka
	case len(m.consumer.Starting) > 0:
		return CauseStart
	case !m.consumer.Joined:
		return CauseRebalance
	case held == nil || m.at.Sub(held.Moved) < h.after:
		return ""
	case m.cms.QueuedRetries > 0:
		return CauseRetries
	case m.cms.Queued > 0:
		return CauseLimit
	}
	return CauseBackoff
}

// suspicions returns everything that should move.
func (h *history) suspicions(m *moment) []suspicion {
	var all []suspicion
	for _, p := range m.consumer.Starting { // each answer is progress, also one that says to ask again
		all = append(all, suspicion{
			stage: StageGroup, reason: "the brokers are to say where a partition starts, and neither answer nor fail",
			id: int64(p.Partition), mark: int64(p.Tries),
		})
	}
	if !m.consumer.Joined && len(m.consumer.Starting) == 0 && m.kafka == nil {
		all = append(all, suspicion{stage: StageGroup, reason: "the instance has no place in the consumer group, though the group's coordinator answers"})
	}
	for i := range m.consumer.Partitions {
		all = append(all, h.partition(m, &m.consumer.Partitions[i])...)
	}
	if m.cms.InFlight > 0 {
		// Also while the CMS keeps everybody waiting: the probe of a half-open breaker that never ends would do so for ever.
		all = append(all, suspicion{stage: StageCall, reason: "calls to the CMS are under way, and none has ended within any time limit", mark: int64(m.ended)})
	}
	all = append(all, h.handlers(m)...)
	if s := m.producer.Silent; !s.Since.IsZero() {
		all = append(all, suspicion{
			stage: StageWrite, reason: fmt.Sprintf("what waits to be written to %s/%d is neither acknowledged nor refused", s.Topic, s.Partition),
			mark: s.Since.UnixNano(), since: s.Since,
		})
	}
	for i := range all {
		if all[i].hold == 0 {
			all[i].hold = h.after
		}
	}
	return all
}

// partition returns what is suspected of one partition.
func (h *history) partition(m *moment, p *consumer.PartitionStatus) (all []suspicion) {
	suspect := func(stage Stage, reason string, mark int64) {
		all = append(all, suspicion{stage: stage, reason: reason, id: int64(p.Partition), mark: mark, partition: p})
	}
	switch {
	case p.Draining:
	case !p.Room && p.Open == 0:
		suspect(StageDispatch, "records were fetched and are not started", p.Fetched)
	case p.Room && m.there[p.Partition] && m.cms.Cause == "" && !m.budget.Spent():
		suspect(StageFetch, "the log has records that Kafka hands out, and they are not fetched", p.Fetched)
	}
	taken := slices.ContainsFunc(m.handlers, func(b handling) bool { return b.holds(p.Partition, p.Oldest) })
	switch {
	case p.Open == 0 || taken: // a handler is judged on its own
	case p.Waits:
		busy := slices.ContainsFunc(m.handlers, func(b handling) bool { return b.contract == p.Lane })
		if !busy && (m.consumer.WorkerFree || m.consumer.InFlight == 0) {
			suspect(StageDispatch, "the oldest request waits in its lane, and no worker takes it", p.Oldest)
		}
	// The producer may still have it. If so, it is judged by what is heard of its partitions.
	case m.producer.Failing == nil && (m.producer.Oldest.IsZero() || m.at.Sub(m.producer.Oldest) < h.after/2):
		suspect(StageWrite, "the oldest request is neither handled nor waiting to be written, and its outcome is not acknowledged", p.Oldest)
	}
	trying := m.producer.Ordered && m.producer.Failing != nil // one commit may go on for long
	if p.Next != p.Committed && m.commits == nil && !trying {
		suspect(StageCommit, "requests are finished and their offset is not committed, though no commit fails", p.Committed)
	}
	return all
}

func (b *handling) holds(partition int32, offset int64) bool {
	for _, at := range b.taken {
		if at.Partition == partition && at.Offset == offset {
			return true
		}
	}
	return false
}

// confirmation is how much of the time without progress a handler is suspected for; before that it is only slow.
const confirmation = 4

// handlers returns those that have shown no sign of life for too long. One that asks again may have had to wait for as
// long as the CMS told it to. One that waits for leave to call may have to wait for any time, but then the CMS client
// knows of it: as long as it knows of as many as are silent, nothing is wrong. Those that have not asked yet are
// certainly among them. One that has stepped aside waits for something that keeps dead letters back, or for as long as
// the CMS asked for.
func (h *history) handlers(m *moment) []suspicion {
	var silent, all []suspicion
	fresh := 0
	for i := range m.handlers {
		b := &m.handlers[i]
		s := suspicion{
			stage: StageCall, reason: "a handler neither waits for leave to call the CMS nor comes back from its call",
			id: b.contract, mark: b.sign.UnixNano(), since: b.sign, hold: h.after / confirmation, partition: m.partitionOf(b),
		}
		patience := h.after - s.hold
		if b.step == processor.StepAsking || b.step == processor.StepAside {
			patience += h.retry
		}
		switch {
		case b.step == processor.StepCompleting:
			if m.producer.Failing == nil && !m.ordering() && m.at.Sub(b.sign) >= patience {
				s.stage, s.reason = StageWrite, "a handler cannot hand its outcome over to be written, though no write fails"
				all = append(all, s)
			}
		case b.step == processor.StepAside:
			if m.at.Sub(latest(b.sign, h.opened)) >= patience {
				s.reason = "a handler has stepped aside, and does not come back though nothing keeps its dead letter back"
				all = append(all, s)
			}
		case m.at.Sub(latest(b.sign, h.free)) >= patience:
			silent = append(silent, s)
		case b.step == processor.StepWaiting:
			fresh++
		}
	}
	if len(silent) > max(m.cms.QueuedRetries, m.cms.Queued-fresh) {
		all = append(all, silent...)
	}
	return all
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// partitionOf returns the partition that waits for a handler; nil: it holds up none of ours.
func (m *moment) partitionOf(b *handling) *consumer.PartitionStatus {
	i := slices.IndexFunc(m.consumer.Partitions, func(p consumer.PartitionStatus) bool { return b.holds(p.Partition, p.Oldest) })
	if i < 0 {
		return nil
	}
	return &m.consumer.Partitions[i]
}
