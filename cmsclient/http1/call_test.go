package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// fetch makes one call under this very context.
func fetch(ctx context.Context, t testing.TB, transport *Transport, url string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return string(all), err
}

// Calls of one context share a connection's watch over it. Its end ends the call that is under way, and what it may
// have done to an idle connection reaches no call of another context.
func TestSharedContext(t *testing.T) {
	for _, idle := range []bool{false, true} {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("idle %t, TLS %t", idle, secured), func(t *testing.T) {
				asked := make(chan struct{})
				s := serve(t, secured, func(conn net.Conn, r *http.Request, _ int) bool {
					if r.URL.Path == "/hang" {
						close(asked)
						return true
					}
					return write(conn, good)
				})
				transport := s.transport(t, nil)
				shared, cancel := context.WithCancel(t.Context())
				for range 4 {
					if text, err := fetch(Until(shared, time.Now().Add(time.Minute)), t, transport, s.url); text != "good" {
						t.Fatal(err)
					}
				}
				if n := s.opened.Load(); n != 1 {
					t.Fatalf("%d connections", n)
				}
				if idle {
					cancel()
				} else {
					go func() { <-asked; cancel() }()
				}
				if _, err := fetch(shared, t, transport, s.url+"hang"); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				for range 3 {
					if text, err := fetch(t.Context(), t, transport, s.url); text != "good" {
						t.Error(err)
					}
				}
				if n := s.opened.Load(); n != 2 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// A context for each call, ended after it as contexts are, costs no connection.
func TestContextOfEachCall(t *testing.T) {
	s := serve(t, false, func(conn net.Conn, _ *http.Request, _ int) bool { return write(conn, good) })
	transport := s.transport(t, nil)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		if text, err := fetch(ctx, t, transport, s.url); text != "good" {
			t.Error(err)
		}
		cancel()
	}
	if n := s.opened.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A call ends with its time, wherever it is; its context goes on.
func TestUntil(t *testing.T) {
	for name, begin := range map[string]string{
		"no answer": "", "in the header": "HTTP/1.1 200 OK\r\n",
		"in the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, false, func(conn net.Conn, r *http.Request, _ int) bool {
				if r.URL.Path == "/good" {
					return write(conn, good)
				}
				return write(conn, begin)
			})
			transport := s.transport(t, nil)
			if _, err := fetch(t.Context(), t, transport, s.url+"good"); err != nil {
				t.Fatal(err)
			}
			_, err := fetch(Until(t.Context(), time.Now().Add(20*time.Millisecond)), t, transport, s.url+"bad")
			netErr, ok := errors.AsType[net.Error](err)
			if !ok || !netErr.Timeout() {
				t.Errorf("got %v", err)
			}
			if text, err := fetch(t.Context(), t, transport, s.url+"good"); text != "good" || s.opened.Load() != 2 {
				t.Errorf("%q, %v, %d connections", text, err, s.opened.Load())
			}
		})
	}
}

// The earlier of two ends counts, and a new connection has no more time.
func TestUntilTheEarlier(t *testing.T) {
	now := time.Now()
	early, late := now.Add(time.Minute), now.Add(time.Hour)
	limited, cancel := context.WithDeadline(t.Context(), early)
	defer cancel()
	for name, ctx := range map[string]context.Context{
		"context first": Until(limited, late),
		"later again":   Until(Until(t.Context(), early), late),
		"earlier again": Until(Until(t.Context(), late), early),
		"connection":    OnNewConnection(Until(t.Context(), early)),
		"with it":       Until(OnNewConnection(t.Context()), early),
	} {
		how := callOf(ctx)
		if !how.until.Equal(early) || how.fresh != (name == "connection" || name == "with it") {
			t.Errorf("%s: until %v, fresh %t", name, how.until, how.fresh)
		}
	}
	over := Until(t.Context(), now)
	_, err := fetch(over, t, New(Config{ConnectTime: time.Minute}), "http://127.0.0.1:9/")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
