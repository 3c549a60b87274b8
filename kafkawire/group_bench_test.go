package kafkawire

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkGroup is what the leader of a classic group reads and writes in a rebalance, and how large the record is in
// which the coordinator keeps the group: one for all members, within max.message.bytes of __consumer_offsets.
func BenchmarkGroup(b *testing.B) {
	for _, members := range []int{100, 1000} {
		b.Run(fmt.Sprintf("members=%d/partitions=10000", members), func(b *testing.B) {
			const partitions, topic = 10_000, "balance.requests"
			var read, written int
			value := kmsg.NewGroupMetadataValue()
			value.Version, value.ProtocolType = 3, ConsumerProtocol
			for i := range members {
				owned := map[string][]int32{}
				for p := i; p < partitions; p += members {
					owned[topic] = append(owned[topic], int32(p))
				}
				m := kmsg.NewGroupMetadataValueMember()
				m.ClientID, m.ClientHost = "balanceq", "/10.123.123.123"
				m.MemberID = fmt.Sprintf("balanceq-%04d-3f0a4c1e-8b52-4a57-9a64-0c6f7c1d2e3f", i)
				m.InstanceID = kmsg.StringPtr(fmt.Sprintf("balanceq-%04d", i))
				m.Subscription = (&Subscription{Topics: []string{topic}, Owned: owned, Generation: 7}).encode()
				m.Assignment = (&Assignment{Partitions: owned}).encode()
				value.Members = append(value.Members, m)
				read, written = read+len(m.Subscription), written+len(m.Assignment)
			}
			for b.Loop() {
				for i := range value.Members {
					s, err := decodeSubscription(value.Members[i].Subscription)
					if err != nil {
						b.Fatal(err)
					}
					_ = (&Assignment{Partitions: s.Owned}).encode()
				}
			}
			b.ReportMetric(float64(read), "B-subscriptions")
			b.ReportMetric(float64(written), "B-assignments")
			b.ReportMetric(float64(len(value.AppendTo(nil))), "B-group-record")
		})
	}
}
