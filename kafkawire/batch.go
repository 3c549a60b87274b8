package kafkawire

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Layout of a record batch, magic 2 (KIP-98; offsets in bytes from the batch's first byte).
const (
	atLength      = 8
	atLeaderEpoch = 12
	atMagic       = 16
	atCRC         = 17
	atAttributes  = 21
	atLastDelta   = 23
	atFirstTime   = 27
	atMaxTime     = 35
	atProducerID  = 43
	atEpoch       = 51
	atSequence    = 53
	atCount       = 57
	batchHead     = 61

	attrCodec         = 0x07
	attrAppendTime    = 1 << 3 // the records' time is the batch's latest (message.timestamp.type=LogAppendTime)
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ProducerID identifies an idempotent producer to the brokers (KIP-98).
type ProducerID struct {
	ID    int64
	Epoch int16
}

// AppendBatch appends one uncompressed record batch. The records' Offset is not used; a zero Time becomes now. records
// must not be empty.
func AppendBatch(dst []byte, id ProducerID, sequence int32, records []Record, now time.Time) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, batchHead)...)
	first := millis(records[0].Time, now)
	latest := first
	for i := range records {
		t := millis(records[i].Time, now)
		latest = max(latest, t)
		dst = appendRecord(dst, &records[i], t-first, int64(i))
	}
	b := dst[start:]
	be := binary.BigEndian
	be.PutUint32(b[atLength:], uint32(len(b)-12))
	be.PutUint32(b[atLeaderEpoch:], 0xffffffff)
	b[atMagic] = 2
	be.PutUint32(b[atLastDelta:], uint32(len(records)-1))
	be.PutUint64(b[atFirstTime:], uint64(first))
	be.PutUint64(b[atMaxTime:], uint64(latest))
	be.PutUint32(b[atCount:], uint32(len(records)))
	Stamp(b, id, sequence)
	return dst
}

// Stamp writes producer id, epoch and sequence into an encoded batch, and its checksum.
func Stamp(batch []byte, id ProducerID, sequence int32) {
	be := binary.BigEndian
	be.PutUint64(batch[atProducerID:], uint64(id.ID))
	be.PutUint16(batch[atEpoch:], uint16(id.Epoch))
	be.PutUint32(batch[atSequence:], uint32(sequence))
	be.PutUint32(batch[atCRC:], crc32.Checksum(batch[atAttributes:], castagnoli))
}

// NextSequence is the sequence after n more records; it wraps to 0 after 2^31-1 as brokers expect.
func NextSequence(sequence int32, n int) int32 {
	return int32((uint32(sequence) + uint32(n)) & 0x7fffffff)
}

// RecordSize is an upper bound of what a record adds to a batch, in bytes.
func RecordSize(r *Record) int {
	n := 32 + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += 10 + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

func millis(t, now time.Time) int64 {
	if t.IsZero() {
		t = now
	}
	return t.UnixMilli()
}

func appendRecord(dst []byte, r *Record, timeDelta, offsetDelta int64) []byte {
	size := 1 + varintSize(timeDelta) + varintSize(offsetDelta) + bytesSize(r.Key) + bytesSize(r.Value) + varintSize(
		int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		size += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	dst = appendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes, unused
	dst = appendVarint(dst, timeDelta)
	dst = appendVarint(dst, offsetDelta)
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = appendVarint(dst, int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		dst = appendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func appendVarint(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v<<1)^uint64(v>>63))
}

func varintSize(v int64) int {
	n := 1
	for u := uint64(v<<1) ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// appendBytes writes a nullable byte string: null is length -1.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}
