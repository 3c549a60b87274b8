package cmsclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/cmsclient/http1"
	"github.com/balanceq/balanceq/internal/poison"
)

const (
	maxCorrelationID = 128 // characters, of the client and of the CMS
	mediaType        = "application/json;charset=utf-8"
)

// sharedHeaders are the header values that never change. All requests share them; a RoundTripper must not write to
// them.
type sharedHeaders struct{ accept, acceptEncoding, contentType, userAgent []string }

func newSharedHeaders(userAgent string) sharedHeaders {
	return sharedHeaders{[]string{mediaType}, []string{"identity"}, []string{mediaType}, []string{userAgent}}
}

func requestTemplate(host string) http.Request {
	return http.Request{Method: http.MethodGet, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

// outgoing is a request and what it consists of. A map of headers for each call was a fifth of all that a record
// allocates, so a pool keeps them: our own transport keeps nothing of a request that it has ready.
type outgoing struct {
	request     http.Request
	url         url.URL
	header      http.Header
	correlation [1]string
	traceparent [1]string
}

func (c *Client) newOutgoing() *outgoing {
	o := &outgoing{}
	o.header = http.Header{
		"Accept":          c.shared.accept,
		"Accept-Encoding": c.shared.acceptEncoding,
		"Content-Type":    c.shared.contentType,
		"Correlation-Id":  o.correlation[:],
		"User-Agent":      c.shared.userAgent,
	}
	return o
}

// request builds the GET in o. It goes to RoundTrip directly: http.Client would add redirects and cookies, which are
// not wanted. The CMS asks for the Content-Type on a GET, too (API basics).
func (c *Client) request(ctx context.Context, q *Query, o *outgoing) *http.Request {
	target := &o.url
	*target = c.base
	var digits [20]byte
	id := strconv.AppendInt(digits[:0], q.ContractID, 10)
	target.Path += "/contracts/" + string(id) + "/balances"
	if target.RawPath != "" {
		target.RawPath += "/contracts/" + string(id) + "/balances"
	}
	target.RawQuery = balanceCodes(q.Codes)

	o.request = *c.template.WithContext(ctx)
	r := &o.request
	r.URL, r.Header = target, o.header
	switch {
	case q.Traceparent != "":
		r.Header["Traceparent"] = o.traceparent[:]
	case o.traceparent[0] != "": // of the request before
		delete(r.Header, "Traceparent")
	}
	o.correlation[0], o.traceparent[0] = q.CorrelationID, q.Traceparent
	return r
}

// balanceCodes returns the query. The comma between the codes is written %2C: Mastercard's gateway verifies signatures
// against the text on the wire, and this is the form that all of its clients agree on. For the same reason the codes
// are escaped as RFC 3986 says (a space is %20, not +).
func balanceCodes(codes []string) string {
	size := len("balance_codes=")
	for _, code := range codes {
		size += len(code) + len("%2C")
	}
	var text strings.Builder
	text.Grow(size)
	text.WriteString("balance_codes=")
	for i, code := range codes {
		if i > 0 {
			text.WriteString("%2C")
		}
		text.WriteString(strings.ReplaceAll(url.QueryEscape(code), "+", "%20"))
	}
	return text.String()
}

// cmsCorrelationID returns Mastercard's own id of the call. It is opaque (not always a UUID); odd ones are dropped,
// since it goes into logs and records.
func cmsCorrelationID(h http.Header) string {
	if id := h.Get("X-Mc-Correlation-Id"); opaqueID(id) {
		return id
	}
	return ""
}

// opaqueID reports whether text is letters, digits and what holds them together: no URL, consumer key or Authorization
// is.
func opaqueID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return 1 <= len(id) && len(id) <= maxCorrelationID
}

// errTooLarge says that a body is over MaxResponseBytes.
var errTooLarge = errors.New("the body is larger than an answer may be")

// pooledBody is the largest buffer worth keeping.
const pooledBody = 64 << 10

// body is a response body in memory with its decoder; a pool keeps them.
type body struct {
	buffer  bytes.Buffer
	limited io.LimitedReader
	json    *jsontext.Decoder
	room    http1.Room // for the answer's header
}

func newBody() *body {
	b := &body{}
	b.json = jsontext.NewDecoder(&b.buffer)
	return b
}

// read takes the body to its end, so that the connection can be used again, or to one byte more than the limit.
func (b *body) read(r io.Reader, limit int64) error {
	b.limited = io.LimitedReader{R: r, N: limit + 1}
	n, err := b.buffer.ReadFrom(&b.limited)
	if err == nil && n > limit {
		return errTooLarge
	}
	return err
}

// decoder returns the decoder, at the body's beginning.
func (b *body) decoder(opts ...jsontext.Options) *jsontext.Decoder {
	b.json.Reset(&b.buffer, opts...)
	return b.json
}

// reset empties b and reports whether it is worth keeping.
func (b *body) reset() bool {
	b.limited.R = nil
	b.buffer.Reset()
	poison.Bytes(b.buffer.AvailableBuffer())
	return b.buffer.Cap() <= pooledBody
}

// closeDelimited reports whether the end of the connection was the end of the body, so that it is not known whether all
// of it came (RFC 9112 §6.3).
func closeDelimited(resp *http.Response) bool {
	return resp.ContentLength < 0 && len(resp.TransferEncoding) == 0
}

// endsEarly reports whether JSON text stops before its value is complete.
func endsEarly(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
