package producer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A batch of several records over the topic's limit is split; nothing is lost or reordered, and larger batches are not
// tried again and again.
func TestTooLargeBatchIsSplit(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1, "max.message.bytes=2000")
	p, obs := start(t, broker.Brokers(), Config{Topics: []string{topic}, BatchBytes: 64 << 10})
	a := newAcks()
	var names []string
	kafkatest.Eventually(t, within, "a batch is too large", func() bool {
		for range 50 {
			name := fmt.Sprintf("%0200d", len(names))
			names = append(names, name)
			write(t, p, topic, 0, name, a)
		}
		return obs.saw("Message Size Too Large")
	})
	a.wait(t, len(names))
	a.once(t, len(names))
	wantLog(t, broker.Brokers(), topic, map[int32][]string{0: names})
	awaitIdle(t, p)
	if failures := len(obs.seen()); failures > 20 {
		t.Errorf("%d tries were too large", failures)
	}
}

// A single message over the limit, of which nothing but its bytes is known, holds its partition up, visibly, until
// somebody raises the limit.
func TestTooLargeMessageWaits(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 2, "max.message.bytes=2000")
	p, obs := start(t, broker.Brokers(), Config{Topics: []string{topic}})
	a, behind := newAcks(), newAcks()
	large := string(random(t, 3000, 1))
	write(t, p, topic, 0, large, behind)
	write(t, p, topic, 0, "behind it", behind)
	kafkatest.Eventually(t, within, "the status says so", func() bool {
		s := p.Status()
		return s.Failing != nil && strings.Contains(s.Failing.Error(), "Message Size Too Large") && s.Since > 0
	})
	write(t, p, topic, 1, "elsewhere", a)
	a.wait(t, 1)
	if n := behind.total.Load(); n != 0 || !obs.saw("Message Size Too Large") {
		t.Errorf("%d acknowledgements, observed %v", n, obs.seen())
	}
	raiseLimit(t, broker.Brokers(), topic, "5000")
	behind.wait(t, 2)
	wantLog(t, broker.Brokers(), topic, map[int32][]string{0: {large, "behind it"}, 1: {"elsewhere"}})
	awaitIdle(t, p)
}

func raiseLimit(t *testing.T, brokers []string, topic, limit string) {
	t.Helper()
	kafkatest.SetTopic(t, brokers, topic, "max.message.bytes", limit)
}
