package telemetry

import (
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/consumer"
)

// stallCheck is something that should move at a moment and has no reason not to. Only time tells whether it is stuck.
type stallCheck struct {
	stage  Stage
	reason string // what does not happen, without numbers that change: part of its identity
	id     int64  // which of those with that reason
	mark   int64  // changes whenever there is progress

	limit     time.Duration // stuck when the mark is the same for this long
	since     time.Time     // for how long it is known to stand; zero: since it was first seen with that mark
	partition *consumer.PartitionStatus
}

// stuck says what stands still.
func (c *stallCheck) stuck(m *moment, since time.Time) *Stuck {
	s := &Stuck{Stage: c.stage, Reason: c.reason, Since: since}
	if c.partition == nil {
		c.partition = m.mostHeldUp()
	}
	if p := c.partition; p != nil {
		s.Partition, s.Offset = &p.Partition, &p.Next
	}
	return s
}

// checks returns everything that should move.
func (h *history) checks(m *moment) []stallCheck {
	all := groupChecks(m)
	for i := range m.consumer.Partitions {
		all = append(all, h.partitionChecks(m, &m.consumer.Partitions[i])...)
	}
	if m.cms.InFlight > 0 {
		// Also while the CMS makes all requests wait: the probe of a half-open breaker that never ends would do so for ever.
		all = append(all, stallCheck{
			stage: StageCall, reason: "calls to the CMS are under way, and none has ended within any time limit",
			mark: m.ended,
		})
	}
	all = append(all, h.handlerChecks(m)...)
	if s := m.producer.Silent; !s.Since.IsZero() {
		all = append(all, stallCheck{
			stage:  StageWrite,
			reason: fmt.Sprintf("what waits to be written to %s/%d is neither acknowledged nor refused", s.Topic, s.Partition),
			mark:   s.Since.UnixNano(), since: s.Since,
		})
	}
	for i := range all {
		if all[i].limit == 0 {
			all[i].limit = h.timeouts.After
		}
	}
	return all
}

// groupChecks are about membership and the start of partitions.
func groupChecks(m *moment) (all []stallCheck) {
	for _, p := range m.consumer.Starting { // each answer is progress, also one that says to ask again
		all = append(all, stallCheck{
			stage: StageGroup, reason: "the brokers are to say where a partition starts, and neither answer nor fail",
			id: int64(p.Partition), mark: int64(p.Tries),
		})
	}
	if !m.consumer.Joined && len(m.consumer.Starting) == 0 && m.kafka == nil {
		all = append(all, stallCheck{
			stage: StageGroup, reason: "the instance is no member of the consumer group, though the group's coordinator answers",
		})
	}
	return all
}

// partitionChecks are about one partition.
func (h *history) partitionChecks(m *moment, p *consumer.PartitionStatus) (all []stallCheck) {
	check := func(stage Stage, reason string, mark int64) {
		all = append(all, stallCheck{stage: stage, reason: reason, id: int64(p.Partition), mark: mark, partition: p})
	}
	switch {
	case p.Draining:
	case !p.Room && p.Open == 0:
		check(StageDispatch, "records were fetched and are not started", p.Fetched)
	case p.Room && m.there[p.Partition] && m.cms.Cause == "":
		check(StageFetch, "the log has records that Kafka hands out, and they are not fetched", p.Fetched)
	}
	taken := slices.ContainsFunc(m.handlers, func(b handling) bool { return b.holds(p.Partition, p.Oldest) })
	switch {
	case p.Open == 0 || taken: // a handler is checked on its own
	case p.Waits:
		busy := slices.ContainsFunc(m.handlers, func(b handling) bool { return b.contract == p.Lane })
		if !busy && (m.consumer.WorkerFree || m.consumer.InFlight == 0) {
			check(StageDispatch, "the oldest request waits in its lane, and no worker takes it", p.Oldest)
		}
	// The producer may still have it. If so, it is checked by what is heard of its partitions.
	case m.producer.Failing == nil && (m.producer.Oldest.IsZero() || m.at.Sub(m.producer.Oldest) < h.timeouts.After/2):
		check(StageWrite,
			"the oldest request is neither handled nor waiting to be written, and its outcome is not acknowledged", p.Oldest)
	}
	trying := m.producer.Ordered && m.producer.Failing != nil // one commit may go on for long
	if p.Next != p.Committed && m.commits == nil && !trying {
		check(StageCommit, "requests are finished and their offset is not committed, though no commit fails", p.Committed)
	}
	return all
}
