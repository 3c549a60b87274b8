package consumer

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"

	"github.com/balanceq/balanceq/kafkawire"
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

// own copies a small record out of its chunk while the records under way take more than half of what they may: which of
// them hangs is not known yet, and one that does would keep all of its chunk. It returns what the record is held by.
func (h *hold) own(r *kafkawire.Record) *hold {
	size := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		size += len(r.Headers[i].Value)
	}
	p := h.partition
	if p.held.Load() <= maxHeld/2 || int64(size)*smallRecord > h.bytes {
		h.users.Add(1)
		return h
	}
	r.Key, r.Value, r.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), slices.Clone(r.Headers)
	for i := range r.Headers {
		r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
	}
	alone := &hold{partition: p, bytes: int64(size)}
	alone.users.Store(1)
	p.held.Add(alone.bytes)
	return alone
}

// smallRecord is the part of its chunk that a record may be, to be copied out of it.
const smallRecord = 16

// release is called once for each user. Two may be the last ones of different chunks at the same time: freed is then
// set once, and the one that it wakes sees what both have given back.
func (h *hold) release() {
	if h == nil || h.users.Add(-1) > 0 { // tests make requests without a chunk
		return
	}
	h.partition.held.Add(-h.bytes)
	h.partition.freed.Set()
}
