package producer

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

type counter struct{ n atomic.Int64 }

func (c *counter) Acknowledged() { c.n.Add(1) }

// BenchmarkWrite is the cost of a result of 300 bytes, from Write to its acknowledgement, the broker's own work
// included (it throws the records away).
func BenchmarkWrite(b *testing.B) {
	cluster := kafkatest.Embedded(b, kfake.NumBrokers(1), kfake.SeedTopics(12, "topic"), kfake.BlackholeProduce())
	p, _ := start(b, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	m := schemas.Message{Key: []byte("70001"), Value: make([]byte, 250), Time: time.Now(), Headers: []schemas.Header{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("balance.requests/3/123456")},
	}}
	acked := &counter{}
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		if err := p.Write(context.Background(), "topic", int32(n%12), m, acked); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if err := p.Close(deadline(b)); err != nil || acked.n.Load() != int64(n) {
		b.Fatalf("closing: %v; %d of %d acknowledged", err, acked.n.Load(), n)
	}
}
