package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// body is an answer's. Its end gives the connection back.
type body struct {
	conn     *conn
	reader   io.Reader // nil: empty, or at its end
	reusable bool
	err      error // what reading on returns
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.reader == nil {
		return 0, b.err
	}
	n, err := b.reader.Read(p)
	switch err {
	case nil:
	case io.EOF: // a wrapped one is no end of the body
		b.end()
	default:
		b.reusable = false
		b.end()
		b.err = err
	}
	return n, err
}

// Close implements io.Closer. What has not been read is not waited for: the connection is closed.
func (b *body) Close() error {
	if b.reader != nil {
		b.reusable = false
		b.end()
	}
	b.err = http.ErrBodyReadAfterClose
	return nil
}

// end gives the connection back, or closes it.
func (b *body) end() {
	b.reader, b.err = nil, io.EOF
	c := b.conn
	if !b.reusable || c.in.Buffered() > 0 || !c.stays && !c.endWatch() {
		c.close()
		return
	}
	c.in.Reset(nil)
	readers.Put(c.in)
	c.in = nil
	c.transport.put(c)
}

// exactly reads n bytes. The end of the stream before that is io.ErrUnexpectedEOF.
type exactly struct {
	in *bufio.Reader
	n  int64
}

// Read implements io.Reader. It returns io.EOF with the last bytes.
func (e *exactly) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.n {
		p = p[:e.n]
	}
	n, err := e.in.Read(p)
	e.n -= int64(n)
	switch {
	case err != nil && e.n > 0:
		return n, unexpected(err)
	case e.n == 0:
		return n, io.EOF
	}
	return n, nil
}

// chunks reads a chunked body and the trailer behind it, which is dropped (RFC 9112 §7.1).
type chunks struct {
	in     *bufio.Reader
	reader io.Reader
}

var errTrailer = errors.New("the trailer of the answer's body is malformed or larger than it may be")

// maxTrailer bounds the fields behind a chunked body: they are not asked for.
const maxTrailer = 64

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF { // it returns no wrapped one
		return n, unexpected(err)
	}
	for range maxTrailer {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return n, fmt.Errorf("the trailer of the answer's body: %w", unexpected(err))
		}
		if string(line) == "\r\n" {
			return n, io.EOF
		}
		name, _, field := bytes.Cut(line, []byte(":"))
		if !field || !bytes.HasSuffix(line, []byte("\r\n")) || !httpguts.ValidHeaderFieldName(string(name)) {
			return n, errTrailer
		}
	}
	return n, errTrailer
}
