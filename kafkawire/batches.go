package kafkawire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// maxInflated bounds one decompressed batch: a few kilobytes of zstd can stand for gigabytes.
const maxInflated = 128 << 20

// Aborted is a transaction that a producer gave up: its records from FirstOffset to its abort marker do not count.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// DecodeBatches decodes what a fetch returned for one partition, as a read-committed consumer must see it: without control
// records, without records of aborted transactions, without what lies below from (brokers return whole batches). next is
// the offset to fetch from afterwards; it moves past everything that was left out, so a stretch of nothing but control
// records or compacted-away records does not hold the reader up. A batch cut off at the end is left for the next fetch.
//
// On an error, records and next cover the good batches before it.
func DecodeBatches(b []byte, from int64, aborted []Aborted) (records []Record, next int64, err error) {
	next = from
	aborts := newAborts(aborted)
	records = make([]Record, 0, countRecords(b))
	for len(b) >= batchHead {
		size := 12 + int(binary.BigEndian.Uint32(b[atLength:]))
		if size > len(b) || size < batchHead {
			if size < batchHead {
				return records, next, fmt.Errorf("kafka: record batch of %d bytes at offset %d", size, next)
			}
			break
		}
		batch := b[:size:size]
		b = b[size:]
		if err := checkBatch(batch); err != nil {
			return records, next, err
		}
		h := readHead(batch)
		if h.last < from {
			continue
		}
		switch {
		case h.attributes&attrControl != 0:
			aborts.marker(h, batch[batchHead:])
		case h.attributes&attrTransactional != 0 && aborts.covers(h):
		default:
			if records, err = appendRecords(records, h, batch[batchHead:], from); err != nil {
				return records, next, fmt.Errorf("decoding the batch at offset %d: %w", h.base, err)
			}
		}
		next = h.last + 1
	}
	return records, next, nil
}

// head is the part of a batch header that decoding needs.
type head struct {
	base, last int64
	attributes uint16
	firstTime  int64
	producerID int64
	count      int
}

func readHead(b []byte) head {
	be := binary.BigEndian
	base := int64(be.Uint64(b))
	return head{
		base: base, last: base + int64(int32(be.Uint32(b[atLastDelta:]))),
		attributes: be.Uint16(b[atAttributes:]),
		firstTime:  int64(be.Uint64(b[atFirstTime:])),
		producerID: int64(be.Uint64(b[atProducerID:])),
		count:      int(int32(be.Uint32(b[atCount:]))),
	}
}

func checkBatch(b []byte) error {
	offset := int64(binary.BigEndian.Uint64(b))
	if b[atMagic] != 2 {
		return fmt.Errorf("kafka: record batch of format %d at offset %d: only format 2 (Kafka 0.11 and newer) can be read", b[atMagic], offset)
	}
	if crc32.Checksum(b[atAttributes:], castagnoli) != binary.BigEndian.Uint32(b[atCRC:]) {
		return fmt.Errorf("kafka: record batch at offset %d has a wrong checksum", offset)
	}
	return nil
}

// countRecords sizes the result; a lying count costs at most one slot for each byte there is.
func countRecords(b []byte) int {
	n, all := 0, len(b)
	for len(b) >= batchHead {
		size := 12 + int(binary.BigEndian.Uint32(b[atLength:]))
		if size > len(b) || size < batchHead {
			break
		}
		n += int(min(binary.BigEndian.Uint32(b[atCount:]), uint32(size)))
		b = b[size:]
	}
	return min(n, all)
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

func (a *aborts) covers(h head) bool {
	for len(a.pending) > 0 && a.pending[0].FirstOffset <= h.last {
		a.open[a.pending[0].ProducerID] = true
		a.pending = a.pending[1:]
	}
	return a.open[h.producerID]
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

var errShortBatch = errors.New("the batch is shorter than its records")

func appendRecords(dst []Record, h head, body []byte, from int64) ([]Record, error) {
	if codec := compress.Compression(h.attributes & attrCodec); codec != 0 {
		var err error
		if body, err = inflate(codec, body); err != nil {
			return dst, err
		}
	}
	c := cursor{b: body}
	for range h.count {
		size := c.varint()
		if size < 0 || size > int64(len(c.b)) {
			return dst, errShortBatch
		}
		rc := cursor{b: c.take(int(size))}
		r := Record{}
		rc.take(1) // attributes, unused
		r.Time = time.UnixMilli(h.firstTime + rc.varint())
		r.Offset = h.base + rc.varint()
		r.Key = rc.varbytes()
		r.Value = rc.varbytes()
		if n := rc.varint(); n > 0 && n <= int64(len(rc.b)) {
			r.Headers = make([]Header, n)
			for i := range r.Headers {
				r.Headers[i] = Header{Key: string(rc.varbytes()), Value: rc.varbytes()}
			}
		}
		if rc.bad {
			return dst, errShortBatch
		}
		if r.Offset >= from {
			dst = append(dst, r)
		}
	}
	return dst, nil
}

func inflate(codec compress.Compression, b []byte) ([]byte, error) {
	c := codec.Codec()
	if c == nil {
		return nil, fmt.Errorf("unknown compression codec %d", codec)
	}
	r := c.NewReader(bytes.NewReader(b))
	defer func() { _ = r.Close() }() // gives the codec back to its pool; reading has already told what there is to tell
	var out bytes.Buffer
	out.Grow(4 * len(b))
	n, err := io.Copy(&out, io.LimitReader(r, maxInflated+1))
	if err != nil {
		return nil, fmt.Errorf("decompressing with %s: %w", codec, err)
	}
	if n > maxInflated {
		return nil, fmt.Errorf("decompressing with %s: more than %d MiB in one batch", codec, maxInflated>>20)
	}
	return out.Bytes(), nil
}
