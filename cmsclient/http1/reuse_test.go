package http1

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// An answer that comes before it is asked for, while its connection is idle, reaches no call: in a record of TLS of its
// own, in a part of one, or in plain.
func TestUnaskedAnswers(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secured), func(t *testing.T) {
			sent := make(chan struct{})
			go1 := make(chan struct{})
			s := serve(t, secured, func(conn net.Conn, r *http.Request, _ int) bool {
				if r.URL.Path != "/first" {
					return write(conn, good)
				}
				ok := write(conn, good)
				<-go1
				ok = ok && write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
				close(sent)
				return ok
			})
			transport := s.transport(t, nil)
			if _, text, err := get(t.Context(), t, transport, s.url+"first"); err != nil || text != "good" {
				t.Fatalf("%q, %v", text, err)
			}
			close(go1)
			<-sent
			if _, text, err := get(t.Context(), t, transport, s.url+"second"); err != nil || text != "good" {
				t.Errorf("%q, %v", text, err)
			}
			if n := s.opened.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// What has come on a connection before its wait begins wakes no caller, and is seen all the same: here a server that
// takes a connection says why it will not serve, and then neither reads nor closes.
func TestWhatCameBeforeTheWait(t *testing.T) {
	for name, says := range map[string]string{
		"an answer": "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
		"the end":   "",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			var wg sync.WaitGroup
			defer wg.Wait()
			ended, end := context.WithCancel(t.Context())
			defer end()
			wg.Go(func() {
				conn, err := listener.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				if tcp, ok := conn.(*net.TCPConn); ok && says == "" {
					err = tcp.CloseWrite()
				} else {
					_, err = io.WriteString(conn, says)
				}
				if err != nil {
					t.Error(err)
				}
				<-ended.Done()
			})
			transport := New(Config{ConnectTime: 10 * time.Second, IdleTime: time.Minute, MaxHeader: 8 << 10})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			c, err := transport.connect(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			for nothing := true; nothing; <-time.After(time.Millisecond) {
				if err := c.raw.Control(func(fd uintptr) { nothing = empty(fd) }); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.prepare(t.Context(), r, time.Now().Add(10*time.Second)); err != nil {
				t.Fatal(err)
			}
			c.sendAndWait()
			resp, err := c.receive(&answer{})
			switch {
			case says == "" && !errors.Is(err, io.EOF):
				t.Errorf("%v, want the end of the stream", err)
			case says != "" && (err != nil || resp.StatusCode != http.StatusServiceUnavailable):
				t.Errorf("%+v, %v, want what it said", resp, err)
			}
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
}

// crypto/tls must not read ahead: a part of a record that it has would not be seen.
func TestRecordsAreGivenOneAtATime(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	record := func(n int) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(n)), make([]byte, n)...)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer far.Close()
		_, _ = far.Write(append(append(record(10), record(300)...), record(5)[:7]...))
	})
	r := newRecords(near)
	buf := make([]byte, 1024)
	for _, want := range []int{15, 305} {
		if n, err := io.ReadAtLeast(r, buf, want); n != want || err != nil || r.between() {
			t.Fatalf("%d bytes, %v, want %d; between %t", n, err, want, r.between())
		}
	}
	wg.Wait()
}

// Whatever a server does between answers, an answer is the one to the question or an error.
func TestNoAnswerReachesAnotherCall(t *testing.T) {
	const callers, calls = 8, 200
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secured), func(t *testing.T) {
			s := serve(t, secured, func(conn net.Conn, r *http.Request, nth int) bool {
				id := r.URL.Query().Get("id")
				answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id)
				switch len(id) * nth % 7 {
				case 0:
					return write(conn, answer+answer)
				case 1:
					return write(conn, answer+answer[:20])
				case 2:
					write(conn, answer)
					return false
				case 3:
					write(conn, answer[:len(answer)-1])
					return false
				case 4:
					return write(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"+answer)
				}
				return write(conn, answer)
			})
			transport := s.transport(t, nil)
			var wg sync.WaitGroup
			for caller := range callers {
				wg.Go(func() {
					for i := range calls {
						id := fmt.Sprintf("%d-%s", caller, strings.Repeat("x", i))
						if _, text, err := get(t.Context(), t, transport, s.url+"?id="+id); err == nil && text != id {
							t.Errorf("%q is the answer to %q", text, id)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// A caller that gives up, before the answer or in it, costs the connection, and others keep theirs.
func TestCancelled(t *testing.T) {
	for _, secured := range []bool{false, true} {
		for name, begin := range map[string]string{"no answer": "",
			"in the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, secured), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				s := serve(t, secured, func(conn net.Conn, r *http.Request, _ int) bool {
					if r.URL.Path == "/good" {
						return write(conn, good)
					}
					ok := write(conn, begin)
					cancel()
					return ok
				})
				transport := s.transport(t, nil)
				if _, _, err := get(t.Context(), t, transport, s.url+"good"); err != nil {
					t.Fatal(err)
				}
				if _, _, err := get(ctx, t, transport, s.url+"bad"); err == nil || begin == "" &&
					!errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				if _, text, err := get(t.Context(), t, transport, s.url+"good"); text != "good" || s.opened.Load() != 2 {
					t.Errorf("%q, %v, %d connections", text, err, s.opened.Load())
				}
			})
		}
	}
}

func TestStale(t *testing.T) {
	gone := make(chan struct{}, 1)
	for name, end := range map[string]func(net.Conn) bool{
		"closed": func(net.Conn) bool { return false },
		"reset": func(conn net.Conn) bool {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, false, func(conn net.Conn, r *http.Request, nth int) bool {
				if nth == 2 {
					return end(conn) // it was asked, and says nothing
				}
				return write(conn, good)
			})
			transport := s.transport(t, nil)
			for i, stale := range []bool{false, true, false} {
				_, _, err := get(t.Context(), t, transport, s.url)
				if _, is := errors.AsType[*StaleError](err); is != stale || !is && err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	close(gone)
}

func TestIdleConnectionsGrowOld(t *testing.T) {
	s := serve(t, false, func(conn net.Conn, _ *http.Request, _ int) bool { return write(conn, good) })
	transport := s.transport(t, func(cfg *Config) { cfg.IdleTime = time.Millisecond })
	for range 3 {
		if _, _, err := get(t.Context(), t, transport, s.url); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); ; {
			transport.mu.Lock()
			idle := len(transport.idle)
			transport.mu.Unlock()
			if idle == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("it is idle for ever")
			}
		}
	}
	if n := s.opened.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

func TestNothingStrangeIsSent(t *testing.T) {
	s := serve(t, false, func(conn net.Conn, _ *http.Request, _ int) bool {
		t.Error("it was sent")
		return write(conn, good)
	})
	for name, spoil := range map[string]func(*http.Request){
		"another method":   func(r *http.Request) { r.Method = http.MethodPost },
		"a framing header": func(r *http.Request) { r.Header.Set("Content-Length", "4") },
		"another host":     func(r *http.Request) { r.Header.Set("Host", "other") },
		"a body":           func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) },
		"a query's space":  func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1" },
		"a query's end":    func(r *http.Request) { r.URL.RawQuery = "a\r\nb" },
		"another server":   func(r *http.Request) { r.URL.Host = "other.test" },
		"another scheme":   func(r *http.Request) { r.URL.Scheme = "https" },
		"header value":     func(r *http.Request) { r.Header.Set("X", "a\r\nY: b") },
		"header name":      func(r *http.Request) { r.Header["X: a\r\nY"] = []string{"b"} },
		"host":             func(r *http.Request) { r.Host = "a b" },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := s.transport(t, nil)
		if err := transport.sameOrigin(r.URL); err != nil {
			t.Fatal(err)
		}
		spoil(r)
		if resp, err := transport.RoundTrip(r); err == nil {
			resp.Body.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// Nothing of an answer is left in what is read into the same room.
func TestRoomIsUsedAgain(t *testing.T) {
	answers := []string{
		"HTTP/1.1 503 No\r\nX-A: 1\r\nX-A: 2\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-B: 1\r\nContent-Length: 4\r\n\r\ngood",
		"HTTP/1.1 204 None\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-A: 3\r\nContent-Length: 5\r\n\r\nbett",
	}
	headers := []http.Header{
		{"X-A": {"1", "2"}, "Retry-After": {"7"}}, {"X-B": {"1"}, "Content-Length": {"4"}}, {},
		{"X-A": {"3"}, "Content-Length": {"5"}},
	}
	bodies := []string{"bad", "good", "", "bett"}
	s := serve(t, false, func(conn net.Conn, _ *http.Request, nth int) bool {
		return write(conn, answers[nth-1]) && nth < len(answers)
	})
	transport := s.transport(t, nil)
	var room Room
	for i, want := range headers {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		x, err := transport.Prepare(r)
		if err != nil {
			t.Fatal(err)
		}
		x.Wait()
		resp, err := x.Answer(&room)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if !reflect.DeepEqual(resp.Header, want) || string(text) != bodies[i] || (err != nil) != (i == 3) ||
			!strings.HasPrefix(answers[i], "HTTP/1.1 "+resp.Status) || (resp.TransferEncoding != nil) != (i == 0) {
			t.Errorf("%d: %+v, %q, %v", i, resp, text, err)
		}
		_ = resp.Body.Close()
	}
}

func BenchmarkGet(b *testing.B) {
	for name, secured := range map[string]bool{"plain": false, "TLS": true} {
		b.Run(name, func(b *testing.B) {
			s := serve(b, secured, func(conn net.Conn, _ *http.Request, _ int) bool { return write(conn, good) })
			transport := s.transport(b, func(cfg *Config) {
				if secured {
					cfg.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
			})
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := get(b.Context(), b, transport, s.url); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
