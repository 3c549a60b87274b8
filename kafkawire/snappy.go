package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/snappy"

	"github.com/balanceq/balanceq/internal/poison"
)

var (
	xerialMagic = []byte("\x82SNAPPY\x00") // of the framing that Kafka's Java clients write around snappy blocks
	errSnappy   = errors.New("wrong lengths")
)

// wholeBlock is the largest block that is decompressed at once. Java's clients write 32 KiB, librdkafka whole batches.
const wholeBlock = 1 << 20

// snappyReader reads xerial's frames of snappy blocks, or one block.
type snappyReader struct {
	b      []byte // not read yet
	inside bool   // of xerial's framing
	begun  bool
	out    []byte        // decompressed and not read yet
	room   *bytes.Buffer // in which out lies, from the pool
	large  *snappyBlock
	beyond *bool // set when the data refer back further than the window
}

var snappyPool sync.Pool

// Close implements io.Closer.
func (r *snappyReader) Close() error {
	if r.room != nil {
		r.room.Reset()
		poison.Bytes(r.room.AvailableBuffer())
		snappyPool.Put(r.room)
		r.room, r.out = nil, nil
	}
	return nil
}

// Read implements io.Reader.
func (r *snappyReader) Read(p []byte) (int, error) {
	for {
		if n := copy(p, r.out); n > 0 || len(p) == 0 {
			r.out = r.out[n:]
			return n, nil
		}
		if err := r.decompress(); err != nil {
			return 0, err
		}
	}
}

// decompress makes some output, or none.
func (r *snappyReader) decompress() (err error) {
	if r.large != nil {
		r.out, err = r.large.decompress()
		if errors.Is(err, io.EOF) {
			r.large, err = nil, nil
		}
		*r.beyond = *r.beyond || errors.Is(err, errBeyond)
		return err
	}
	block, err := r.block()
	if err != nil {
		return err
	}
	n, read := binary.Uvarint(block)
	switch {
	case read <= 0 || n > math.MaxUint32:
		return errSnappy
	case n > wholeBlock:
		r.large = &snappyBlock{b: block[read:], left: int64(n)}
		return nil
	}
	if r.room == nil {
		r.room, _ = snappyPool.Get().(*bytes.Buffer)
	}
	if r.room == nil {
		r.room = &bytes.Buffer{}
	}
	r.room.Grow(int(n))
	if r.out, err = snappy.Decode(r.room.AvailableBuffer()[:n], block); err != nil {
		return fmt.Errorf("a block of %d bytes: %w", n, err)
	}
	return nil
}

// block cuts off the next block, io.EOF after the last one.
func (r *snappyReader) block() ([]byte, error) {
	if !r.begun {
		r.begun, r.inside = true, bytes.HasPrefix(r.b, xerialMagic)
		if !r.inside {
			block := r.b
			r.b = nil
			return block, nil
		}
		if len(r.b) < 16 { // magic, two versions
			return nil, errSnappy
		}
		r.b = r.b[16:]
	}
	if len(r.b) == 0 {
		return nil, io.EOF
	}
	c := cursor{b: r.b}
	length := c.take(4)
	if c.bad {
		return nil, errSnappy
	}
	block := c.take(int(binary.BigEndian.Uint32(length)))
	if c.bad {
		return nil, errSnappy
	}
	r.b = c.b
	return block, nil
}

// snappyBlock decompresses a block piece by piece, where snappy.Decode would take as much memory as the block's head
// claims.
type snappyBlock struct {
	b       []byte // not read yet
	left    int64  // bytes that are still to come out
	window  []byte // what came out last
	literal int    // bytes of a literal that are still to be copied
}

var errBeyond = errors.New("a reference further back than the window")

const (
	snappyWindow = 4 << 20 // encoders look back 64 KiB
	snappyPiece  = 64 << 10
)

// decompress returns the next piece, which stays as it is until the next call, or io.EOF.
func (s *snappyBlock) decompress() ([]byte, error) {
	if len(s.window) > 2*snappyWindow-snappyPiece-64 {
		s.window = s.window[:copy(s.window, s.window[len(s.window)-snappyWindow:])]
	}
	from := len(s.window)
	for len(s.window)-from < snappyPiece && (s.left > 0 || len(s.b) > 0) {
		had := len(s.window)
		if err := s.element(); err != nil {
			return nil, err
		}
		if s.left -= int64(len(s.window) - had); s.left < int64(s.literal) {
			return nil, errSnappy
		}
	}
	if len(s.window) == from {
		return nil, io.EOF
	}
	return s.window[from:], nil
}

// element reads a literal, or a part of it, or a copy of what came out before.
func (s *snappyBlock) element() error {
	c := cursor{b: s.b}
	if s.literal == 0 {
		tag := c.take(1)
		if c.bad {
			return errSnappy
		}
		if tag[0]&3 != 0 {
			length, offset := copyElement(tag[0], &c)
			s.b = c.b
			return s.copy(length, offset, c.bad)
		}
		n := int(tag[0] >> 2)
		if n >= 60 {
			n = int(littleEndian(c.take(n - 59)))
		}
		s.literal = n + 1
	}
	some := c.take(min(s.literal, snappyPiece, max(1, len(c.b))))
	if c.bad {
		return errSnappy
	}
	s.literal -= len(some)
	s.window = append(s.window, some...)
	s.b = c.b
	return nil
}

func copyElement(tag byte, c *cursor) (length, offset int) {
	switch tag & 3 {
	case 1:
		return 4 + int(tag>>2&7), int(tag>>5)<<8 | int(littleEndian(c.take(1)))
	case 2:
		return 1 + int(tag>>2), int(littleEndian(c.take(2)))
	default:
		return 1 + int(tag>>2), int(littleEndian(c.take(4)))
	}
}

func (s *snappyBlock) copy(length, offset int, bad bool) error {
	switch {
	case bad || offset == 0:
		return errSnappy
	case offset > len(s.window) && len(s.window) >= snappyWindow:
		return errBeyond
	case offset > len(s.window):
		return errSnappy
	}
	for range length { // byte by byte: it may repeat what it has just written
		s.window = append(s.window, s.window[len(s.window)-offset])
	}
	return nil
}

func littleEndian(b []byte) uint32 {
	var n uint32
	for i, x := range b {
		n |= uint32(x) << (8 * i)
	}
	return n
}
