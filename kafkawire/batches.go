package kafkawire

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// Aborted is a transaction that a producer gave up: its records from FirstOffset to its abort marker do not count.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// ErrCorrupt is wrapped by the errors of DecodeBatches. Asking again does not help: the log says the same for ever.
var ErrCorrupt = errors.New("undecodable record batch")

// Corrupt is a batch that cannot be decoded. It wraps ErrCorrupt.
type Corrupt struct {
	First, Last int64 // offsets, as far as its head can be believed
	why         error
}

func (c *Corrupt) Error() string {
	return fmt.Sprintf("%v at offset %d: %v", ErrCorrupt, c.First, c.why)
}

// Unwrap makes it ErrCorrupt.
func (c *Corrupt) Unwrap() []error { return []error{ErrCorrupt, c.why} }

// corrupt describes the first batch in b. Of its head only what agrees is believed: where the next batch begins, else how many
// records there are. Batches of the formats before 2 begin with the last of their offsets.
func corrupt(b []byte, why error) *Corrupt {
	be := binary.BigEndian
	first := int64(be.Uint64(b))
	c := &Corrupt{First: first, Last: first, why: why}
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

// DecodeBatches decodes what a fetch returned for one partition, as a read-committed consumer must see it: without control
// records, without records of aborted transactions, without what lies below from (brokers return whole batches). next is
// the offset to fetch from afterwards; it moves past everything that was left out, so a stretch of nothing but control
// records or compacted-away records does not hold the reader up. A batch cut off at the end is left for the next fetch.
//
// Offsets ascend and lie below next. On an error, which is a *Corrupt, records and next cover the good batches before it.
func DecodeBatches(b []byte, from int64, aborted []Aborted) (records []Record, next int64, err error) {
	next = from
	aborts := newAborts(aborted)
	records = make([]Record, 0, countRecords(b))
	for {
		batch, err := cutBatch(b)
		if batch == nil && err == nil {
			return records, next, nil
		}
		var h head
		good := len(records)
		if err == nil {
			if h = readHead(batch); h.last < from && h.last >= h.base {
				b = b[len(batch):]
				continue
			}
			records, err = decodeBatch(records, h, batch[batchHead:], from, next, &aborts)
		}
		if err != nil {
			return records[:good], next, corrupt(b, err)
		}
		b = b[len(batch):]
		next = h.last + 1
	}
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

// decodeBatch appends the records of one batch that count, from the given offset on. next is where the batch before ended.
func decodeBatch(dst []Record, h head, body []byte, from, next int64, aborts *aborts) ([]Record, error) {
	if h.base < 0 || h.last < h.base || h.last == math.MaxInt64 || h.count < 0 || h.base < next && next > from {
		return dst, fmt.Errorf("%d records up to offset %d after offset %d", h.count, h.last, next)
	}
	if h.attributes&attrTransactional != 0 {
		aborts.enter(h.last)
	}
	switch {
	case h.attributes&attrControl != 0:
		aborts.marker(h, body)
		return dst, nil
	case h.attributes&attrTransactional != 0 && aborts.open[h.producerID]:
		return dst, nil
	}
	return appendRecords(dst, h, body, from)
}

// head is the part of a batch header that decoding needs.
type head struct {
	base, last         int64
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
		attributes: be.Uint16(b[atAttributes:]),
		firstTime:  int64(be.Uint64(b[atFirstTime:])),
		maxTime:    int64(be.Uint64(b[atMaxTime:])),
		producerID: int64(be.Uint64(b[atProducerID:])),
		count:      int(int32(be.Uint32(b[atCount:]))),
	}
}

// minRecord is the smallest record: seven lengths, deltas and counts of a byte each.
const minRecord = 7

// countRecords sizes the result. A lying count costs no more than as many records as there is room for; those of a batch
// that shrank by more than that through compression make the result grow.
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

// aborts tells which transactional batches to leave out (KIP-98): a producer enters at its transaction's first offset and
// leaves at its abort marker, so its next transaction counts again.
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
// that begins with the marker still has the transaction in its list, and the producer's next one must not be taken for it.
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

var errRecords = errors.New("the records do not agree with the batch's head or their own lengths")

func appendRecords(dst []Record, h head, body []byte, from int64) ([]Record, error) {
	body, err := inflate(h.attributes&attrCodec, body, maxInflated)
	if err != nil {
		return dst, err
	}
	c := cursor{b: body}
	headers := headerRoom{names: map[string]string{}, records: h.count}
	before := int64(-1)
	for ; headers.records > 0; headers.records-- {
		size := c.varint()
		if size < 0 || size > int64(len(c.b)) {
			return dst, errRecords
		}
		rc := cursor{b: c.take(int(size))}
		r, delta := decodeRecord(&rc, h, &headers)
		if rc.bad || delta <= before || delta > h.last-h.base {
			return dst, errRecords
		}
		before = delta
		if r.Offset >= from {
			dst = append(dst, r)
		}
	}
	if c.bad || len(c.b) > 0 {
		return dst, errRecords
	}
	return dst, nil
}

func decodeRecord(c *cursor, h head, headers *headerRoom) (r Record, offsetDelta int64) {
	c.take(1) // attributes, unused
	r.Time = time.UnixMilli(h.firstTime + c.varint())
	if h.attributes&attrAppendTime != 0 {
		r.Time = time.UnixMilli(h.maxTime)
	}
	offsetDelta = c.varint()
	r.Offset = h.base + offsetDelta
	r.Key = c.varbytes()
	r.Value = c.varbytes()
	switch n := c.varint(); {
	case n < 0 || n > int64(len(c.b))/2: // a header takes two bytes at least
		c.bad = true
	case n > 0:
		r.Headers = headers.take(int(n))
		for i := range r.Headers {
			r.Headers[i] = Header{Key: headers.name(c.varbytes()), Value: c.varbytes()}
		}
	}
	return r, offsetDelta
}

// headerRoom makes the headers of a batch with few allocations: its records mostly have the same names.
type headerRoom struct {
	names   map[string]string
	free    []Header
	records int // that are still to come
}

const (
	maxHeaderNames = 64
	maxHeaderBlock = 256
)

// take returns room for n headers, which nobody else gets.
func (h *headerRoom) take(n int) []Header {
	if n > len(h.free) {
		h.free = make([]Header, max(n, min(n*h.records, maxHeaderBlock))) // the others will have as many
	}
	taken := h.free[:n:n]
	h.free = h.free[n:]
	return taken
}

func (h *headerRoom) name(b []byte) string {
	if name, known := h.names[string(b)]; known { // without an allocation
		return name
	}
	name := string(b)
	if len(h.names) < maxHeaderNames {
		h.names[name] = name
	}
	return name
}
