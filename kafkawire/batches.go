package kafkawire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Aborted is a transaction that a producer gave up: its records from FirstOffset to its abort marker do not count.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// ErrCorrupt is wrapped by the errors of DecodeBatches. Asking again does not help: the log says the same for ever.
var ErrCorrupt = errors.New("undecodable record batch")

// CorruptError is a batch that cannot be decoded. It wraps ErrCorrupt.
type CorruptError struct {
	First, Last int64 // offsets, as far as its head can be believed
	why         error
}

func (c *CorruptError) Error() string {
	return fmt.Sprintf("%v at offset %d: %v", ErrCorrupt, c.First, c.why)
}

// Unwrap makes it ErrCorrupt.
func (c *CorruptError) Unwrap() []error { return []error{ErrCorrupt, c.why} }

// Beyond is where to go on behind the batch for a reader that stands at next. Where the head is nonsense that is one
// further.
func (c *CorruptError) Beyond(next int64) int64 {
	if c.Last < next || c.Last == math.MaxInt64 {
		return next + 1
	}
	return c.Last + 1
}

// corrupt describes the first batch in b. Of its head only what agrees is believed: where the next batch begins, else
// how many records there are. Batches of the formats before 2 begin with the last of their offsets.
func corrupt(b []byte, why error) *CorruptError {
	be := binary.BigEndian
	first := int64(be.Uint64(b))
	c := &CorruptError{First: first, Last: first, why: why}
	if b[atMagic] != 2 || len(b) < batchHead {
		return c
	}
	if size := 12 + int(int32(be.Uint32(b[atLength:]))); size >= batchHead && size+8 <= len(b) {
		if next := int64(be.Uint64(b[size:])); next > first {
			c.Last = next - 1
			return c
		}
	}
	if h := readHead(b); h.count > 0 && h.last-h.base == int64(h.count)-1 {
		c.Last = h.last
	}
	return c
}

// DecodeBatches decodes what a fetch returned for one partition, as a read-committed consumer must see it: without
// control records, without records of aborted transactions, without what lies below from (brokers return whole
// batches). next is the offset to fetch from afterwards; it moves past everything that was left out, so a stretch of
// nothing but control records or compacted-away records does not hold the reader up. A batch cut off at the end is left
// for the next fetch. It hands out no more than one portion (DecodeLimits); next is then inside a batch.
//
// Offsets ascend and lie below next. On an error, which is a *CorruptError, records and next cover the good batches
// before it.
func DecodeBatches(b []byte, from int64, aborted []Aborted) (records []Record, next int64, err error) {
	d := portion{limits: DecodeLimits{}.orDefault(), from: from, next: from, aborts: newAborts(aborted)}
	err = d.decode(b)
	d.inside.close()
	return d.records, d.next, err
}

// portion is what is handed out at once of what a fetch returned for one partition.
type portion struct {
	limits     DecodeLimits
	from, next int64
	aborts     aborts
	resume     *batchReader // where the portion before stopped, if that is known
	inside     *batchReader // where this one stopped, if that is inside a batch
	records    []Record
	epochs     []EpochStart
	used       int // bytes of memory
}

// full says that nothing more is to be handed out. One record always is, or there would be no progress.
func (d *portion) full() bool { return d.used >= d.limits.Portion && len(d.records) > 0 }

func (d *portion) decode(b []byte) error {
	d.records = make([]Record, 0, min(countRecords(b), d.limits.Portion/recordMemory+1))
	for !d.full() {
		batch, err := cutBatch(b)
		if batch == nil && err == nil {
			return nil
		}
		var h head
		good := len(d.records)
		if err == nil {
			if h = readHead(batch); h.last < d.from && h.last >= h.base {
				b = b[len(batch):]
				continue
			}
			err = d.batch(h, batch)
		}
		if err != nil {
			d.records = d.records[:good]
			return corrupt(b, err)
		}
		if n := len(d.epochs); n == 0 || d.epochs[n-1].Epoch != h.epoch {
			d.epochs = append(d.epochs, EpochStart{From: max(h.base, d.from), Epoch: h.epoch})
		}
		if d.inside != nil {
			d.next = d.records[len(d.records)-1].Offset + 1
			return nil
		}
		b = b[len(batch):]
		d.next = h.last + 1
	}
	return nil
}

// cutBatch returns the first batch, nil where it is not there in full.
func cutBatch(b []byte) ([]byte, error) {
	if len(b) <= atMagic {
		return nil, nil
	}
	be := binary.BigEndian
	switch size := 12 + int(int32(be.Uint32(b[atLength:]))); {
	case b[atMagic] != 2:
		return nil, fmt.Errorf("format %d: only format 2 (Kafka 0.11 and newer) can be read", b[atMagic])
	case size < batchHead:
		return nil, fmt.Errorf("%d bytes long", size)
	case size > len(b):
		return nil, nil
	case crc32.Checksum(b[atAttributes:size], castagnoli) != be.Uint32(b[atCRC:]):
		return nil, errors.New("wrong checksum")
	default:
		return b[:size:size], nil
	}
}

// batch takes the records of one batch that count, as far as there is room for them.
func (d *portion) batch(h head, b []byte) error {
	body := b[batchHead:]
	if h.base < 0 || h.last < h.base || h.last == math.MaxInt64 || h.count < 0 || h.base < d.next && d.next > d.from {
		return fmt.Errorf("%d records up to offset %d after offset %d", h.count, h.last, d.next)
	}
	if h.attributes&attrTransactional != 0 {
		d.aborts.enter(h.last)
	}
	switch {
	case h.attributes&attrControl != 0:
		d.aborts.marker(h, body)
		return nil
	case h.attributes&attrTransactional != 0 && d.aborts.open[h.producerID]:
		return nil
	}
	r := d.resume
	if d.resume = nil; !r.continues(b, d.from) {
		r.close()
		var err error
		if r, err = newBatchReader(h, b); err != nil {
			return err
		}
	}
	done, err := d.take(r)
	if err != nil || done {
		r.close()
		return err
	}
	d.inside = r
	return nil
}

// take reads records until the batch ends or the portion is full.
func (d *portion) take(r *batchReader) (done bool, err error) {
	d.used += r.reopened()
	for r.more() {
		if d.full() {
			return false, nil
		}
		n := len(d.records)
		d.records = append(d.records, Record{})
		if err := r.next(&d.records[n], d.from, &d.limits); err != nil {
			return false, err
		}
		d.used += r.spent()
		d.records[n].LeaderEpoch = r.head.epoch
		if d.records[n].Offset < d.from {
			d.records = d.records[:n]
		}
	}
	return true, r.end()
}

// head is the part of a batch header that decoding needs.
type head struct {
	base, last         int64
	epoch              int32 // of the leader that wrote it
	attributes         uint16
	firstTime, maxTime int64 // milliseconds
	producerID         int64
	count              int
}

func readHead(b []byte) head {
	be := binary.BigEndian
	base := int64(be.Uint64(b))
	return head{
		base: base, last: base + int64(int32(be.Uint32(b[atLastDelta:]))),
		epoch:      int32(be.Uint32(b[atLeaderEpoch:])),
		attributes: be.Uint16(b[atAttributes:]),
		firstTime:  int64(be.Uint64(b[atFirstTime:])),
		maxTime:    int64(be.Uint64(b[atMaxTime:])),
		producerID: int64(be.Uint64(b[atProducerID:])),
		count:      int(int32(be.Uint32(b[atCount:]))),
	}
}

// minRecord is the smallest record: seven lengths, deltas and counts of a byte each.
const minRecord = 7

// countRecords sizes the result. A lying count costs no more than as many records as there is room for; those of a
// batch that shrank by more than that through compression make the result grow.
func countRecords(b []byte) int {
	n, room := 0, len(b)/minRecord
	for len(b) >= batchHead && n < room {
		size := 12 + int(binary.BigEndian.Uint32(b[atLength:]))
		if size > len(b) || size < batchHead {
			break
		}
		n += int(binary.BigEndian.Uint32(b[atCount:]))
		b = b[size:]
	}
	return min(n, room)
}
