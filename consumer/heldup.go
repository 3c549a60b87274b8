package consumer

import (
	"fmt"
	"time"
)

// HeldUp is a transaction that hides what was written behind its beginning from readers of committed records: it is
// neither committed nor aborted yet, and nothing before it is left to read. Records of other publishers behind it wait,
// too.
type HeldUp struct {
	From  int64 // its first offset in the partition: the last stable offset (KIP-98)
	Since time.Time
	Abort string    // the command that ends it from Kafka's side, whatever its publisher does (KIP-664)
	logAt time.Time // when to log it next
}

// heldUpAfter is how long a transaction may take before it is logged. Most last for less than a second; their
// coordinator ends those of dead publishers after transaction.timeout.ms, which is a minute by default.
const heldUpAfter = 10 * time.Second

// Long says that this is no ordinary transaction.
func (h *HeldUp) Long(now time.Time) bool { return h != nil && now.Sub(h.Since) >= heldUpAfter }

// heard notes where the log ends for readers of committed records and for all others. It requires mu.
func (p *partition) heard(stable, end int64, now time.Time) {
	p.stable, p.end, p.heardAt = stable, max(stable, end), now
	if p.end <= p.tracker.next {
		p.behind = time.Time{}
	} else if p.behind.IsZero() {
		p.behind = now
	}
	switch {
	case p.stable == p.end || p.fetchNext < p.stable:
		p.heldUp = nil
	case p.heldUp == nil || p.heldUp.From != p.stable:
		p.heldUp = &HeldUp{From: p.stable, Since: now, logAt: now.Add(heldUpAfter), Abort: fmt.Sprintf(
			"kafka-transactions.sh --bootstrap-server BROKER abort --topic %s --partition %d --start-offset %d",
			p.consumer.cfg.Topic, p.id, p.stable)}
	}
}

// logHeldUp logs a long transaction, at every doubling of the time that it takes.
func (p *partition) logHeldUp(now time.Time) {
	p.mu.Lock()
	h, hidden := p.heldUp, p.end-p.stable
	if h == nil || now.Before(h.logAt) {
		p.mu.Unlock()
		return
	}
	logged := *h // a new one: Status hands it out
	logged.logAt = now.Add(now.Sub(h.Since))
	p.heldUp = &logged
	p.mu.Unlock()
	p.consumer.log.Warn().Str("event", "publisher_transaction_open").Str("topic", p.consumer.cfg.Topic).
		Int32("partition", p.id).Int64("offset", h.From).Int64("hidden", hidden).Time("since", h.Since).
		Str("command", h.Abort).
		Msg("an open transaction of a publisher hides the requests behind its beginning: " +
			"they are read when it ends, by its transaction.timeout.ms as a rule; abort one that hangs for longer")
}
