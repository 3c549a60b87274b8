package kafkawire

import (
	"fmt"
	"testing"
	"time"
)

// Ordinary batches, as a busy publisher of requests makes them.
func BenchmarkDecodeBatches(b *testing.B) {
	for _, n := range []int{1, 500, 10_000} {
		f := theirs{last: int32(n - 1), producer: -1, count: int32(n)}
		for i := range n {
			f.body = appendRecord(f.body, &Record{
				Key:   fmt.Appendf(nil, "%d", 1000+i*7),
				Value: fmt.Appendf(nil, `{"contractId":%d,"balanceCodes":["A%d","B"],"requestId":"r-%d"}`, 1000+i*7, i%9, i*i),
				Headers: []Header{{Key: "content-type", Value: []byte("application/json")},
					{Key: "traceparent", Value: fmt.Appendf(nil, "00-%032x-01", i*i*i)}},
			}, int64(i), int64(i))
		}
		for codec := uint16(0); codec <= 4; codec++ {
			f := f
			if codec > 0 {
				f = f.compressed(b, codec)
			}
			batch := f.encode()
			b.Run(fmt.Sprintf("records=%d/codec=%d", n, codec), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if records, _, err := DecodeBatches(batch, 0, nil); err != nil || len(records) != n {
						b.Fatal(len(records), err)
					}
				}
			})
		}
	}
}

// Batches of results, as the producer makes them.
func BenchmarkAppendBatch(b *testing.B) {
	for _, n := range []int{1, 100} {
		records := make([]Record, n)
		for i := range records {
			records[i] = Record{Key: []byte("70001"), Value: make([]byte, 250), Time: time.UnixMilli(1769860798250),
				Headers: []Header{
					{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("balance.requests/3/123456")},
				}}
		}
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			var batch []byte
			b.ReportAllocs()
			for b.Loop() {
				batch = AppendBatch(batch[:0], ProducerID{ID: 1}, 0, records, records[0].Time)
			}
			b.SetBytes(int64(len(batch)))
		})
	}
}
