package cmsclient

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Calls ask for Accept-Encoding: identity (RFC 9110 §12.5.3): answers are small and may be encrypted. Something on the
// way may code them all the same, and write a byte order mark before them, which JSON does not allow and lets readers
// ignore (RFC 8259 §8.1). What is common and simple is read; the rest is named as what it is, and no request is blamed
// for it.

const byteOrderMark = "\xef\xbb\xbf"

// plain replaces a coded body by what is in it and drops a byte order mark. What is inflated is at most limit bytes.
func (b *body) plain(h http.Header, limit int64) error {
	if coding := codingOf(h); coding != "" && b.buffer.Len() > 0 {
		if err := b.inflate(coding, limit); err != nil {
			return err
		}
	}
	text := b.buffer.Bytes()
	switch {
	case bytes.HasPrefix(text, []byte(byteOrderMark)):
		b.buffer.Next(len(byteOrderMark))
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return errors.New("the body is in UTF-16, not in UTF-8")
	}
	return nil
}

// codingOf returns the codings of a body, as sent and in lower case; "": none.
func codingOf(h http.Header) string {
	values := h["Content-Encoding"]
	if len(values) == 0 {
		return ""
	}
	var codings []string
	for _, coding := range strings.Split(strings.ToLower(strings.Join(values, ",")), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && coding != "identity" {
			codings = append(codings, coding)
		}
	}
	return strings.Join(codings, ", ")
}

func (b *body) inflate(coding string, limit int64) error {
	coded := bytes.Clone(b.buffer.Bytes()) // the buffer is filled while it is read
	var plain io.Reader
	var err error
	switch coding {
	case "gzip", "x-gzip":
		plain, err = gzip.NewReader(bytes.NewReader(coded))
	case "deflate":
		// zlib, as RFC 9110 §8.4.1.2 has it; some send what is in it alone.
		if plain, err = zlib.NewReader(bytes.NewReader(coded)); errors.Is(err, zlib.ErrHeader) {
			plain, err = flate.NewReader(bytes.NewReader(coded)), nil
		}
	default:
		return fmt.Errorf("the body is coded (Content-Encoding: %s) though calls ask for identity; "+
			"have what is on the way not code it",
			redact(coding, maxErrorName))
	}
	if err == nil {
		b.buffer.Reset()
		b.limited = io.LimitedReader{R: plain, N: limit + 1}
		_, err = b.buffer.ReadFrom(&b.limited)
	}
	switch {
	case err != nil:
		return fmt.Errorf("the body says Content-Encoding: %s and is not: %w", coding, err)
	case int64(b.buffer.Len()) > limit:
		return fmt.Errorf("inflated (Content-Encoding: %s), %w", coding, errTooLarge)
	}
	return nil
}

// coded translates an answer whose body cannot be read for its coding. Where the body decides, it could have said
// anything; elsewhere the status does.
func (c *Client) coded(resp *http.Response, err error) *Error {
	if resp.StatusCode/100 != 2 && !bodyDecides(resp.StatusCode) {
		return c.refusedWith(resp, cmsError{}, false, nil)
	}
	e := newError(Undecodable, resp)
	e.Err = err
	return e
}
