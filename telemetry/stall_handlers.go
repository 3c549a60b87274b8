package telemetry

import "github.com/balanceq/balanceq/processor"

// confirmation is the part of the time without progress for which a handler is checked; before that it is only slow.
const confirmation = 4

// handlerChecks are about handlers that have shown no sign of life for too long. One that asks again may have had to
// wait for as long as the CMS told it to. One that waits for leave to call may have to wait for any time, but then the
// CMS client knows of it: as long as it knows of as many as are silent, nothing is wrong. Those that have not asked yet
// are certainly among them. One that has stepped aside waits for something that keeps dead letters back, or for as long
// as the CMS asked for.
func (h *history) handlerChecks(m *moment) []stallCheck {
	var silent, all []stallCheck
	fresh := 0
	for i := range m.handlers {
		b := &m.handlers[i]
		c := stallCheck{
			stage: StageCall, reason: "a handler neither waits for leave to call the CMS nor comes back from its call",
			id: b.contract, mark: b.sign.UnixNano(), since: b.sign, limit: h.timeouts.After / confirmation,
			partition: m.partitionOf(b),
		}
		slow := h.timeouts.After - c.limit // until then it is only that
		if b.step == processor.StepAsking || b.step == processor.StepAside {
			slow += h.timeouts.Retry
		}
		switch {
		case b.step == processor.StepCompleting:
			if m.producer.Failing == nil && !m.ordering() && m.at.Sub(b.sign) >= slow {
				c.stage, c.reason = StageWrite, "a handler cannot hand its outcome over to be written, though no write fails"
				all = append(all, c)
			}
		case b.step == processor.StepAside:
			if m.at.Sub(latest(b.sign, h.opened)) >= slow {
				c.reason = "a handler has stepped aside, and does not come back though nothing keeps its dead letter back"
				all = append(all, c)
			}
		case m.at.Sub(latest(b.sign, h.free)) >= slow:
			silent = append(silent, c)
		case b.step == processor.StepWaiting:
			fresh++
		}
	}
	if len(silent) > max(m.cms.QueuedRetries, m.cms.Queued-fresh) {
		all = append(all, silent...)
	}
	return all
}
