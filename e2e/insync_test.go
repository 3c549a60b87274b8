package e2e

import (
	"testing"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// More replicas are to be in sync than there are. Brokers take that for all of them: it is worth a warning, and no
// reason not to start.
func TestMoreInSyncThanReplicas(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"at-least-once": nil, "exactly-once": exactly()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{})
			if r.broker.Kind() == kafkatest.KindEmbedded {
				t.Skip("the embedded broker has no such setting")
			}
			r.setTopic(r.results, "min.insync.replicas", "2")
			w := r.Watch()
			r.Send(asks(50, 10, 4000)...)
			in := r.Start(flags...)
			in.Logged("min.insync.replicas=2")
			w.WantExactlyOnce(r).WantNoDeadLetters()
			in.Stop()
		})
	}
}
