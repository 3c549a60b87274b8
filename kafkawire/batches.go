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
	d := decoding{limits: DecodeLimits{}.orDefault(), b: b, from: from, next: from, aborts: newAborts(aborted)}
	p := d.portion()
	d.inside.close()
	return p.Records, p.Next, p.Err
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
