package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/compress"
)

// maxInflated bounds one decompressed batch: a few kilobytes can stand for gigabytes.
const maxInflated = 128 << 20

// inflate decompresses the records of a batch, up to limit bytes; codec 0 is none. What compaction has emptied is left empty.
func inflate(codec uint16, b []byte, limit int) ([]byte, error) {
	if codec == 0 || len(b) == 0 {
		return b, nil
	}
	kind := compress.Compression(codec)
	c := kind.Codec()
	if c == nil {
		return nil, fmt.Errorf("unknown compression codec %d", codec)
	}
	if kind == compress.Snappy {
		if err := checkSnappy(b, limit); err != nil {
			return nil, fmt.Errorf("decompressing with %s: %w", kind, err)
		}
	}
	r := c.NewReader(bytes.NewReader(b))
	defer func() { _ = r.Close() }() // gives the codec back to its pool; reading has already told what there is to tell
	var out bytes.Buffer
	out.Grow(min(4*len(b), limit))
	n, err := io.Copy(&out, io.LimitReader(r, int64(limit)+1))
	if err == nil && n > int64(limit) {
		err = errTooBig(limit)
	}
	if err != nil {
		return nil, fmt.Errorf("decompressing with %s: %w", kind, err)
	}
	return out.Bytes(), nil
}

func errTooBig(limit int) error { return fmt.Errorf("more than %d MiB in one batch", limit>>20) }

var (
	xerialMagic = []byte("\x82SNAPPY\x00") // of the framing that Kafka's Java clients write around snappy blocks
	errSnappy   = errors.New("wrong lengths")
)

// checkSnappy reads the lengths only: the decoder allocates what they claim, up to 4 GiB for a batch of 20 bytes.
func checkSnappy(b []byte, limit int) error {
	if !bytes.HasPrefix(b, xerialMagic) {
		return checkSnappyBlock(b, limit)
	}
	c := cursor{b: b}
	c.take(16) // magic, two versions
	for !c.bad && len(c.b) > 0 {
		head := c.take(4)
		if c.bad {
			break
		}
		block := c.take(int(binary.BigEndian.Uint32(head)))
		if c.bad {
			break
		}
		if err := checkSnappyBlock(block, limit); err != nil {
			return err
		}
	}
	if c.bad {
		return errSnappy
	}
	return nil
}

func checkSnappyBlock(b []byte, limit int) error {
	n, read := binary.Uvarint(b)
	switch {
	case read <= 0:
		return errSnappy
	case n > uint64(limit):
		return errTooBig(limit)
	}
	return nil
}
