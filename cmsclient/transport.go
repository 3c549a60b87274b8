package cmsclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxCorrelationID = 128 // characters, of the client and of the CMS
	mediaType        = "application/json;charset=utf-8"
)

// newRoundTripper returns what the client sends through: cfg.Transport or connections of its own, under the signature.
func newRoundTripper(cfg Config) http.RoundTripper {
	wire := cfg.Transport
	if wire == nil {
		wire = newRotation(func() pool { return newPool(cfg) })
	}
	return &sending{auth: cfg.Auth, next: wire, foreign: cfg.Transport != nil}
}

// sharedHeaders are the header values that never change. All requests share them; a RoundTripper must not write to
// them.
type sharedHeaders struct{ accept, acceptEncoding, contentType, userAgent []string }

func newSharedHeaders(userAgent string) sharedHeaders {
	return sharedHeaders{[]string{mediaType}, []string{"identity"}, []string{mediaType}, []string{userAgent}}
}

func requestTemplate(host string) http.Request {
	return http.Request{Method: http.MethodGet, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

// request builds the GET. It goes to RoundTrip directly: http.Client would add redirects and cookies, which are not
// wanted. The CMS asks for the Content-Type on a GET, too (API basics).
func (c *Client) request(ctx context.Context, q Query) *http.Request {
	target := c.base
	id := strconv.FormatInt(q.ContractID, 10)
	target.Path += "/contracts/" + id + "/balances"
	if target.RawPath != "" {
		target.RawPath += "/contracts/" + id + "/balances"
	}
	target.RawQuery = balanceCodes(q.Codes)

	r := c.template.WithContext(ctx)
	r.URL = &target
	r.Header = http.Header{
		"Accept":          c.shared.accept,
		"Accept-Encoding": c.shared.acceptEncoding,
		"Content-Type":    c.shared.contentType,
		"Correlation-Id":  {q.CorrelationID},
		"User-Agent":      c.shared.userAgent,
	}
	return r
}

// balanceCodes returns the query. The comma between the codes is written %2C: Mastercard's gateway verifies signatures
// against the text on the wire, and this is the form that all of its clients agree on. For the same reason the codes
// are escaped as RFC 3986 says (a space is %20, not +).
func balanceCodes(codes []string) string {
	return "balance_codes=" + strings.ReplaceAll(url.QueryEscape(strings.Join(codes, ",")), "+", "%20")
}

// opaqueID is letters, digits and what holds them together: no URL, consumer key or Authorization is.
var opaqueID = regexp.MustCompile(`^[0-9A-Za-z._-]{1,128}$`)

// cmsCorrelationID returns Mastercard's own id of the call. It is opaque (not always a UUID); odd ones are dropped,
// since it goes into logs and records.
func cmsCorrelationID(h http.Header) string {
	if id := h.Get("X-Mc-Correlation-Id"); opaqueID.MatchString(id) {
		return id
	}
	return ""
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
