package producer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// BenchmarkTransaction is one cycle: that many results over 12 partitions, kept, written and committed with their
// offsets. With a real broker, a cycle that follows at once also waits for the markers of the one before.
func BenchmarkTransaction(b *testing.B) {
	for _, records := range []int64{100, 1000} {
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			broker := kafkatest.Shared(b)
			t := transactions(b, broker.Brokers(), broker.Topic(b, 12), broker.Topic(b, 12), broker.Topic(b, 1), "a", nil)
			at := map[int32]int64{}
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				for i := range records {
					p := int32(i % 12)
					req, out := t.result(p, at[p])
					if err := t.Write(b.Context(), req, out); err != nil {
						b.Fatal(err)
					}
					at[p]++
				}
				began := time.Now()
				t.mustCommit(at)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
