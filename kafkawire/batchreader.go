package kafkawire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

var errRecords = errors.New("the records do not agree with the batch's head or their own lengths")

const (
	minChunk = 1 << 10
	maxChunk = 256 << 10 // what is decompressed at once; records alias it
)

// batchReader reads the records of one batch one after the other, and decompresses no more than it needs for that. It
// can be kept between two portions.
type batchReader struct {
	head   head
	crc    uint32
	size   int       // of the whole batch
	plain  bool      // not compressed
	copies int       // of such a batch, what is copied at once
	in     *inflater // nil: b is all that there is
	b      []byte    // decompressed and not read yet
	start  []byte    // the room in which b lies
	shared bool      // records alias start
	probe  [1]byte
	left   int   // records that are still to come
	before int64 // offset delta of the last one
	room   headerRoom
	cost   int   // memory since spent
	lost   error // why the rest cannot be decompressed in the memory that there is: its records are known by position only
}

// newBatchReader makes one. copies is what is copied at once of a batch that is not compressed; 0: records alias it.
func newBatchReader(h head, batch []byte, copies int) (*batchReader, error) {
	body := batch[batchHead:]
	r := &batchReader{head: h, crc: binary.BigEndian.Uint32(batch[atCRC:]), size: len(batch), left: h.count, before: -1,
		room: headerRoom{names: map[string]string{}, records: h.count}}
	if codec := h.attributes & attrCodec; codec == 0 || len(body) == 0 { // what compaction has emptied is left empty
		if r.plain, r.copies = true, copies; copies == 0 {
			r.b = body
		} else {
			r.in = newCopier(body)
		}
		return r, nil
	}
	var err error
	r.in, err = newInflater(h.attributes&attrCodec, body)
	return r, err
}

// continues says whether the reader stands in this batch, before that offset.
func (r *batchReader) continues(batch []byte, from int64) bool {
	return r != nil && r.size == len(batch) && r.crc == binary.BigEndian.Uint32(batch[atCRC:]) &&
		r.head.base == readHead(batch).base && r.head.base+r.before+1 == from
}

func (r *batchReader) close() {
	if r != nil {
		r.in.close()
	}
}

func (r *batchReader) more() bool { return r.left > 0 }

// reopened returns the memory in which the next records lie already.
func (r *batchReader) reopened() int {
	if r.plain && r.in != nil {
		return len(r.b)
	}
	return cap(r.start)
}

// spent returns the memory for what was read since it was last called.
func (r *batchReader) spent() int {
	n := r.cost
	r.cost = 0
	return n
}

// end says what is wrong if there is more, or less, than the records.
func (r *batchReader) end() error {
	switch {
	case r.lost != nil:
		return nil //nolint:nilerr // its records were handed out by position
	case len(r.b) > 0:
		return errRecords
	case r.in == nil:
		return nil
	}
	n, err := io.ReadFull(r.in, r.probe[:])
	switch {
	case n > 0:
		return errRecords
	case errors.Is(err, io.EOF), r.in.shrunk: // the records are all there
		err = nil
	}
	return err
}

// fill decompresses on until n bytes are there, if there are as many. It reads as much as there is room for.
func (r *batchReader) fill(n int) error {
	if r.plain && r.in != nil {
		n = min(n, len(r.b)+r.in.left.Len()) // no memory because a length claims so
	}
	if len(r.b) >= n || r.in == nil {
		return nil
	}
	size := max(n, r.chunk())
	if r.shared || cap(r.start) < size {
		r.start = make([]byte, size)
		r.cost += size
		r.shared = false
	}
	r.start = r.start[:cap(r.start)]
	had := copy(r.start, r.b)
	got, err := io.ReadFull(r.in, r.start[had:])
	r.b = r.start[: had+got : had+got]
	if err == io.EOF || err == io.ErrUnexpectedEOF || len(r.b) >= n {
		return nil // an error of the codec comes again with the next bytes
	}
	return err
}

// chunk is how much is decompressed, or copied, at once where records are no longer.
func (r *batchReader) chunk() int {
	if r.plain {
		return min(r.copies, len(r.b)+r.in.left.Len())
	}
	return min(maxChunk, max(minChunk, 6*r.size))
}

// next reads a record into an empty one. Of one before from only the offset is told.
func (r *batchReader) next(rec *Record, from int64, limits *DecodeLimits) error {
	if r.lost == nil {
		err := r.read(rec, from, limits)
		if err == nil || r.in == nil || !r.in.shrunk || errors.Is(err, errRecords) {
			return err
		}
		r.lost = err
	}
	return r.byPosition(rec)
}

// byPosition stands for a record that cannot be decompressed. Batches have every offset when they are written.
func (r *batchReader) byPosition(rec *Record) error {
	r.before++
	r.left = int(r.head.last - r.head.base - r.before)
	if r.left < 0 {
		return errRecords
	}
	r.cost += recordMemory
	*rec = Record{Offset: r.head.base + r.before, Time: r.time(0), Oversized: &Oversized{Size: -1, Headers: -1, Value: -1,
		Why: fmt.Sprintf("its batch cannot be decompressed with a window of %d MiB", maxWindow>>20)}}
	return nil
}

func (r *batchReader) time(delta int64) time.Time {
	if r.head.attributes&attrAppendTime != 0 {
		return time.UnixMilli(r.head.maxTime)
	}
	return time.UnixMilli(r.head.firstTime + delta)
}

func (r *batchReader) read(rec *Record, from int64, limits *DecodeLimits) error {
	if r.in != nil && len(r.b) < binary.MaxVarintLen64 {
		if err := r.fill(binary.MaxVarintLen64); err != nil {
			return err
		}
	}
	c := cursor{b: r.b}
	size := c.varint()
	if c.bad || size < 0 || size > math.MaxInt32 || r.in == nil && size > int64(len(c.b)) {
		return errRecords
	}
	r.b = c.b
	if size > int64(limits.Record) {
		return r.oversized(rec, size, fmt.Sprintf("it has %d bytes; at most %d are read", size, limits.Record))
	}
	if int64(len(r.b)) < size {
		if err := r.fill(int(size)); err != nil {
			return err
		}
		if int64(len(r.b)) < size {
			return errRecords
		}
	}
	return r.decode(rec, int(size), from, limits)
}

// decode reads the record that takes up the next size bytes, which are there.
func (r *batchReader) decode(rec *Record, size int, from int64, limits *DecodeLimits) error {
	c := cursor{b: r.b[:size:size]}
	c.take(1) // attributes, unused
	at := c.varint()
	delta := c.varint()
	rec.Offset = r.head.base + delta
	if c.bad || delta <= r.before || delta > r.head.last-r.head.base {
		return errRecords
	}
	if rec.Offset >= from {
		rec.Time, rec.Key, rec.Value = r.time(at), c.varbytes(), c.varbytes()
		n := c.varint()
		if c.bad || n < 0 || n > int64(len(c.b))/2 { // a header takes two bytes at least
			return errRecords
		}
		if n > int64(limits.Headers) {
			*rec = Record{}
			return r.oversized(rec, int64(size), fmt.Sprintf("it has %d headers; at most %d are read", n, limits.Headers))
		}
		if n > 0 {
			rec.Headers = r.headers(&c, int(n))
		}
		if c.bad {
			return errRecords
		}
		r.shared = true
		r.cost += recordMemory
		if r.in == nil {
			r.cost += size
		}
	}
	r.b = r.b[size:]
	r.before = delta
	r.left--
	r.room.records--
	return nil
}

func (r *batchReader) headers(c *cursor, n int) []Header {
	headers := r.room.take(n)
	for i := range headers {
		headers[i].Key = r.room.name(c.varbytes())
		headers[i].Value = c.varbytes()
	}
	r.cost += r.room.spent()
	return headers
}
