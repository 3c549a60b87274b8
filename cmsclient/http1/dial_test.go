package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tunnel is a proxy: it reads what a client asks of it, connects to the server, and copies. begin returns the address
// asked for, or "" when the connection is to be closed.
func tunnel(t *testing.T, wrap func(net.Listener) net.Listener,
	begin func(in *bufio.Reader, out io.Writer) (to string)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener = wrap(listener)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				in := bufio.NewReader(conn)
				to := begin(in, conn)
				if to == "" {
					return
				}
				var dialer net.Dialer
				server, err := dialer.DialContext(ctx, "tcp", to)
				if err != nil {
					return
				}
				defer server.Close()
				wg.Go(func() {
					_, _ = io.Copy(conn, server)
					conn.Close()
				})
				_, _ = io.Copy(server, in)
			})
		}
	})
	t.Cleanup(func() {
		stop()
		listener.Close()
		wg.Wait()
	})
	return address
}

func asIs(l net.Listener) net.Listener { return l }

// socks5 is the server's side of RFC 1928 and 1929, for one user, names and IPv4 addresses.
func socks5(user, password string) func(in *bufio.Reader, out io.Writer) string {
	return func(in *bufio.Reader, out io.Writer) string {
		read := func(n int) []byte {
			b := make([]byte, n)
			_, _ = io.ReadFull(in, b)
			return b
		}
		read(int(read(2)[1]))
		if user != "" {
			_, _ = out.Write([]byte{5, 2})
			read(1)
			gotUser := string(read(int(read(1)[0])))
			if gotPassword := string(read(int(read(1)[0]))); gotUser != user || gotPassword != password {
				_, _ = out.Write([]byte{1, 1})
				return ""
			}
			_, _ = out.Write([]byte{1, 0})
		} else {
			_, _ = out.Write([]byte{5, 0})
		}
		var host string
		if kind := read(4)[3]; kind == 3 {
			host = string(read(int(read(1)[0])))
		} else {
			host = net.IP(read(4)).String()
		}
		port := read(2)
		_, _ = out.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		return fmt.Sprintf("%s:%d", host, int(port[0])<<8+int(port[1]))
	}
}

// connect is a proxy that tunnels; behind is what it sends behind its answer.
func connect(status, behind string) func(in *bufio.Reader, out io.Writer) string {
	return func(in *bufio.Reader, out io.Writer) string {
		r, err := http.ReadRequest(in)
		if err != nil || r.Method != http.MethodConnect {
			return ""
		}
		_, _ = io.WriteString(out, "HTTP/1.1 "+status+"\r\n\r\n"+behind)
		return r.Host
	}
}

func TestProxies(t *testing.T) {
	for name, c := range map[string]struct {
		secured bool // the server behind the proxy
		scheme  string
		user    *url.Userinfo
		wrap    bool // the proxy is spoken to by TLS
		begin   func(in *bufio.Reader, out io.Writer) string
		fails   string
	}{
		"socks5":          {scheme: "socks5", begin: socks5("", "")},
		"socks5 to https": {secured: true, scheme: "socks5", begin: socks5("", "")},
		"socks5, login": {scheme: "socks5", user: url.UserPassword("u", "p"),
			begin: socks5("u", "p")},
		"socks5, wrong login": {scheme: "socks5", user: url.UserPassword("u", "s3cret"),
			begin: socks5("u", "p"), fails: "socks"},
		"http to https": {secured: true, scheme: "http", begin: connect("200 OK", "")},
		"http, interim answer": {secured: true, scheme: "http",
			begin: connect("103 Early Hints\r\n\r\nHTTP/1.1 200 OK", "")},
		"https to https": {secured: true, scheme: "https", wrap: true, begin: connect("200 OK", "")},
		"http, more than an answer": {secured: true, scheme: "http", begin: connect("200 OK", "x"),
			fails: "behind its answer"},
		"http, refused":  {secured: true, scheme: "http", begin: connect("403 Forbidden", ""), fails: "status 403"},
		"another scheme": {scheme: "gopher", begin: connect("200 OK", ""), fails: "http, https or socks5"},
	} {
		t.Run(name, func(t *testing.T) {
			// A server for each case: one that fails leaves a connection that may be accepted only when the next has begun.
			s := serve(t, c.secured, func(conn net.Conn, _ *http.Request, _ int) bool { return write(conn, good) })
			wrap := asIs
			if c.wrap {
				wrap = func(l net.Listener) net.Listener { return tls.NewListener(l, s.serverTLS) }
			}
			by := &url.URL{Scheme: c.scheme, Host: tunnel(t, wrap, c.begin), User: c.user}
			transport := s.transport(t, func(cfg *Config) {
				cfg.TLS = s.tls
				cfg.Proxy = func(*http.Request) (*url.URL, error) { return by, nil }
			})
			for range 2 {
				_, text, err := get(t.Context(), t, transport, s.url)
				if c.fails == "" && (err != nil || text != "good") {
					t.Errorf("%q, %v", text, err)
				}
				if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails) ||
					strings.Contains(err.Error(), "s3cret")) {
					t.Errorf("%v, want %q", err, c.fails)
				}
			}
			if n := s.opened.Load(); c.fails == "" && n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A peer that accepts a connection and says nothing holds a call up for the time to connect, and no longer.
func TestSilentWhileConnecting(t *testing.T) {
	silent := tunnel(t, asIs, func(in *bufio.Reader, _ io.Writer) string {
		_, _ = in.ReadByte()
		_, _ = io.Copy(io.Discard, in)
		return ""
	})
	for name, c := range map[string]struct {
		url   string
		proxy string
	}{
		"handshake":    {url: "https://" + silent + "/"},
		"CONNECT":      {url: "https://cms.test/", proxy: "http"},
		"socks5":       {url: "http://cms.test/", proxy: "socks5"},
		"TLS to proxy": {url: "https://cms.test/", proxy: "https"},
	} {
		t.Run(name, func(t *testing.T) {
			transport := New(Config{ConnectTime: 20 * time.Millisecond, IdleTime: time.Minute, MaxHeader: 1 << 10})
			if c.proxy != "" {
				transport.cfg.Proxy = func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: c.proxy, Host: silent}, nil }
			}
			_, _, err := get(t.Context(), t, transport, c.url)
			if netErr, ok := errors.AsType[net.Error](err); !ok || !netErr.Timeout() {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Calls that begin together connect a few at a time.
func TestConnectingTakesTurns(t *testing.T) {
	s := serve(t, false, func(conn net.Conn, _ *http.Request, _ int) bool { return write(conn, good) })
	var connect atomic.Int32
	pair := make(chan struct{})
	transport := s.transport(t, func(cfg *Config) {
		cfg.Proxy = func(*http.Request) (*url.URL, error) { // asked first of all when a call connects
			if n := connect.Add(1); n > 2 {
				t.Errorf("%d connect at the same time", n)
			}
			defer connect.Add(-1)
			select { // each waits for another one
			case pair <- struct{}{}:
			case <-pair:
			}
			return nil, nil
		}
	})
	transport.connecting = make(chan struct{}, 2)
	var calls sync.WaitGroup
	for range 6 {
		calls.Go(func() {
			if _, _, err := get(OnNewConnection(t.Context()), t, transport, s.url); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
}

// A call that waits for its turn to connect ends with its context.
func TestTurnIsNotWaitedForInVain(t *testing.T) {
	transport := New(Config{ConnectTime: time.Minute, IdleTime: time.Minute, MaxHeader: 8 << 10})
	transport.connecting = nil // there is never room
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := get(ctx, t, transport, "http://127.0.0.1:1/"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
