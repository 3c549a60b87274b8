package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// conn is one connection. It belongs to one call at a time, or to the idle ones.
type conn struct {
	transport *Transport
	tcp       net.Conn // for deadlines, and to look whether something has come
	raw       syscall.RawConn
	wire      net.Conn   // tcp, or TLS over it
	records   []*records // below each TLS
	in        *bufio.Reader
	header    int64    // how many bytes of an answer's header may still come
	out       []byte   // the request
	names     []string // of its headers
	absolute  bool     // to a proxy that forwards: the request names the server
	proxyAuth string   // its Proxy-Authorization
	reused    bool
	since     time.Time // idle since
}

var errHeaderTooLarge = errors.New("the answer's header is larger than it may be")

// Read implements io.Reader for in. It counts what an answer's header takes, and what has come behind it meanwhile.
func (c *conn) Read(p []byte) (int, error) {
	if c.header <= 0 {
		return 0, errHeaderTooLarge
	}
	if int64(len(p)) > c.header {
		p = p[:c.header]
	}
	n, err := c.wire.Read(p)
	c.header -= int64(n)
	return n, err
}

func (c *conn) close() { _ = c.wire.Close() } // TLS says goodbye; nothing can be done about an error

// untouched says that an idle connection is open, and that nothing has come on it: then it is as its last call left it.
func (c *conn) untouched() bool {
	if len(c.records) > 0 && !c.decrypted() {
		return false
	}
	// After that read: in TLS within TLS it may have moved a part of an inner record from one to the other.
	for _, r := range c.records {
		if !r.between() {
			return false
		}
	}
	return c.quiet()
}

// decrypted says that TLS has no rest of a record either: a read that may not wait ends without one.
func (c *conn) decrypted() bool {
	if c.tcp.SetReadDeadline(longAgo) != nil {
		return false
	}
	var one [1]byte
	n, err := c.wire.Read(one[:])
	netErr, ok := errors.AsType[net.Error](err)
	return n == 0 && ok && netErr.Timeout()
}

// longAgo is a deadline that ends what waits for the network at once.
var longAgo, noDeadline = time.Unix(1, 0), time.Time{}

// exchange sends a request and reads the answer's header. After an error the connection has to be closed.
func (c *conn) exchange(ctx context.Context, r *http.Request) (*http.Response, error) {
	if err := c.encode(r); err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline() // zero: none
	if err := c.tcp.SetDeadline(deadline); err != nil {
		return nil, c.stale(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.tcp.SetDeadline(longAgo) })
	_, writeErr := c.wire.Write(c.out)
	// Also when it could not be sent: a server that closes for a reason may have said it before.
	c.header = c.transport.cfg.MaxHeader
	if _, err := c.in.Peek(1); err != nil {
		stop()
		return nil, c.stale(errors.Join(err, writeErr)) // what came says more: an alert of TLS
	}
	a, err := readAnswer(c.in)
	if err != nil {
		stop()
		return nil, unexpected(err)
	}
	c.header = math.MaxInt64 // the caller bounds the body
	resp := a.response(r)
	b := &body{conn: c, stop: stop, reader: a.body, reusable: a.reusable && writeErr == nil}
	resp.Body = b
	if a.body == nil {
		b.end()
	}
	return resp, nil
}

// stale marks the end of a connection that had been kept and on which no answer began, unless time was up: then the
// server may well be at work.
func (c *conn) stale(err error) error {
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() || !c.reused {
		return err
	}
	return &StaleError{err}
}

// unexpected is the end of the stream where something has to follow.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errHeaderValue = errors.New("http1: a header of the request has something that a header cannot have")

// framing are headers that say where a request ends, or whose it is: those are this package's.
var framing = map[string]bool{
	"Connection": true, "Content-Length": true, "Host": true, "Trailer": true, "Transfer-Encoding": true,
}

// encode writes the request into out (RFC 9112 §3).
func (c *conn) encode(r *http.Request) error {
	out := c.out[:0]
	out = append(out, "GET "...)
	if c.absolute {
		out = append(append(append(out, r.URL.Scheme...), "://"...), r.URL.Host...)
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	target := r.URL.RequestURI()
	if !httpguts.ValidHostHeader(host) || !httpguts.ValidHeaderFieldValue(target) {
		return errHeaderValue
	}
	out = append(append(out, target...), " HTTP/1.1\r\nHost: "...)
	out = append(append(out, host...), "\r\n"...)
	c.names = c.names[:0]
	for name := range r.Header {
		c.names = append(c.names, name)
	}
	slices.Sort(c.names) // a call is the same bytes every time
	for _, name := range c.names {
		for _, value := range r.Header[name] {
			if framing[name] || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return errHeaderValue
			}
			out = append(append(append(append(out, name...), ": "...), value...), "\r\n"...)
		}
	}
	if c.proxyAuth != "" && c.absolute {
		out = append(append(append(out, "Proxy-Authorization: "...), c.proxyAuth...), "\r\n"...)
	}
	out = append(out, "\r\n"...)
	c.out = out
	return nil
}

// body is an answer's. Its end gives the connection back.
type body struct {
	conn     *conn
	stop     func() bool // ends the watch over the context
	reader   io.Reader   // nil: empty, or at its end
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
	// A watch that has begun may set the deadline at any time from now on: during another call, if there could be one.
	if watched := b.stop(); !watched || !b.reusable || c.in.Buffered() > 0 {
		c.close()
		return
	}
	c.transport.put(c)
}
