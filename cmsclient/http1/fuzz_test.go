package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// Where this reader takes an answer and would use its connection again, net/http reads the same answer and body from
// the same bytes, and leaves the same rest; and it does not matter in which pieces they come.
func FuzzReadAnswer(f *testing.F) {
	for _, seed := range []string{
		good, good + good, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\ngood\r\n0\r\nX: y\r\n\r\nrest",
		"HTTP/1.0 200 OK\r\n\r\ngood", "HTTP/1.1 204\r\n\r\n", "HTTP/1.1 103 x\r\nA: b\r\n\r\n" + good,
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nx-a: \t1\t \r\nX-A:2\r\nX-B:\r\nContent-Length: 4\r\n\r\ngood",
		"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 4\nX: a\n b\n\ngood", "HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := bufio.NewReader(bytes.NewReader(raw))
		var a answer
		err := a.read(in)
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
		slow := usedAnswer(t)
		if err := slow.read(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(raw)))); err != nil ||
			slow.status != a.status || !reflect.DeepEqual(slow.header, a.header) {
			t.Errorf("in pieces: %+v, %v; as a whole: %+v", slow, err, a)
		}
		again := usedAnswer(t)
		_ = again.read(bufio.NewReader(bytes.NewReader(raw))) // so that the next one has the same names
		if err := again.read(bufio.NewReader(bytes.NewReader(raw))); err != nil || again.status != a.status ||
			again.length != a.length || !reflect.DeepEqual(again.header, a.header) {
			t.Errorf("in what has been used before: %+v, %v; for the first time: %+v", again, err, a)
		}
		if got := a.response(); got.Close || strings.ContainsAny(got.Status, "\r\n") {
			t.Errorf("%+v", got)
		}
	})
}

// usedAnswer has been read into before.
func usedAnswer(t *testing.T) *answer {
	a := &answer{}
	for _, text := range []string{
		"HTTP/1.0 503 No\r\nX-A: of another\r\nTransfer-Encoding:\r\nContent-Length: 7\r\n\r\n", // framed in two ways
		"HTTP/1.1 200 OK\r\nX-A: of another\r\nx-a: 2\r\nno field\r\n\r\n",
	} {
		if err := a.read(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Fatalf("%q is read", text)
		}
	}
	return a
}
