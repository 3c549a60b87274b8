package kafkawire

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// aborts tells which transactional batches to leave out (KIP-98): a producer enters at its transaction's first offset
// and leaves at its abort marker, so its next transaction counts again.
type aborts struct {
	pending []Aborted // by FirstOffset
	open    map[int64]bool
}

func newAborts(list []Aborted) aborts {
	if len(list) == 0 {
		return aborts{}
	}
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b Aborted) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return aborts{pending: sorted, open: make(map[int64]bool, len(sorted))}
}

// enter lets the transactions in that began at or before that offset. A marker needs that as much as data does: a fetch
// that begins with the marker still has the transaction in its list, and the producer's next one must not be taken for
// it.
func (a *aborts) enter(last int64) {
	for len(a.pending) > 0 && a.pending[0].FirstOffset <= last {
		a.open[a.pending[0].ProducerID] = true
		a.pending = a.pending[1:]
	}
}

// marker reads the key of a control record: version, then type (0 abort, 1 commit).
func (a *aborts) marker(h head, body []byte) {
	c := cursor{b: body}
	c.varint() // size
	c.take(1)  // attributes
	c.varint() // time
	c.varint() // offset
	if key := c.varbytes(); len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 0 {
		delete(a.open, h.producerID)
	}
}
