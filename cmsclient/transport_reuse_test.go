package cmsclient

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A thousand calls, good and bad, over as many connections as calls at the same time. None is opened later.
func TestConnectionsAreReused(t *testing.T) {
	const inFlight, calls = 16, 1000
	for name, with := range map[string]*tls.Config{"http": nil, "https": {}} {
		for auth, a := range map[string]Authenticator{"unsigned": nil, "signed": &counter{}} {
			t.Run(name+" "+auth, func(t *testing.T) {
				var answers, waiting atomic.Int32
				all := make(chan struct{})
				server, count := serveTLS(t, with, func(w http.ResponseWriter, _ *http.Request) {
					if waiting.Add(1) == inFlight {
						close(all)
					}
					<-all // the first ones wait for each other: all connections are open from then on
					switch answers.Add(1) % 5 {
					case 0:
						w.WriteHeader(http.StatusNotFound)
						io.WriteString(w, notFoundBody)
					case 1:
						w.(http.Flusher).Flush() // chunked
						io.WriteString(w, goodBody)
					case 2:
						w.WriteHeader(http.StatusNotFound)
						w.(http.Flusher).Flush()
						io.WriteString(w, notFoundBody+strings.Repeat(" ", 20<<10))
					default:
						io.WriteString(w, goodBody)
					}
				})
				cfg := trusting(server)
				cfg.MinInFlight, cfg.MaxInFlight, cfg.Auth = inFlight, inFlight, a
				client := newTestClient(t, cfg, nil)
				var wg sync.WaitGroup
				var left atomic.Int32
				left.Store(calls)
				for range inFlight {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if _, err := ask(t.Context(), client, 1); err != nil && classOf(err) != ContractNotFound {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
				if n := count.opened.Load(); n != inFlight {
					t.Errorf("%d connections for %d calls, %d at the same time", n, calls, inFlight)
				}
			})
		}
	}
}

// An answer that is cut short costs its connection, and no other one.
func TestTruncatedAnswersCostOneConnectionEach(t *testing.T) {
	const calls = 60
	var answers atomic.Int32
	server, count := serveTLS(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		if answers.Add(1)%3 == 0 {
			w.Header().Set("Content-Length", "5000")
		}
		io.WriteString(w, goodBody)
	})
	client := newTestClient(t, trusting(server), nil)
	failed := 0
	for range calls {
		if _, err := ask(t.Context(), client, 1); err != nil {
			failed++
		}
	}
	if n := count.opened.Load(); failed != calls/3 || n != calls/3 {
		t.Errorf("%d connections, %d failed; want %d", n, failed, calls/3)
	}
}
