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
	if p.revoked.Load() {
		return
	}
	n := int32(0)
	if out.Result != nil {
		s.outcome = out.Result.Outcome
		n++
	}
	if out.DeadLetter != nil {
		s.outcome, s.reason = OutcomeDeadLetter, out.DeadLetter.Reason
		n++
	}
	s.writes.Store(n)
	if err := p.consumer.delivery.Deliver(ctx, &s.req, out); err != nil && ctx.Err() == nil {
		p.consumer.log.Error().Str("event", "outcome_not_delivered").Err(err).Stringer("record", s.req.Record.Position).
			Msg("an outcome could not be handed over; its request is read again after a restart")
	}
}

// Acknowledged implements inflight.Slot.
func (s *slot) Acknowledged() {
	if s.writes.Add(-1) == 0 {
		s.partition.finish(s)
		s.answered()
	}
}

// Pending implements inflight.Slot.
func (s *slot) Pending() { s.partition.finish(s) }

// Committed implements inflight.Slot.
func (s *slot) Committed() { s.answered() }

func (s *slot) answered() { s.partition.consumer.obs.Answered(s.outcome, s.reason) }

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

// SameLog implements inflight.Slot.
func (s *slot) SameLog(o kafkawire.OffsetAndMetadata) bool {
	of, _, err := decodeNote(o.Offset, o.Metadata)
	return err != nil || !of.replaced(s.partition.log)
}
