package deadletter

import (
	"testing"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// BenchmarkScan reads dead letters from a broker in the same process, and counts them.
func BenchmarkScan(b *testing.B) {
	const letters = 100_000
	broker := kafkatest.Shared(b)
	topic := broker.Topic(b, 2)
	publish(b, broker, topic, letters)
	s := scan(b, broker, topic)
	b.ReportAllocs()
	for b.Loop() {
		t := Tally{By: ByReason}
		if err := s.Each(b.Context(), func(l *Letter) error {
			t.Add(l)
			return nil
		}); err != nil || t.Total.Count != letters {
			b.Fatal(t.Total.Count, err)
		}
	}
	b.ReportMetric(float64(b.N)*letters/b.Elapsed().Seconds(), "letters/s")
}
