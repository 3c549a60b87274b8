package group

import (
	"slices"
	"testing"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A group is carried over from one protocol to the other while it works, instance by instance, and back: brokers that
// offer both let them work together (KIP-848, group.consumer.migration.policy=bidirectional). No partition is ever with
// two, and what stays with its owner is not asked back.
func TestProtocolIsChangedWhileRunning(t *testing.T) {
	t.Parallel()
	for _, instances := range [][]string{{"", ""}, {"0", "1"}} {
		t.Run("instance "+instances[0], func(t *testing.T) {
			s := newStage(t, kip848, 4)
			if kafkatest.Shared(t).Kind() == kafkatest.KindEmbedded {
				t.Skip("kfake keeps the protocols apart")
			}
			start := func(k kind, name string, slot int) *memberRig {
				s.kind = k
				return s.member(t, name, instances[slot], false)
			}
			both := func(x, y *memberRig) func() bool {
				return func() bool { return x.has(2)() && y.has(2)() }
			}
			a, b := start(classic, "a", 0), start(classic, "b", 1)
			eventually(t, "they share", both(a, b))
			for _, k := range []kind{kip848, classic} {
				for slot, r := range []**memberRig{&a, &b} {
					other := []*memberRig{b, a}[slot]
					kept := s.ledger.Of(other.Name)
					_, before := other.Calls()
					if err := (*r).stop(); err != nil {
						t.Fatal(err)
					}
					*r = start(k, (*r).Name, slot)
					eventually(t, (*r).Name+" is back as "+k.name, both(a, b))
					if _, after := other.Calls(); instances[0] != "" &&
						(after != before || !slices.Equal(s.ledger.Of(other.Name), kept)) {
						t.Errorf("%s gave back %v", other.Name, other.Released()[before:])
					}
				}
			}
		})
	}
}
