package consumer

import (
	"sync/atomic"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// While commits are refused for want of a right, records are fetched and none is started: the group may lose this
// member any moment, and all that it has answered would be answered again. It goes on by itself once one is taken.
func TestRefusedCommitsHoldTheIntake(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 3)...)
	var allowed atomic.Bool
	lease := &fakeLease{before: func(offsets map[int32]kafkawire.OffsetAndMetadata) error {
		if offsets[0].Offset > 0 && !allowed.Load() {
			return kafka.GroupAuthorizationFailed
		}
		return nil
	}}
	r := start(t, c, answerAll, nil)
	r.grantUnder(lease, 0)
	refusals := func() int { _, n, _ := r.observer.seen(); return n }
	eventually(t, "a commit was refused, and what it means is known", func() bool {
		p, _ := r.partition(0)
		return p.Next == 3 && refusals() >= 2
	})
	before := refusals()
	produce(t, c, 0, requests(4, 3)...)
	eventually(t, "more is fetched, and commits are refused on", func() bool {
		p, _ := r.partition(0)
		return p.Fetched == 6 && refusals() > before+3
	})
	if p, _ := r.partition(0); p.Begun != 3 {
		t.Errorf("started up to offset %d while what was answered could not be committed", p.Begun)
	}
	allowed.Store(true)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 6 })
}
