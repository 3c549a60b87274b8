package telemetry

import (
	"time"

	"github.com/balanceq/balanceq/processor"
)

// history is what the watchdog remembers. A state follows from it and from the moment alone: no clock, no input.
type history struct {
	timeouts StallTimeouts
	free     time.Time // since when the CMS keeps no request waiting; now, while it does
	// opened is since when nothing keeps dead letters back, nor the CMS requests waiting; now, while something does.
	opened  time.Time
	pending map[stallKey]standing // what stood still at the last look
}

// stallKey tells stall checks from each other.
type stallKey struct {
	stage  Stage
	reason string
	id     int64
}

// standing is for how long the mark of a stall check has been the same.
type standing struct {
	mark int64
	at   time.Time
}

// evaluate must be called with ascending times.
func (h *history) evaluate(m *moment) State {
	if m.cms.Cause != "" || h.free.IsZero() {
		h.free = m.at
	}
	if m.cms.Cause != "" || m.budget.Spent() || h.opened.IsZero() {
		h.opened = m.at
	}
	var worst *Stuck
	now := map[stallKey]standing{}
	for _, check := range h.checks(m) {
		key := stallKey{check.stage, check.reason, check.id}
		known, again := h.pending[key]
		if !again || known.mark != check.mark {
			known = standing{check.mark, m.at}
		}
		now[key] = known
		since := known.at
		if !check.since.IsZero() {
			since = check.since
		}
		if m.at.Sub(known.at) >= check.limit && (worst == nil || since.Before(worst.Since)) {
			worst = check.stuck(m, since)
		}
	}
	h.pending = now
	if worst != nil {
		return State{Stuck: worst, Kafka: m.kafkaFault()}
	}
	return State{Waiting: h.waiting(m), Kafka: m.kafkaFault()}
}

// waiting names what is waited for; "": nothing.
func (h *history) waiting(m *moment) string {
	held := m.mostHeldUp()
	switch {
	case m.cms.Cause != "":
		return m.cms.Cause
	case m.budget.Spent(): // all else goes by itself; this does not
		return processor.CauseBudget
	case m.kafkaFault() != nil:
		return CauseKafka
	case len(m.consumer.Starting) > 0:
		return CauseStart
	case !m.consumer.Joined:
		return CauseRebalance
	case held == nil || m.at.Sub(held.Moved) < h.timeouts.After:
		return ""
	case m.cms.QueuedRetries > 0:
		return CauseRetries
	case m.cms.Queued > 0:
		return CauseLimit
	}
	return CauseBackoff
}
