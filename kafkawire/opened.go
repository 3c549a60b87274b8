package kafkawire

import (
	"sync"
	"time"
)

// opened are batches that are larger than a portion and have been read in part. Reading such a batch from its beginning
// for each portion would take a time that grows with the square of its size.
type opened struct {
	mu      sync.Mutex
	batches map[place]openedBatch
}

type place struct {
	topic     string
	partition int32
}

type openedBatch struct {
	*batchReader
	used time.Time
}

// Each of them keeps its batch, a window and a chunk. Where there are more such batches at a time, the others are read
// from their beginnings; one that is not asked for any more makes room.
const (
	maxOpened  = 2
	openedIdle = time.Minute
)

// take hands over what is open in a partition; nil is nothing.
func (o *opened) take(at place, now time.Time) *batchReader {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.batches[at].batchReader
	delete(o.batches, at)
	o.drop(now)
	return b
}

// keep takes it back, or closes it. nil is nothing.
func (o *opened) keep(at place, b *batchReader, now time.Time) {
	if b == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(now)
	if len(o.batches) >= maxOpened {
		b.close()
		return
	}
	if o.batches == nil {
		o.batches = map[place]openedBatch{}
	}
	o.batches[at] = openedBatch{b, now}
}

// drop requires mu.
func (o *opened) drop(now time.Time) {
	for at, b := range o.batches {
		if now.Sub(b.used) > openedIdle {
			b.close()
			delete(o.batches, at)
		}
	}
}
