package cmsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

type authenticate func(*http.Request) error

func (f authenticate) Authenticate(r *http.Request) error { return f(r) }

// counter is an Authenticator that never says the same twice.
type counter struct{ signed atomic.Int64 }

func (c *counter) Authenticate(r *http.Request) error {
	r.Header.Set("Authorization", fmt.Sprintf("OAuth nonce=%d", c.signed.Add(1)))
	return nil
}

func signedClient(t *testing.T, url string, adjust func(*Config)) (*Client, *counter) {
	t.Helper()
	auth := &counter{}
	cfg := unhurried(url)
	cfg.Auth = auth
	if adjust != nil {
		adjust(&cfg)
	}
	return newTestClient(t, cfg, nil), auth
}

// A kept-alive connection ends with the request under way: it is repeated on another one, signed again.
func TestRepeatsAreSignedAgain(t *testing.T) {
	const calls = 20
	for name, end := range map[string]func(*net.TCPConn) bool{
		"closed": func(*net.TCPConn) bool { return false },
		"reset":  reset,
	} {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, func(conn *net.TCPConn, nth int) bool {
				if nth > 1 {
					return end(conn)
				}
				return answerGood(conn)
			})
			client, auth := signedClient(t, server.url, nil)
			for range calls {
				if _, err := ask(t.Context(), client, 1); err != nil {
					t.Error(err)
				}
			}
			// All but the first meet the connection of the one before, if it was kept.
			if seen := server.requests(t); seen < calls*3/2 || seen >= 2*calls || auth.signed.Load() != int64(seen) {
				t.Errorf("%d requests, %d signatures, want %d", seen, auth.signed.Load(), 2*calls-1)
			}
		})
	}
}

// The CMS closes its connection in the moment in which it has answered, so that requests meet the end of the connection
// at every stage: not written, half written, written.
func TestConnectionsClosedWhileIdle(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn) bool{
		"closed": func(*net.TCPConn) bool { return false },
		"reset":  reset,
	} {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, func(conn *net.TCPConn, _ int) bool {
				_ = answerGood(conn)
				return end(conn)
			})
			client, _ := signedClient(t, server.url, nil)
			var failed int
			for range 200 {
				if _, err := ask(t.Context(), client, 1); err != nil {
					failed++
					if classOf(err) != Transient {
						t.Error(err)
					}
				}
			}
			server.requests(t)
			// A reset may overtake the answer. A close may not.
			if name == "closed" && failed > 0 {
				t.Errorf("%d calls failed", failed)
			}
		})
	}
}

// What is not repeated: what the CMS may have begun to answer, and what no caller waits for.
func TestNotRepeated(t *testing.T) {
	second := func(do func(*net.TCPConn) bool) func(*net.TCPConn, int) bool {
		return func(conn *net.TCPConn, nth int) bool {
			if nth > 1 {
				return do(conn)
			}
			return answerGood(conn)
		}
	}
	cases := map[string]struct {
		handle func(*net.TCPConn, int) bool
		kept   bool
	}{
		"fresh connection":       {func(*net.TCPConn, int) bool { return false }, false},
		"fresh connection reset": {func(conn *net.TCPConn, _ int) bool { return reset(conn) }, false},
		"first byte came": {second(func(conn *net.TCPConn) bool {
			_, _ = io.WriteString(conn, "H")
			return false
		}), true},
		"informational answer came": {second(func(conn *net.TCPConn) bool {
			_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")
			return false
		}), true},
		"no answer in time": {second(func(*net.TCPConn) bool { return true }), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, c.handle)
			client, _ := signedClient(t, server.url, func(cfg *Config) {
				if name == "no answer in time" {
					cfg.Timeout = 2 * time.Second // in which a busy machine answers the first call, and sends the second
				}
			})
			if c.kept {
				askKept(t, client)
			}
			before := server.requests(t)
			if _, err := ask(t.Context(), client, 1); classOf(err) != Transient {
				t.Errorf("got %v", err)
			}
			if n := server.requests(t) - before; n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// The repeat is one, even if it meets a kept-alive connection, too.
func TestRepeatedOnANewConnection(t *testing.T) {
	const warm = 4
	var arrived atomic.Int32
	all := make(chan struct{})
	server := startRaw(t, func(conn *net.TCPConn, nth int) bool {
		if nth > 1 {
			return false
		}
		if arrived.Add(1) == warm {
			close(all)
		}
		<-all // so that each of the first calls has a connection of its own
		return answerGood(conn)
	})
	client, _ := signedClient(t, server.url, nil)
	var wg sync.WaitGroup
	for range warm {
		wg.Go(func() {
			if _, err := ask(t.Context(), client, 1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := ask(t.Context(), client, 1); err != nil { // the other idle connections are as dead
		t.Errorf("got %v", err)
	}
	if seen := server.requests(t); seen != warm+2 {
		t.Errorf("%d requests, want %d", seen, warm+2)
	}
}

// The caller's context ends in the moment in which the connection does.
func TestNotRepeatedWithoutACaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := startRaw(t, func(conn *net.TCPConn, nth int) bool {
		if nth > 1 {
			cancel()
			return false
		}
		return answerGood(conn)
	})
	client, auth := signedClient(t, server.url, nil)
	askKept(t, client)
	before := server.requests(t)
	if _, err := ask(ctx, client, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := server.requests(t); n != before+1 || auth.signed.Load() != int64(n) {
		t.Errorf("%d requests, %d signatures, want %d", n, auth.signed.Load(), before+1)
	}
}

// A transport's own time limit is no end of a connection.
func TestOnlyStaleConnectionsAreRepeated(t *testing.T) {
	for _, err := range []error{os.ErrDeadlineExceeded, io.EOF, &http1.StaleError{Err: io.EOF}} {
		sent := 0
		cfg := testConfig("http://cms.test")
		cfg.Auth = &counter{}
		cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			sent++
			return nil, err
		})
		_, _ = ask(t.Context(), newTestClient(t, cfg, nil), 1)
		if _, stale := errors.AsType[*http1.StaleError](err); stale != (sent == 2) {
			t.Errorf("%v: sent %d times", err, sent)
		}
	}
}

// An Authenticator that writes to everything it gets spoils its own copy only.
func TestAuthenticatorGetsACopy(t *testing.T) {
	cfg := testConfig("http://cms.test/core")
	cfg.Auth = authenticate(func(r *http.Request) error {
		for _, values := range r.Header {
			values[0] = "spoilt"
		}
		r.Header.Set("Authorization", "OAuth secret")
		r.URL.Path = "/spoilt"
		return nil
	})
	cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Accept") != "spoilt" || r.Header.Get("Authorization") == "" {
			t.Errorf("sent: %v", r.Header)
		}
		resp, err := good()
		resp.Request = r
		return resp, err
	})
	client := newTestClient(t, cfg, nil)
	for range 2 {
		out := client.newOutgoing()
		q, x := query(1), exchange{}
		r := client.request(t.Context(), &q, out)
		client.sending.prepare(&x, r)
		resp, err := x.response(&http1.Room{})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if r.Header.Get("Accept") != mediaType || r.Header.Get("User-Agent") != "balanceq" || len(r.Header) != 5 ||
			r.URL.Path != "/core/contracts/1/balances" || r.Body != nil {
			t.Errorf("the caller's request became %v %v", r.URL, r.Header)
		}
		if resp.Request != r {
			t.Errorf("the response knows the signature: %v", resp.Request.Header)
		}
	}
}

func TestCannotSign(t *testing.T) {
	cfg := testConfig("http://cms.test")
	var asked int
	cause := errors.New("the key is gone")
	cfg.Auth = authenticate(func(*http.Request) error { asked++; return cause })
	cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("sent without a signature")
		return good()
	})
	_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
	_, ok := errors.AsType[*authError](err)
	if !ok || !errors.Is(err, cause) || !strings.Contains(err.Error(), "cannot sign the call: the key is gone") {
		t.Errorf("got %v", err)
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// Without an Authenticator net/http goes on repeating by itself.
func TestUnsignedIsRepeated(t *testing.T) {
	server := startRaw(t, func(conn *net.TCPConn, nth int) bool { return nth == 1 && answerGood(conn) })
	client := newTestClient(t, testConfig(server.url), nil)
	for range 10 {
		if _, err := ask(t.Context(), client, 1); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkGet with a signature that costs nothing: what signing adds around it.
func BenchmarkGetSigned(b *testing.B) {
	client, _ := serve(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		io.WriteString(w, goodBody)
	}, func(cfg *Config) { cfg.Auth = &counter{} })
	inParallel(b, client)
}
