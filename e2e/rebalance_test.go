package e2e

import (
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// Instances come and go under load; each change stops all members once, and they hand over what they have finished.
func TestRebalancesRepeatNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, 6, cmssim.Config{Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond})
	flags := []string{"--cms.max-in-flight=16", "--consumer.run-ahead=96"}
	var all []*instance
	balanced := func(want int) {
		kafkatest.Eventually(t, waitTimeout, "the instances share the partitions", func() bool {
			members, partitions := 0, 0
			for _, in := range all {
				if !in.running() {
					continue
				}
				h, _ := in.Health()
				partitions += h.Partitions
				if h.Ready && h.Partitions == 6/want {
					members++
				}
			}
			return members == want && partitions == 6
		})
	}
	load := func() { r.Send(asks(600, 120, 15_000)...) }

	load()
	all = append(all, r.StartReady(flags...))
	r.AwaitWritten(r.results, 50)
	all = append(all, r.Start(flags...))
	load()
	balanced(2)
	all = append(all, r.Start(flags...))
	load()
	balanced(3)
	load()
	all[0].Stop()
	load()
	balanced(2)
	load()
	all[2].Stop()
	balanced(1)
	load()
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.WantNoDeadLetters()
	all[1].Stop()
	if got := r.broker.GroupMembers(t, r.group); got != 0 {
		t.Errorf("%d members are left in the group", got)
	}
}
