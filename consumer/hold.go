package consumer

import (
	"context"
	"sync/atomic"
)

// maxHeld bounds the memory of the records of a partition that are under way. The window bounds their number only, and
// a record can be a thousand times as large as another one. Records alias what they were decoded from, so that a chunk
// counts whole until the last of its records is finished. Ordinary chunks have some hundred KiB.
const maxHeld = 8 << 20

// hold is the memory of one chunk.
type hold struct {
	partition *partition
	bytes     int64
	users     atomic.Int32 // records that are not finished, and dispatch
}

// hold waits until there is room for a chunk. One larger than maxHeld waits until nothing else is under way.
func (p *partition) hold(ctx context.Context, bytes int) (*hold, bool) {
	h := &hold{partition: p, bytes: int64(bytes)}
	h.users.Store(1)
	for held := p.held.Load(); held > 0 && held+h.bytes > maxHeld; held = p.held.Load() {
		select {
		case <-ctx.Done():
			return nil, false
		case <-p.freed: // it may be from before: look again
		}
	}
	p.held.Add(h.bytes)
	return h, true
}

// release is called once for each user. Two may be the last ones of different chunks at the same time: freed is then
// set once, and the one that it wakes sees what both have given back.
func (h *hold) release() {
	if h == nil || h.users.Add(-1) > 0 { // tests make requests without a chunk
		return
	}
	h.partition.held.Add(-h.bytes)
	h.partition.freed.Set()
}
