package http1

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// gathering is the server's end of an inner connection: what it writes is held, to be sent as one record of the outer
// one.
type gathering struct {
	net.Conn
	in   io.Reader
	held []byte
	hold bool
}

func (g *gathering) Read(p []byte) (int, error) { return g.in.Read(p) }

func (g *gathering) Write(p []byte) (int, error) {
	if g.hold {
		g.held = append(g.held, p...)
		return len(p), nil
	}
	return g.Conn.Write(p)
}

// In TLS within TLS, a part of an inner record may lie decrypted in the outer layer: an unasked answer that comes in
// the same outer record as the answer before it, and not whole. Its rest comes with the next call.
func TestUnaskedAnswerWithinTLS(t *testing.T) {
	certificates := serve(t, true, func(net.Conn, *http.Request, int) bool { return true })
	cfg := certificates.serverTLS.Clone()
	cfg.DynamicRecordSizingDisabled = true
	const size = 4096 - recordHeader - 16 - 1 // of the answer: an inner record of TLS 1.3 of exactly one read
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
		size-len("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"))
	first := head + strings.Repeat("a", size-len(head))
	address := tunnel(t, asIs, func(in *bufio.Reader, out io.Writer) string {
		raw, ok := out.(net.Conn)
		if !ok {
			return ""
		}
		outer := tls.Server(&gathering{Conn: raw, in: in}, cfg)
		outerIn := bufio.NewReader(outer)
		if _, err := http.ReadRequest(outerIn); err != nil { // CONNECT
			return ""
		}
		_, _ = io.WriteString(outer, "HTTP/1.1 200 OK\r\n\r\n")
		g := &gathering{Conn: outer, in: outerIn}
		inner := tls.Server(g, cfg)
		innerIn := bufio.NewReader(inner)
		r, err := http.ReadRequest(innerIn)
		if err != nil {
			return ""
		}
		if r.URL.Path == "/two" {
			_, _ = io.WriteString(inner, good)
			return ""
		}
		g.hold = true
		_, _ = io.WriteString(inner, first)
		if len(g.held) != 4096 {
			t.Errorf("the inner record has %d bytes", len(g.held))
		}
		_, _ = io.WriteString(inner, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
		cut := len(g.held) - 20
		g.hold = false
		_, _ = outer.Write(g.held[:cut])
		if _, err := http.ReadRequest(innerIn); err == nil {
			_, _ = outer.Write(g.held[cut:])
			_, _ = io.WriteString(inner, good)
		}
		return ""
	})
	client := certificates.tls.Clone()
	client.InsecureSkipVerify = true // the names are not what this is about
	transport := New(Config{TLS: client, ConnectTime: 10 * time.Second, IdleTime: time.Minute, MaxHeader: 8 << 10,
		Proxy: func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "https", Host: address}, nil }})
	t.Cleanup(transport.CloseIdleConnections)
	if _, text, err := get(t.Context(), t, transport, "https://cms.test/one"); err != nil ||
		len(text) != len(first)-len(head) {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if _, text, err := get(t.Context(), t, transport, "https://cms.test/two"); err != nil || text != "good" {
		t.Errorf("%q, %v", text, err)
	}
}
