package http1

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// conn is one connection. It belongs to one call at a time, or to the idle ones.
type conn struct {
	transport *Transport
	tcp       net.Conn // for deadlines, and to look whether something has come
	raw       syscall.RawConn
	wire      net.Conn      // tcp, or TLS over it
	records   []*records    // below each TLS
	in        *bufio.Reader // nil but from when an answer begins to its body's end
	header    int64         // how many bytes of an answer's header may still come
	absolute  bool          // to a proxy that forwards: the request names the server
	proxyAuth string        // its Proxy-Authorization
	reused    bool
	since     time.Time // idle since

	done    <-chan struct{} // of the context that was watched last
	unwatch func() bool     // ends the watch over it; nil: there is none
	stays   bool            // it goes on when the call has ended

	talk    func(fd uintptr) bool // looks whether something has come, sends, and says whether it may be read
	sent    bool
	sendErr error
	out     *request // nil but while it is sent
}

// The buffers of calls are used again by others: thousands of calls may wait for their answers at the same time, for
// which they need none.
var (
	readers  = sync.Pool{New: func() any { return bufio.NewReader(nil) }}
	requests = sync.Pool{New: func() any { return &request{} }}
)

// request is one as it is sent.
type request struct {
	bytes []byte
	names []string // of its headers
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

func (c *conn) close() {
	_ = c.wire.Close() // TLS says goodbye; nothing can be done about an error
	c.endWatch()
}

// watch has ctx's end move the deadline into the past, which ends whatever waits for the network. It costs more than
// all else here but the system calls, and nearly all calls of a program have the same context: from the second of them
// on, a connection keeps its watch from call to call. It is false where the last watch has begun to act, or may: that
// could hit any later call.
func (c *conn) watch(ctx context.Context) bool {
	done := ctx.Done()
	if c.unwatch != nil && c.done == done {
		return true
	}
	if !c.endWatch() {
		return false
	}
	c.stays = done != nil && c.done == done // c.done keeps the channel alive: no other one has its address
	c.done = done
	c.unwatch = context.AfterFunc(ctx, func() { _ = c.tcp.SetDeadline(longAgo) })
	return true
}

// endWatch is false where it has begun to act.
func (c *conn) endWatch() bool {
	ended := c.unwatch == nil || c.unwatch()
	c.unwatch = nil
	return ended
}

// untouched says that an idle connection is as its last call left it: open, and nothing has come on it. What the kernel
// knows of that may be asked for later, by sendAndWait.
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
var longAgo = time.Unix(1, 0)

var errHeaderValue = errors.New("http1: a header of the request has something that a header cannot have")

// framing are headers that say where a request ends, or whose it is: those are this package's.
var framing = map[string]bool{
	"Connection": true, "Content-Length": true, "Host": true, "Trailer": true, "Transfer-Encoding": true,
}

// encode writes the request (RFC 9112 §3).
func (c *conn) encode(to *request, r *http.Request) error {
	out := to.bytes[:0]
	out = append(out, "GET "...)
	if c.absolute {
		out = append(append(append(out, r.URL.Scheme...), "://"...), r.URL.Host...)
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	before := len(out)
	out = appendTarget(out, r.URL)
	if !httpguts.ValidHostHeader(host) || !visible(out[before:]) {
		return errHeaderValue
	}
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(append(out, host...), "\r\n"...)
	to.names = to.names[:0]
	for name := range r.Header {
		to.names = append(to.names, name)
	}
	slices.Sort(to.names) // a call is the same bytes every time
	for _, name := range to.names {
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
	to.bytes = out
	return nil
}

// appendTarget appends what u.RequestURI returns (RFC 9112 §3.2.1).
func appendTarget(out []byte, u *url.URL) []byte {
	if u.Opaque != "" || u.ForceQuery {
		return append(out, u.RequestURI()...)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	out = append(out, path...)
	if u.RawQuery != "" {
		out = append(append(out, '?'), u.RawQuery...)
	}
	return out
}

// visible says that text ends no line, and no word of one.
func visible(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
