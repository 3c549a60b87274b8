package kafkawire

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/gzip"
)

// codecGzip is the one that every broker and every consumer can read, whatever its age (the protocol's other codecs
// came later).
const codecGzip = 1

// CompressBatch compresses an encoded batch in place, appending to dst; producer id and sequence stay what they are.
func CompressBatch(dst, batch []byte) []byte {
	start := len(dst)
	out := bytes.NewBuffer(append(dst, batch[:batchHead]...))
	w := gzip.NewWriter(out)
	_, _ = w.Write(batch[batchHead:]) // a buffer takes everything
	_ = w.Close()
	dst = out.Bytes()
	b := dst[start:]
	b[atAttributes+1] |= codecGzip
	be := binary.BigEndian
	be.PutUint32(b[atLength:], uint32(len(b)-12))
	Stamp(b, ProducerID{int64(be.Uint64(b[atProducerID:])), int16(be.Uint16(b[atEpoch:]))},
		int32(be.Uint32(b[atSequence:])))
	return dst
}
