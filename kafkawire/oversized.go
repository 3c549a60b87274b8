package kafkawire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// maxOversizedKey is the longest key that is kept of a record that is not read whole: its contract's other records have
// it too.
const maxOversizedKey = 64 << 10

// discardWork is how many bytes that are only read past count as one of memory: a portion must end some time.
const discardWork = 64

// passer reads past one record, size bytes long.
type passer struct {
	*batchReader
	size int64 // still to come
	err  error
}

// oversized reads past a record of which the length has been read, and keeps nothing of it but what tells people about
// it.
func (r *batchReader) oversized(rec *Record, size int64, why string) error {
	o := &Oversized{Why: why, Size: size, Value: -1}
	p := passer{batchReader: r, size: size}
	p.pass(1, nil) // attributes
	rec.Time = r.time(p.varint())
	delta := p.varint()
	if n := p.varint(); n >= 0 && n <= maxOversizedKey {
		var key bytes.Buffer
		p.pass(n, &key)
		rec.Key = key.Bytes()
		if n == 0 {
			rec.Key = []byte{}
		}
	} else if n > 0 {
		p.pass(n, nil)
	}
	if o.Value = max(-1, p.varint()); o.Value >= 0 {
		digest := sha256.New()
		p.pass(o.Value, digest)
		digest.Sum(o.SHA256[:0])
	}
	o.Headers = p.varint()
	if p.err == nil && (o.Headers < 0 || o.Headers > p.size/2 || delta <= r.before || delta > r.head.last-r.head.base) {
		p.err = errRecords
	}
	p.pass(p.size, nil)
	if p.err != nil {
		return p.err
	}
	rec.Offset, rec.Oversized = r.head.base+delta, o
	r.before = delta
	r.left--
	r.room.records--
	r.cost += recordMemory + len(rec.Key) + int(size/discardWork)
	return nil
}

func (p *passer) varint() int64 {
	if p.err == nil {
		p.err = p.fill(int(min(binary.MaxVarintLen64, p.size)))
	}
	if p.err != nil {
		return 0
	}
	c := cursor{b: p.b[:min(int64(len(p.b)), p.size)]}
	had := len(c.b)
	v := c.varint()
	if c.bad {
		p.err = errRecords
		return 0
	}
	p.size -= int64(had - len(c.b))
	p.b = p.b[had-len(c.b):]
	return v
}

// pass reads n bytes, which to is given, if set.
func (p *passer) pass(n int64, to io.Writer) {
	if p.err == nil && (n < 0 || n > p.size) {
		p.err = errRecords
	}
	if p.err != nil {
		return
	}
	if to == nil {
		to = io.Discard
	}
	p.size -= n
	there := min(n, int64(len(p.b)))
	_, _ = to.Write(p.b[:there]) // neither a hash nor a buffer fails
	p.b = p.b[there:]
	if n -= there; n == 0 {
		return
	}
	if p.in == nil {
		p.err = errRecords
		return
	}
	if _, err := io.CopyBuffer(onlyWriter{to}, io.LimitReader(p.in, n), make([]byte, min(n, 32<<10))); err != nil {
		p.err = err
	}
}

// onlyWriter hides a ReadFrom, which would take more room than the buffer.
type onlyWriter struct{ io.Writer }
