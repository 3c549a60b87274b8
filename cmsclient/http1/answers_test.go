package http1

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

// What comes back for an answer, and whether its connection is used again. A connection with anything unexpected on it
// never is.
func TestAnswers(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		raw   string
		text  string // the body
		fails string // or a part of the error
		again bool   // the connection is used again
		close bool   // the server closes it after the answer
	}{
		"length": {raw: good, text: "good", again: true},
		"empty":  {raw: head + "Content-Length: 0\r\n\r\n", again: true},
		"chunks": {raw: head + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\ngo\r\n2\r\nod\r\n0\r\n\r\n",
			text: "good", again: true},
		"chunks, other case": {raw: head + "Transfer-Encoding: Chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", text: "good",
			again: true},
		"chunks and a trailer": {raw: head + "Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nX: y\r\n\r\n",
			text: "good", again: true},
		"no reason":      {raw: "HTTP/1.1 200\r\nContent-Length: 4\r\n\r\ngood", text: "good", again: true},
		"bare line ends": {raw: "HTTP/1.1 200 OK\nContent-Length: 4\n\ngood", text: "good", again: true},
		"interim answers": {raw: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + good,
			text: "good", again: true},
		"204":               {raw: "HTTP/1.1 204 No Content\r\n\r\n", again: true},
		"304 with a length": {raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", again: true},
		"same length twice": {raw: head + "Content-Length: 4\r\nContent-Length: 4\r\n\r\ngood", text: "good",
			again: true},
		"to the end":        {raw: head + "\r\ngood", text: "good", close: true},
		"1.0 to the end":    {raw: "HTTP/1.0 200 OK\r\n\r\ngood", text: "good", close: true},
		"1.0 with a length": {raw: "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ngood", text: "good"},
		"says it closes": {raw: head + "Connection: Keep-Alive, Close\r\nContent-Length: 4\r\n\r\ngood",
			text: "good"},
		"more than its length": {raw: good + "!", text: "good"},
		"two answers":          {raw: good + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", text: "good"},
		"two answers, chunked": {raw: head + "Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n" + good,
			text: "good"},
		"204 with a body": {raw: "HTTP/1.1 204 No Content\r\n\r\nbody"},
		"304 with a body": {raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody"},
		"length and chunks": {raw: head +
			"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", fails: "in two ways"},
		"two lengths":         {raw: head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\ngood!", fails: "in two ways"},
		"list of lengths":     {raw: head + "Content-Length: 4, 4\r\n\r\ngood", fails: "no length"},
		"length with a sign":  {raw: head + "Content-Length: +4\r\n\r\ngood", fails: "no length"},
		"negative length":     {raw: head + "Content-Length: -4\r\n\r\ngood", fails: "no length"},
		"hexadecimal length":  {raw: head + "Content-Length: 0x4\r\n\r\ngood", fails: "no length"},
		"length of 20 digits": {raw: head + "Content-Length: 99999999999999999999\r\n\r\ngood", fails: "no length"},
		"empty length":        {raw: head + "Content-Length:\r\n\r\ngood", fails: "no length"},
		"two codings": {raw: head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
			fails: "transfer coding"},
		"chunked twice": {raw: head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			fails: "transfer coding"},
		"identity":           {raw: head + "Transfer-Encoding: identity\r\n\r\ngood", fails: "transfer coding"},
		"chunked with a tab": {raw: head + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", fails: ""},
		"1.0 with chunks": {raw: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			fails: "transfer coding"},
		"204 with chunks": {raw: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			fails: "in two ways"},
		"space before the colon": {raw: head + "Content-Length : 4\r\n\r\ngood", fails: "malformed"},
		"line without a colon":   {raw: head + "Content-Length\r\n\r\ngood", fails: "malformed"},
		"begins with a fold":     {raw: head + " Content-Length: 4\r\n\r\ngood", fails: "malformed"},
		"NUL in a value":         {raw: head + "X: \x00\r\nContent-Length: 4\r\n\r\ngood", fails: "malformed"},
		"101": {raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
			fails: "another protocol"},
		"interim for ever":        {raw: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20), fails: "interim"},
		"another version":         {raw: "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\ngood", fails: "no HTTP/1"},
		"a status of two digits":  {raw: "HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\ngood", fails: "no HTTP/1"},
		"a status of four digits": {raw: "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\ngood", fails: "no HTTP/1"},
		"a status with a sign":    {raw: "HTTP/1.1 +20 OK\r\nContent-Length: 4\r\n\r\ngood", fails: "no HTTP/1"},
		"no HTTP":                 {raw: "220 mail.example ESMTP\r\n\r\n", fails: "no HTTP/1"},
		"line end before it":      {raw: "\r\n" + good, fails: "no HTTP/1"},
		"header too large": {raw: head + "X: " + strings.Repeat("x", 9<<10) + "\r\n\r\n",
			fails: "larger than it may be"},
		"many interim headers": {raw: strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 1<<10)+
			"\r\n\r\n", 9), fails: "larger"},
		"length not reached": {raw: head + "Content-Length: 9\r\n\r\ngood", fails: "unexpected EOF", close: true},
		"chunk not reached": {raw: head + "Transfer-Encoding: chunked\r\n\r\n9\r\ngood", fails: "unexpected EOF",
			close: true},
		"no last chunk": {raw: head + "Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n", fails: "unexpected EOF",
			close: true},
		"no trailer's end": {raw: head + "Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n",
			fails: "unexpected EOF", close: true},
		"chunk size is no number": {raw: head + "Transfer-Encoding: chunked\r\n\r\nx\r\ngood\r\n0\r\n\r\n",
			fails: "invalid byte in chunk"},
		"chunk longer than said": {raw: head + "Transfer-Encoding: chunked\r\n\r\n2\r\ngood\r\n0\r\n\r\n",
			fails: "malformed chunked"},
		"trailer for ever": {raw: head + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", 100),
			fails: "trailer"},
		"cut in the header": {raw: "HTTP/1.1 200 OK\r\nContent-", fails: "missing colon", close: true},
		"cut at once":       {raw: "", fails: "EOF", close: true},
	} {
		for _, secured := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", TLS"}[secured], func(t *testing.T) {
				s := serve(t, secured, func(conn net.Conn, r *http.Request, _ int) bool {
					if r.URL.Path == "/first" {
						return write(conn, c.raw) && !c.close
					}
					return write(conn, good)
				})
				transport := s.transport(t, nil)
				_, text, err := get(t.Context(), t, transport, s.url+"first")
				switch failed := c.fails != "" || name == "chunked with a tab"; {
				case failed && (err == nil || !strings.Contains(err.Error(), c.fails)):
					t.Errorf("got %q, %v; want an error with %q", text, err, c.fails)
				case !failed && (err != nil || text != c.text):
					t.Errorf("got %q, %v; want %q", text, err, c.text)
				}
				if _, text, err := get(t.Context(), t, transport, s.url+"second"); err != nil || text != "good" {
					t.Errorf("the next call: %q, %v", text, err)
				}
				if again := s.opened.Load() == 1; again != c.again {
					t.Errorf("%d connections; used again: %t, want %t", s.opened.Load(), again, c.again)
				}
			})
		}
	}
}
