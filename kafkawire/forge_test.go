package kafkawire

import (
	"encoding/binary"
	"hash/crc32"
)

var be = binary.BigEndian

// theirs is a record batch put together by hand, with any lie a test wants in it and a checksum that is right.
type theirs struct {
	base       int64
	last       int32 // offset delta
	first, max int64 // times
	attributes uint16
	producer   int64
	count      int32
	body       []byte
}

func (f theirs) encode() []byte {
	b := make([]byte, batchHead, batchHead+len(f.body))
	b = append(b, f.body...)
	be.PutUint64(b, uint64(f.base))
	be.PutUint32(b[atLength:], uint32(len(b)-12))
	b[atMagic] = 2
	be.PutUint16(b[atAttributes:], f.attributes)
	be.PutUint32(b[atLastDelta:], uint32(f.last))
	be.PutUint64(b[atFirstTime:], uint64(f.first))
	be.PutUint64(b[atMaxTime:], uint64(f.max))
	be.PutUint64(b[atProducerID:], uint64(f.producer))
	be.PutUint32(b[atCount:], uint32(f.count))
	return seal(b)
}

// seal puts the right checksum into a batch.
func seal(b []byte) []byte {
	be.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
	return b
}

// values is a plain batch with one record for each value.
func values(base int64, values ...string) theirs {
	t := theirs{base: base, last: int32(len(values) - 1), producer: -1, count: int32(len(values))}
	for i, v := range values {
		t.body = appendRecord(t.body, &Record{Value: []byte(v)}, 0, int64(i))
	}
	return t
}

// transactional makes it part of a transaction of that producer.
func (f theirs) transactional(producer int64) theirs {
	f.attributes |= attrTransactional
	f.producer = producer
	return f
}

// marker is the control batch that ends a transaction (KIP-98): its key is a version and a type, 0 abort, 1 commit.
func marker(base, producer int64, kind byte) []byte {
	t := theirs{base: base, producer: producer, count: 1, attributes: attrTransactional | attrControl}
	t.body = appendRecord(nil, &Record{Key: []byte{0, 0, 0, kind}, Value: []byte{0, 0, 0, 0, 0, 0}}, 0, 0)
	return t.encode()
}

const abort, commit = 0, 1

func join(batches ...[]byte) []byte {
	var b []byte
	for _, x := range batches {
		b = append(b, x...)
	}
	return b
}
