package consumer

import (
	"fmt"
	"time"
)

// HeldUp is a transaction that hides what was written behind its beginning from readers of committed records: it is neither
// committed nor aborted yet, and nothing before it is left to read. Records of other publishers behind it wait, too.
type HeldUp struct {
	From  int64 // its first offset in the partition: the last stable offset (KIP-98)
	Since time.Time
	Abort string    // the command that ends it from Kafka's side, whatever its publisher does (KIP-664)
	tell  time.Time // when to tell people next
}

// heldUpPatience is how long a transaction may take before it is told of. Most last for less than a second; their coordinator
// ends those of dead publishers after transaction.timeout.ms, which is a minute by default.
const heldUpPatience = 10 * time.Second

// Long says that this is no ordinary transaction.
func (h *HeldUp) Long(now time.Time) bool { return h != nil && now.Sub(h.Since) >= heldUpPatience }

// heard notes where the log ends for readers of committed records and for everybody. It requires mu.
func (p *partition) heard(stable, end int64, now time.Time) {
	p.stable, p.end = stable, max(stable, end)
	switch {
	case p.stable == p.end || p.fetchNext < p.stable:
		p.heldUp = nil
	case p.heldUp == nil || p.heldUp.From != p.stable:
		p.heldUp = &HeldUp{From: p.stable, Since: now, tell: now.Add(heldUpPatience), Abort: fmt.Sprintf(
			"kafka-transactions.sh --bootstrap-server BROKER abort --topic %s --partition %d --start-offset %d",
			p.consumer.cfg.Topic, p.id, p.stable)}
	}
}

// tellHeldUp tells of a long transaction, at every doubling of the time that it takes.
func (p *partition) tellHeldUp(now time.Time) {
	p.mu.Lock()
	h, hidden := p.heldUp, p.end-p.stable
	if h == nil || now.Before(h.tell) {
		p.mu.Unlock()
		return
	}
	told := *h // a new one: Status hands it out
	told.tell = now.Add(now.Sub(h.Since))
	p.heldUp = &told
	p.mu.Unlock()
	p.consumer.log.Warn().Str("event", "publisher_transaction_open").Str("topic", p.consumer.cfg.Topic).Int32("partition", p.id).Int64("offset", h.From).Int64("hidden", hidden).
		Time("since", h.Since).Str("command", h.Abort).
		Msg("an open transaction of a publisher hides the requests behind its beginning: " +
			"they are read when it ends, by its transaction.timeout.ms as a rule; abort one that hangs for longer")
}
