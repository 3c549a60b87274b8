package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// answer is a final answer's header, and its body as the header frames it.
type answer struct {
	status   int
	text     string // status line behind the version
	minor    int    // of HTTP/1.
	header   http.Header
	length   int64     // of the body; -1: not known before its end
	chunked  bool      // by chunks; else by length or by the connection's end
	body     io.Reader // nil: empty
	reusable bool      // the connection, after the body
}

var (
	errHeaderName = errors.New("malformed header of the answer")
	errNoHTTP     = errors.New("the answer is no HTTP/1 answer")
	errSwitching  = errors.New("the answer switches to another protocol, unasked")
	errInterim    = errors.New("there are too many interim answers")
	errFraming    = errors.New("the answer's header says in two ways how long its body is")
	errCoding     = errors.New("the answer's body has a transfer coding other than chunked")
	errLength     = errors.New("the answer's Content-Length is no length")
)

// maxInterim bounds how many 1xx answers may precede the final one; the header's limit bounds their size, all together.
const maxInterim = 10

// readAnswer reads the header of the final answer to a GET.
func readAnswer(in *bufio.Reader) (*answer, error) {
	for range maxInterim + 1 {
		a, err := readHeader(in)
		if err != nil {
			return nil, err
		}
		switch {
		case a.status == http.StatusSwitchingProtocols:
			return nil, errSwitching
		case a.status >= 200:
			return a, a.frame(in)
		}
	}
	return nil, errInterim
}

// readHeader reads a status line and the fields behind it (RFC 9112 §4, §5).
func readHeader(in *bufio.Reader) (*answer, error) {
	tp := textproto.Reader{R: in}
	line, err := tp.ReadLineBytes()
	if err != nil {
		return nil, err
	}
	a := &answer{}
	if err := a.parseStatus(line); err != nil {
		return nil, err
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		// textproto leaves such names as they are: "Content-Length : 4" would be none (RFC 9112 §5.1).
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, errHeaderName
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, errHeaderName
			}
		}
	}
	a.header = http.Header(header)
	return a, nil
}

// parseStatus reads "HTTP/1.1 200 OK"; the reason may be missing, and its space with it.
func (a *answer) parseStatus(line []byte) error {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(version) {
	case "HTTP/1.1":
		a.minor = 1
	case "HTTP/1.0":
	default:
		return errNoHTTP
	}
	code, _, _ := bytes.Cut(rest, []byte(" "))
	if len(code) != 3 || code[0] < '1' || code[0] > '5' {
		return errNoHTTP
	}
	for _, digit := range code {
		if digit < '0' || digit > '9' {
			return errNoHTTP
		}
		a.status = 10*a.status + int(digit-'0')
	}
	if a.text = string(rest); !httpguts.ValidHeaderFieldValue(a.text) {
		return errNoHTTP
	}
	return nil
}

// frame finds how long the body is (RFC 9112 §6.3), and whether the connection can be used after it. Two readers of one
// answer that disagree about its end take what follows for different things: so what can be read in two ways is an
// error, where the RFC would have it read in one and the connection closed.
func (a *answer) frame(in *bufio.Reader) error {
	a.reusable = a.minor == 1 && !httpguts.HeaderValuesContainsToken(a.header["Connection"], "close")
	codings, lengths := a.header["Transfer-Encoding"], a.header["Content-Length"]
	empty := a.status == http.StatusNoContent || a.status == http.StatusNotModified
	switch {
	case len(codings) > 0 && len(lengths) > 0:
		return errFraming
	case len(codings) > 0:
		if len(codings) != 1 || !strings.EqualFold(textproto.TrimString(codings[0]), "chunked") || a.minor == 0 {
			return errCoding
		}
		a.chunked, a.length = true, -1
		if empty {
			return errFraming
		}
		a.body = &chunks{in: in, reader: httputil.NewChunkedReader(in)}
	case len(lengths) > 0:
		n, err := parseLength(lengths)
		if err != nil {
			return err
		}
		if a.length = n; n > 0 && !empty {
			a.body = &exactly{in, n}
		}
	case empty:
	default:
		a.length, a.reusable = -1, false
		a.body = in
	}
	return nil
}

// parseLength reads Content-Length: digits, the same wherever it stands more than once.
func parseLength(values []string) (int64, error) {
	text := textproto.TrimString(values[0])
	for _, other := range values[1:] {
		if textproto.TrimString(other) != text {
			return 0, errFraming
		}
	}
	n, err := strconv.ParseUint(text, 10, 63) // no sign, no space
	if err != nil {
		return 0, errLength
	}
	return int64(n), nil
}

// response makes net/http's form of it; the body is the caller's to add.
func (a *answer) response(r *http.Request) *http.Response {
	resp := &http.Response{
		Status: a.text, StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: a.minor, Header: a.header,
		ContentLength: a.length, Close: !a.reusable, Request: r,
	}
	if a.minor == 0 {
		resp.Proto = "HTTP/1.0"
	}
	if a.chunked {
		resp.TransferEncoding = []string{"chunked"}
		resp.Header.Del("Transfer-Encoding")
	}
	return resp
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
