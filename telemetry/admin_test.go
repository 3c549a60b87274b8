package telemetry

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// Without the token of this moment there is nothing, neither index nor profiles.
func TestToken(t *testing.T) {
	var token atomic.Value
	token.Store("0123456789abcdef")
	f := &fakes{budget: paused(1), token: func() string { return token.Load().(string) }}
	serve(t, f)
	for name, test := range map[string]struct {
		header string
		status int
	}{
		"missing": {"", 401}, "wrong": {"Bearer 0123456789abcdeF", 401}, "shorter": {"Bearer 0123456789abcde", 401},
		"longer": {"Bearer 0123456789abcdef0", 401}, "empty": {"Bearer ", 401}, "no scheme": {"0123456789abcdef", 401},
		"another scheme": {"Basic 0123456789abcdef", 401}, "two": {"Bearer 0123456789abcdef x", 401},
		"right": {"Bearer 0123456789abcdef", 200}, "right, in lower case": {"bearer 0123456789abcdef", 200},
	} {
		headers := map[string]string{}
		if test.header != "" {
			headers["Authorization"] = test.header
		}
		for path, verb := range map[string]string{"/": "GET", "/debug/pprof/": "GET", "/resume": "POST"} {
			resp, body := f.answer(t, f.admin, verb, path, headers)
			if resp.StatusCode != test.status || strings.Contains(body, "0123456789") ||
				(resp.Header.Get("WWW-Authenticate") == "") != (test.status == 200) {
				t.Errorf("%s: %s %d %s", name, path, resp.StatusCode, body)
			}
		}
	}
	if len(f.resumers) != 2 {
		t.Errorf("resumed by %v", f.resumers)
	}
	// It is another one from now on.
	token.Store("fedcba9876543210")
	for header, status := range map[string]int{"Bearer 0123456789abcdef": 401, "Bearer fedcba9876543210": 200} {
		if code, _ := f.askAt(t, f.admin, "POST", "/resume", map[string]string{"Authorization": header}); code != status {
			t.Errorf("after the rotation %s: %d", header, code)
		}
	}
	for _, path := range tells { // which ask for none
		if code, _ := f.askAt(t, f.address, "GET", path, nil); code == 401 {
			t.Errorf("%s asks for a token", path)
		}
	}
}

// pipes is a listener whose connections are made in memory, so that its time can be the test's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial() net.Conn {
	client, server := net.Pipe()
	p <- server
	return client
}

// Clients that send a byte now and then, or read none of the answer, are cut off, and hold up no other meanwhile.
func TestSlowClientsAreCutOff(t *testing.T) {
	for name, slow := range map[string]struct {
		client func(conn net.Conn) // until it is cut off
		within time.Duration
	}{
		"says nothing": {func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, headerTimeout},
		"header by header": {func(conn net.Conn) {
			text := "GET /readyz HTTP/1.1\r\nHost: localhost\r\n"
			for {
				if _, err := io.WriteString(conn, text); err != nil {
					return
				}
				text = "X: y\r\n"
				<-time.After(time.Second)
			}
		}, headerTimeout + time.Second},
		"a body without end": {func(conn net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			_, _ = io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
			for {
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}, readTimeout + time.Second},
		"reads nothing": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			<-time.After(writeTimeout + time.Second) // and the write has failed by then
			_, _ = io.Copy(io.Discard, conn)
		}, writeTimeout + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux := http.NewServeMux()
				mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write(make([]byte, 1<<20))
				})
				mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
				mux.HandleFunc("/echo", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
				p := make(pipes)
				s := newServer(p, guard{Hosts{}, mux}, zerolog.Nop())
				served := make(chan error, 1)
				go func() { served <- s.Serve() }()
				began := time.Now()
				cut := make(chan time.Duration, 1)
				go func() {
					conn := p.dial()
					slow.client(conn)
					cut <- time.Since(began)
					_ = conn.Close()
				}()
				synctest.Wait()
				probe := p.dial()
				_, _ = io.WriteString(probe, "GET /readyz HTTP/1.1\r\nHost: 10.0.0.1:8080\r\nConnection: close\r\n\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(probe), nil)
				if err != nil || resp.StatusCode != 200 || time.Since(began) > time.Millisecond {
					t.Errorf("a probe beside it: %v %v after %v", resp, err, time.Since(began))
				}
				_ = probe.Close()
				if d := <-cut; d > slow.within {
					t.Errorf("cut off after %v, not within %v", d, slow.within)
				}
				if err := s.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Headers that are too many or too long are refused before they are read.
func TestHeadersAreBounded(t *testing.T) {
	f := &fakes{}
	serve(t, f)
	code, _ := f.askAt(t, f.address, "GET", "/readyz", map[string]string{"X-Long": strings.Repeat("a", 2*maxHeaders)})
	if code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", code)
	}
}
