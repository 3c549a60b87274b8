//go:build !race

package kafkawire

import (
	"testing"
	"time"
)

// What a record costs in allocations, at most: of batches of 100. Who lowers a figure lowers its budget.
func TestAllocations(t *testing.T) {
	records := make([]Record, 100)
	for i := range records {
		records[i] = Record{Key: []byte("70001"), Value: make([]byte, 250), Time: time.UnixMilli(1769860798250),
			Headers: []Header{
				{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("balance.requests/3/123456")},
			}}
	}
	encode := func() []byte { return AppendBatch(nil, ProducerID{ID: 1}, 0, records, records[0].Time) }
	batch := encode()
	into := make([]byte, 0, 2*len(batch))
	for name, c := range map[string]struct {
		budget float64 // of 100 records
		do     func()
	}{
		"AppendBatch": {0, func() { AppendBatch(into, ProducerID{ID: 1}, 0, records, records[0].Time) }},
		"DecodeBatches": {8, func() {
			if got, _, err := DecodeBatches(batch, 0, nil); err != nil || len(got) != len(records) {
				t.Error(len(got), err)
			}
		}},
	} {
		if n := testing.AllocsPerRun(200, c.do); n > c.budget {
			t.Errorf("%s: %v allocations for %d records, want at most %v", name, n, len(records), c.budget)
		}
	}
}
