package group

import (
	"fmt"
	"slices"
	"testing"

	"github.com/balanceq/balanceq/kafkawire"
)

// BenchmarkAssign is what the leader computes in a rebalance. It runs within the rebalance, so it must not grow with
// the product of members and partitions: 1000 members of 100,000 partitions are ten times 10,000, not a hundred times
// 1000.
func BenchmarkAssign(b *testing.B) {
	for _, size := range []struct {
		members    int
		partitions int32
	}{{100, 1000}, {1000, 10_000}, {1000, 100_000}} {
		fresh := make([]kafkawire.Peer, size.members)
		for i := range fresh {
			fresh[i] = peer(fmt.Sprintf("balanceq-%04d-3f0a4c1e-8b52-4a57-9a64-0c6f7c1d2e3f", i))
		}
		steady := make([]kafkawire.Peer, size.members)
		shared, _ := assign(fresh, counted(size.partitions))
		for i, m := range fresh {
			steady[i] = peer(m.ID, shared[m.ID].Partitions[testTopic]...)
		}
		joined := slices.Concat(steady, []kafkawire.Peer{peer("balanceq-joins")})
		for _, c := range []struct {
			name    string
			members []kafkawire.Peer
		}{{"fresh", fresh}, {"steady", steady}, {"one joins", joined}, {"one leaves", steady[1:]}} {
			b.Run(fmt.Sprintf("members=%d/partitions=%d/%s", size.members, size.partitions, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					assign(c.members, counted(size.partitions))
				}
			})
		}
	}
}
