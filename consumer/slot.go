package consumer

import (
	"context"
	"sync/atomic"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// slot is what the consumer knows of an in-flight request. The request is a field and not embedded: embedded, its own
// Slot would stand in for a method that is missing here, and call itself.
type slot struct {
	req       inflight.Request
	partition *partition
	chunk     *hold // that the record came in
	ticket    ticket
	turn      uint64       // order of submission over all partitions; the lanes' own
	parked    bool         // takes no place in the room: behind others of its contract, or held; the lanes' own
	completed bool         // by its handler, whose own this is
	writes    atomic.Int32 // messages of its outcome that are not acknowledged yet
	outcome   string       // for the observer
	reason    schemas.Reason
}

var _ inflight.Slot = (*slot)(nil)

// Owned implements inflight.Slot.
func (s *slot) Owned() bool {
	return !s.partition.revoked.Load() && !wait.Over(s.partition.lease.Lost())
}

// Revoked implements inflight.Slot.
func (s *slot) Revoked() <-chan struct{} { return s.partition.gone }

// Complete implements inflight.Slot. The outcome of a request whose partition was given back is left out: the new owner
// answers it, and an answer of this instance could come out after a newer one of theirs.
func (s *slot) Complete(ctx context.Context, out schemas.Outcome) {
	p := s.partition
	s.completed = true
	if p.revoked.Load() {
		return
	}
	s.req.Stages.Decided = inflight.Now()
	if out.Result != nil {
		s.outcome = out.Result.Outcome
	}
	if out.DeadLetter != nil {
		s.outcome, s.reason = OutcomeDeadLetter, out.DeadLetter.Reason
	}
	s.writes.Store(out.Messages())
	if err := p.consumer.delivery.Deliver(ctx, &s.req, out); err != nil && ctx.Err() == nil {
		p.consumer.log.Error().Str("event", "outcome_not_delivered").Err(err).Stringer("record", s.req.Record.Position).
			EmbedObject(&s.req).
			Msg("an outcome could not be handed over; its request is read again after a restart")
	}
}

// park has a request that will not be completed soon take no place in the room.
func (s *slot) park() {
	if s.parked {
		return
	}
	s.parked = true
	s.partition.count(occupancy{started: -1, parked: 1})
	s.partition.wake()
}

// Acknowledged implements inflight.Slot.
func (s *slot) Acknowledged() {
	if s.writes.Add(-1) == 0 {
		s.partition.finish(s, false)
		s.answered()
	}
}

// Pending implements inflight.Slot.
func (s *slot) Pending() { s.partition.finish(s, true) }

// Committed implements inflight.Slot.
func (s *slot) Committed() {
	s.partition.wrote(s.req.Record.Offset)
	s.answered()
}

func (s *slot) answered() {
	s.partition.consumer.obs.Answered(&s.req, s.outcome, s.reason)
	if s.req.Span != nil {
		s.req.Span.Written()
	}
}

// First implements inflight.Slot.
func (s *slot) First() bool {
	p := s.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.ticket == p.tracker.first
}

// CommitOffset implements inflight.Slot.
func (s *slot) CommitOffset() kafkawire.OffsetAndMetadata {
	p := s.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	o, _ := p.note(s.req.Record.Offset+1, none, aheadLimit)
	return o
}

// CoveredBy implements inflight.Slot. Leader epochs do not descend in a log. So where the last record below an offset
// was written under an earlier epoch than a record that lies before it here, that was another log's end.
func (s *slot) CoveredBy(o kafkawire.OffsetAndMetadata) bool {
	r := &s.req.Record
	if o.Offset <= r.Offset || o.Epoch != kafkawire.NoEpoch && o.Epoch < r.Log.LeaderEpoch {
		return false
	}
	n, err := decodeNote(o.Offset, o.Metadata)
	return err != nil || !n.log.replaced(s.partition.log)
}
