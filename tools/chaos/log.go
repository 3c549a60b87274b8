package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stored is a record as a read-committed reader gets it.
type stored struct {
	*kgo.Record
	dates
}

// committed returns what a read-committed reader gets of a partition's log, of which it is given everything, and from
// when on. The oracle finds that out itself, as it wants to know the latter. A transaction that has not ended is an
// error.
func committed(log []*kgo.Record) ([]stored, error) {
	all := make([]stored, 0, len(log))
	dropped := map[int]bool{}    // aborted: by index in all
	running := map[int64][]int{} // transactional, by producer: indexes in all
	for _, r := range log {
		switch {
		case r.Attrs.IsControl():
			var key kmsg.ControlRecordKey
			if err := key.ReadFrom(r.Key); err != nil {
				return nil, fmt.Errorf("control record %d/%d: %w", r.Partition, r.Offset, err)
			}
			for _, i := range running[r.ProducerID] {
				all[i].ended = r.Timestamp.UnixMilli()
				dropped[i] = key.Type == kmsg.ControlRecordKeyTypeAbort
			}
			delete(running, r.ProducerID)
		default:
			inOne := r.Attrs.IsTransactional()
			if inOne {
				running[r.ProducerID] = append(running[r.ProducerID], len(all))
			}
			all = append(all, stored{r, dates{inOne: inOne, ended: r.Timestamp.UnixMilli()}})
		}
	}
	for producer, indexes := range running {
		r := all[indexes[0]]
		return nil, fmt.Errorf("%s %d/%d: the transaction of producer %d has not ended", r.Topic, r.Partition, r.Offset,
			producer)
	}
	var seen []stored
	waited := int64(0) // for transactions
	for i, r := range all {
		if r.inOne {
			waited = max(waited, r.ended)
		}
		if r.readable = max(waited, r.ended); !dropped[i] {
			seen = append(seen, r)
		}
	}
	return seen, nil
}
