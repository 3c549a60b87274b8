package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Where this reader takes an answer and would use its connection again, net/http reads the same answer and body from
// the same bytes, and leaves the same rest.
func FuzzReadAnswer(f *testing.F) {
	for _, seed := range []string{
		good, good + good, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\ngood\r\n0\r\nX: y\r\n\r\nrest",
		"HTTP/1.0 200 OK\r\n\r\ngood", "HTTP/1.1 204\r\n\r\n", "HTTP/1.1 103 x\r\nA: b\r\n\r\n" + good,
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 4\nX: a\n b\n\ngood", "HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := bufio.NewReader(bytes.NewReader(raw))
		a, err := readAnswer(in)
		if err != nil {
			return
		}
		var text []byte
		if a.body != nil {
			if text, err = io.ReadAll(a.body); err != nil {
				return
			}
		}
		if !a.reusable {
			return
		}
		rest, _ := io.ReadAll(in)
		other := bufio.NewReader(bytes.NewReader(raw))
		var resp *http.Response
		for resp == nil || resp.StatusCode < 200 {
			if resp, err = http.ReadResponse(other, &http.Request{Method: http.MethodGet}); err != nil {
				t.Fatalf("net/http does not read it: %v", err)
			}
		}
		defer resp.Body.Close()
		otherText, err := io.ReadAll(resp.Body)
		otherRest, _ := io.ReadAll(other)
		if err != nil || resp.StatusCode != a.status || !bytes.Equal(text, otherText) || !bytes.Equal(rest, otherRest) {
			t.Errorf("%d %q, then %q; net/http: %d %q, then %q, %v", a.status, text, rest, resp.StatusCode, otherText, otherRest,
				err)
		}
		if got := a.response(&http.Request{}); got.Close || strings.ContainsAny(got.Status, "\r\n") {
			t.Errorf("%+v", got)
		}
	})
}
