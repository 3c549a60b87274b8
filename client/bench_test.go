package client

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/balanceq/balanceq/client/internal/link"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// BenchmarkForeign is what it costs to read results that other programs wait for: from the fetch on, per record. It
// says whether reading fewer partitions would pay.
func BenchmarkForeign(b *testing.B) {
	const n = 500
	var records []kafkawire.Record
	for i := range n {
		r := schemas.Result{RequestID: fmt.Sprintf("01a22a90-4d62-74dc-8b82-ab64a3f3%04d", i), ContractID: int64(70000 + i),
			Outcome: schemas.OutcomeComplete, RetrievedAt: time.Now(), CorrelationID: "0b54f1de-3f5a-4a5e-9d53-6c1f0d2b7a41",
			Balances: []schemas.Balance{{Code: "AVAILABLE", ID: "89516416", Currency: "EUR", Value: "9811.31"},
				{Code: "BLOCKED", ID: "89516417", Currency: "EUR", Value: "12.00"}},
			Source: schemas.Position{Topic: "balance.requests"}}
		m := r.Message(fmt.Append(nil, r.ContractID))
		records = append(records, kafkawire.Record{Key: m.Key, Value: m.Value, Headers: m.Headers, Time: time.Now()})
	}
	batch := kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1, records, time.Now())
	for name, key := range map[string]string{"key is foreign": "1", "all are decoded": ""} {
		b.Run(name, func(b *testing.B) {
			c := newUnlinked(10)
			if err := c.waiters.add(b.Context(), newTicket(c, "mine", key)); err != nil {
				b.Fatal(err)
			}
			r := &reader{topic: "balance.results", wanted: c.waiters.wanted, take: c.result, obs: unheard{},
				at: map[int32]kafkawire.LogPosition{}}
			b.SetBytes(int64(len(batch)) / n)
			b.ReportAllocs()
			for done := 0; done < b.N; done += n {
				got, next, err := kafkawire.DecodeBatches(batch, 0, nil)
				if err != nil {
					b.Fatal(err)
				}
				fetched := kafkawire.Fetched{Portion: kafkawire.Portion{Records: got, Next: next}}
				if err := r.accept(b.Context(), &fetched); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// nowhereLink takes requests, and answers none.
type nowhereLink struct{}

func (nowhereLink) Write(_ context.Context, _ schemas.Message, ack link.Ack) error {
	ack.Acknowledged()
	return nil
}
func (nowhereLink) Flush(context.Context) error { return nil }
func (nowhereLink) Close()                      {}

// BenchmarkWaiting is what a request costs in memory while its caller waits, goroutine included.
func BenchmarkWaiting(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		c, err := Over(Config{}, func(Config, link.Take) (link.Link, error) { return nowhereLink{}, nil })
		if err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				once, stop := context.WithTimeout(ctx, time.Hour)
				defer stop()
				_, _ = c.Ask(once, Request{ContractID: int64(i + 1), BalanceCodes: []string{"AVAILABLE", "BLOCKED"}})
			})
		}
		for waiting := 0; waiting < n; {
			runtime.Gosched()
			c.waiters.mu.Lock()
			waiting = c.waiters.count
			c.waiters.mu.Unlock()
		}
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stack-B/ask")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "garbage-B/ask")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/ask")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stack-after-GC-B/ask")
		cancel()
		wg.Wait()
		_ = c.Close(ctx)
	}
}
