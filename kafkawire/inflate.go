package kafkawire

import (
	"bytes"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// maxWindow bounds how far back decompressing can refer, which is what it must keep in memory. zstd's levels up to 19
// use less; higher ones, and other formats, claim more in their head than their data need.
const maxWindow = 8 << 20

// inflater decompresses a batch as a stream. It takes no memory because a head claims so.
type inflater struct {
	io.ReadCloser
	name string
	// shrunk says that the data may refer back further than maxWindow: an error does not mean that they are corrupt.
	shrunk bool
	left   *bytes.Reader // of one that only copies
	err    error         // ended it
}

// newCopier stands for a codec where there is none.
func newCopier(b []byte) *inflater {
	left := bytes.NewReader(b)
	return &inflater{ReadCloser: io.NopCloser(left), left: left}
}

func newInflater(codec uint16, b []byte) (*inflater, error) {
	kind := compress.Compression(codec)
	c := kind.Codec()
	if c == nil {
		return nil, fmt.Errorf("unknown compression codec %d", codec)
	}
	in := &inflater{name: kind.String()}
	switch kind {
	case compress.Snappy:
		in.ReadCloser = &snappyReader{b: b, beyond: &in.shrunk}
	case compress.Zstd:
		var frame io.Reader
		frame, in.shrunk = shrinkWindow(b)
		z, err := openZstd(frame)
		if err != nil {
			return nil, fmt.Errorf("decompressing with %s: %w", kind, err)
		}
		in.ReadCloser = z
	default: // windows of 32 and 64 KiB, blocks of 4 MiB at most
		in.ReadCloser = c.NewReader(bytes.NewReader(b))
	}
	return in, nil
}

// Read implements io.Reader; io.EOF stays as it is.
func (in *inflater) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // an io.EOF inside another error is an error
		err = fmt.Errorf("decompressing with %s: %w", in.name, err)
	}
	in.err = err
	return n, err
}

func (in *inflater) close() {
	if in != nil {
		_ = in.Close() // gives the codec back to its pool; reading has already told what there is to tell
	}
}

var zstdPool sync.Pool

// zstdReader gives its decoder back when it is closed.
type zstdReader struct{ *zstd.Decoder }

func openZstd(r io.Reader) (io.ReadCloser, error) {
	z, _ := zstdPool.Get().(*zstd.Decoder)
	if z == nil {
		var err error
		z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("making a decoder: %w", err)
		}
	}
	if err := z.Reset(r); err != nil {
		return nil, err
	}
	return &zstdReader{z}, nil
}

func (z *zstdReader) Close() error {
	if z.Decoder != nil {
		_ = z.Reset(nil)
		zstdPool.Put(z.Decoder)
		z.Decoder = nil
	}
	return nil
}

// shrinkWindow lets a frame whose head claims a larger window than maxWindow claim just that (RFC 8878, 3.1.1.1).
// Encoders claim by their level and not by the data, and most of their data refer back less far.
func shrinkWindow(b []byte) (r io.Reader, shrunk bool) {
	const descriptor, window = 4, 5
	const single, sizes = 1 << 5, 6
	largest := byte(bits.Len(maxWindow)-1-10) << 3
	whole := bytes.NewReader(b)
	if len(b) <= window || !bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return whole, false
	}
	head := bytes.Clone(b[:window])
	switch flags := head[descriptor]; {
	case flags&single == 0:
		if b[window] <= largest {
			return whole, false
		}
		return io.MultiReader(bytes.NewReader(append(head, largest)), bytes.NewReader(b[window+1:])), true
	case flags>>sizes < 2: // the size of the content, which is the window, has two bytes at most
		return whole, false
	default:
		head[descriptor] &^= single
		return io.MultiReader(bytes.NewReader(append(head, largest)), bytes.NewReader(b[window:])), true
	}
}
