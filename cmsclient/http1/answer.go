package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// answer is a final answer's header, and its body as the header frames it. It is one object with all that goes out to
// the caller, whose it is: so only the caller can know when it may be used again.
type answer struct {
	status   int
	text     string // status line behind the version
	minor    int    // of HTTP/1.
	header   http.Header
	names    []string  // of the fields as they came, where header has each once; else nil
	values   []string  // those of names
	length   int64     // of the body; -1: not known before its end
	chunked  bool      // by chunks; else by length or by the connection's end
	body     io.Reader // nil: empty
	reusable bool      // the connection, after the body

	exactly exactly // where body is that
	stream  body
	resp    http.Response
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

// keptFields is how many fields of an answer's header there is room for in the next one's.
const keptFields = 32

// reset makes an empty answer of one that was used, but for its fields.
func (a *answer) reset() {
	if len(a.header) > keptFields {
		*a = answer{}
	}
	*a = answer{header: a.header, names: a.names, values: a.values}
}

// read reads the header of the final answer to a GET.
func (a *answer) read(in *bufio.Reader) error {
	for range maxInterim + 1 {
		if err := a.readHeader(in); err != nil {
			return err
		}
		switch {
		case a.status == http.StatusSwitchingProtocols:
			return errSwitching
		case a.status >= 200:
			return a.frame(in)
		}
	}
	return errInterim
}

// readHeader reads a status line and the fields behind it (RFC 9112 §4, §5).
func (a *answer) readHeader(in *bufio.Reader) error {
	a.reset()
	tp := textproto.Reader{R: in}
	line, prefix, err := in.ReadLine()
	switch {
	case err != nil:
		return err
	case prefix: // longer than in's buffer
		return errNoHTTP
	}
	if err := a.parseStatus(line); err != nil {
		return err
	}
	if a.plainFields(in) {
		return nil
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil {
		return err
	}
	for name, values := range header {
		for _, value := range values {
			if !validField(name, value) {
				return errHeaderName
			}
		}
	}
	a.header, a.names = http.Header(header), nil
	return nil
}

// validField is asked since textproto leaves odd names as they are: "Content-Length : 4" would be none (RFC 9112 §5.1).
func validField(name, value string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value)
}

// plainFields reads fields as nearly all servers send them: in the buffer already, as a whole, each line of them valid
// and ended by CRLF. Then one string has them all, where textproto makes one of each. Whatever is odd is left to
// textproto, with nothing read.
func (a *answer) plainFields(in *bufio.Reader) bool {
	buffered, _ := in.Peek(in.Buffered())
	end := bytes.Index(buffered, []byte("\r\n\r\n"))
	if end < 0 {
		return false
	}
	fields := string(buffered[:end+len("\r\n")])
	if !a.sameFields(fields) && !a.newFields(fields) {
		return false
	}
	_, _ = in.Discard(end + len("\r\n\r\n")) // it is there
	return true
}

// sameFields reads fields that have the names of those before, as nearly all answers of a server have: what is new is
// their values, and header has those already.
func (a *answer) sameFields(fields string) bool {
	n := 0
	for ; fields != ""; n++ {
		var line string
		line, fields, _ = strings.Cut(fields, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || n == len(a.names) || name != a.names[n] || !httpguts.ValidHeaderFieldValue(value) {
			return false
		}
		a.values[n] = textproto.TrimString(value)
	}
	return n == len(a.names)
}

// newFields reads any that are plain.
func (a *answer) newFields(fields string) bool {
	if a.header == nil {
		a.header = make(http.Header, keptFields/4)
	}
	clear(a.header)
	names := a.names[:0]
	a.names = nil                                                       // until all is as it should be
	a.values = slices.Grow(a.values[:0], strings.Count(fields, "\r\n")) // it must not grow later: header has parts of it
	for fields != "" {
		var line string
		line, fields, _ = strings.Cut(fields, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !validField(name, value) {
			return false
		}
		n := len(a.values)
		names, a.values = append(names, name), append(a.values, textproto.TrimString(value))
		name = textproto.CanonicalMIMEHeaderKey(name)
		if before := a.header[name]; before != nil {
			a.header[name] = append(before, a.values[n])
		} else {
			a.header[name] = a.values[n : n+1 : n+1]
		}
	}
	if len(a.header) == len(names) {
		a.names = names
	}
	return true
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
	if a.text = "200 OK"; string(rest) == a.text {
		return nil
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
			a.exactly = exactly{in, n}
			a.body = &a.exactly
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
func (a *answer) response() *http.Response {
	a.resp = http.Response{
		Status: a.text, StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: a.minor, Header: a.header,
		ContentLength: a.length, Close: !a.reusable,
	}
	resp := &a.resp
	if a.minor == 0 {
		resp.Proto = "HTTP/1.0"
	}
	if a.chunked {
		resp.TransferEncoding = []string{"chunked"}
		resp.Header.Del("Transfer-Encoding")
		a.names = nil // header has another form now
	}
	return resp
}
