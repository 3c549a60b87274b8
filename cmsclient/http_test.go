package cmsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The request exactly as it is on the wire. That it cannot be repeated once it is signed does not show.
func TestRequestOnTheWire(t *testing.T) {
	t.Run("unsigned", func(t *testing.T) { requestOnTheWire(t, nil, "") })
	t.Run("signed", func(t *testing.T) { requestOnTheWire(t, &counter{}, "Authorization: OAuth nonce=1\r\n") })
}

func requestOnTheWire(t *testing.T, auth Authenticator, authorization string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	seen := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var text []byte
		for buf := make([]byte, 4096); !strings.Contains(string(text), "\r\n\r\n"); {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			text = append(text, buf[:n]...)
		}
		seen <- string(text)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(goodBody), goodBody)
	}()
	host := listener.Addr().String()
	cfg := testConfig("http://" + host + "/global%2Dprocessing/core/")
	cfg.Auth = auth
	c := newTestClient(t, cfg, nil)
	call, err := c.Admit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q := Query{ContractID: 999999999999999999, Codes: []string{"AVAILABLE", "A&B=C", "É +", "A.b-c_d~"},
		CorrelationID: "c-1", Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	if _, err := call.Get(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	want := "GET /global%2Dprocessing/core/contracts/999999999999999999/balances" +
		"?balance_codes=AVAILABLE%2CA%26B%3DC%2C%C3%89%20%2B%2CA.b-c_d~ HTTP/1.1\r\n" +
		"Host: " + host + "\r\nAccept: application/json;charset=utf-8\r\nAccept-Encoding: identity\r\n" +
		authorization + "Content-Type: application/json;charset=utf-8\r\n" +
		"Correlation-Id: c-1\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n" +
		"User-Agent: balanceq\r\n\r\n"
	if got := <-seen; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestQueriesThatCannotBeAsked(t *testing.T) {
	c := newTestClient(t, testConfig("http://127.0.0.1:1"), nil)
	ok := query(1)
	for name, spoil := range map[string]func(*Query){
		"contract id 0":         func(q *Query) { q.ContractID = 0 },
		"contract id too large": func(q *Query) { q.ContractID = 1e18 },
		"no codes":              func(q *Query) { q.Codes = nil },
		"too many codes":        func(q *Query) { q.Codes = make([]string, 101) },
		"empty code":            func(q *Query) { q.Codes = []string{"A", ""} },
		"no correlation id":     func(q *Query) { q.CorrelationID = "" },
		"header injection":      func(q *Query) { q.CorrelationID = "a\r\nX: y" },
	} {
		q := ok
		spoil(&q)
		call, err := c.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.Get(t.Context(), q); err == nil || classOf(err) != "" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := call.Get(t.Context(), ok); err == nil || !strings.Contains(err.Error(), "has ended") {
			t.Errorf("%s: a second Get: %v", name, err)
		}
	}
	if s := c.Status(); s.InFlight != 0 {
		t.Errorf("in flight: %d", s.InFlight)
	}
}

// hijack answers with raw bytes and closes the connection.
func hijack(t *testing.T, raw string, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, raw)
		if reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
	}
}

func TestBrokenAnswers(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hangInBody := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"contractBalances":[`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	trickle := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, " ")
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	cases := map[string]struct {
		handler http.HandlerFunc
		class   Class
		called  string
	}{
		"no header":             {hang, Transient, CallTimeout},
		"no end of body":        {hangInBody, Transient, CallTimeout},
		"slow body":             {trickle, Transient, CallTimeout},
		"reset":                 {hijack(t, "", true), Transient, CallNetwork},
		"closed without answer": {hijack(t, "", false), Transient, CallNetwork},
		"not HTTP":              {hijack(t, "220 mail.example ESMTP\r\n\r\n", false), Transient, CallNetwork},
		"header cut":            {hijack(t, "HTTP/1.1 200 OK\r\nContent-", false), Transient, CallNetwork},
		"length not reached":    {hijack(t, head+"Content-Length: 500\r\n\r\n"+goodBody, false), Transient, CallNetwork},
		"chunk cut": {hijack(t, head+"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"con", false), Transient,
			CallNetwork},
		"last chunk missing": {hijack(t, head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", false), Transient,
			CallNetwork},
		"reset in body": {hijack(t, head+"Content-Length: 500\r\n\r\n"+goodBody[:20], true), Transient,
			CallNetwork},
		"connection ends early":   {hijack(t, head+"Connection: close\r\n\r\n"+goodBody[:50], false), Transient, CallNetwork},
		"connection ends at once": {hijack(t, head+"Connection: close\r\n\r\n", false), Transient, CallNetwork},
		"connection ends in time": {hijack(t, head+"Connection: close\r\n\r\n"+goodBody, false), "", Call2xx},
		"complete but broken": {hijack(t, head+"Content-Length: 50\r\n\r\n"+goodBody[:50], false), Undecodable,
			CallUndecodable},
		"complete chunks, broken": {
			hijack(t, head+"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"con\r\n0\r\n\r\n", false), Undecodable, CallUndecodable,
		},
		"huge body":   {huge(200), Undecodable, CallUndecodable},
		"huge error":  {huge(500), Transient, Call5xx},
		"huge header": {hijack(t, head+"X: "+strings.Repeat("x", 100<<10)+"\r\n\r\n", false), Transient, CallNetwork},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, obs := serve(t, c.handler, func(cfg *Config) {
				cfg.Timeout, cfg.Breaker.Window = time.Minute, 2*time.Minute // longer than a busy machine takes
				if c.called == CallTimeout {
					cfg.Timeout = 50 * time.Millisecond
				}
			})
			_, err := ask(t.Context(), client, 1)
			if classOf(err) != c.class || (err == nil) != (c.class == "") {
				t.Errorf("got %v, want %q", err, c.class)
			}
			if obs.count(c.called) != 1 {
				t.Errorf("observed %v, want one %s", obs.calls, c.called)
			}
		})
	}
}

func huge(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		for range 5 << 10 {
			if _, err := w.Write(make([]byte, 1024)); err != nil {
				return
			}
		}
	}
}

func TestConnectionRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := ask(t.Context(), newTestClient(t, testConfig(server.URL), nil), 70001)
	if classOf(err) != Transient || strings.Contains(err.Error(), "70001") {
		t.Errorf("got %v", err)
	}
}

func TestCallerCancelsWhileTheAnswerIsAwaited(t *testing.T) {
	arrived := make(chan struct{})
	client, obs := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := ask(ctx, client, 1); !errors.Is(err, context.Canceled) || classOf(err) != "" {
		t.Errorf("got %v", err)
	}
	if obs.count(CallCancelled) != 1 {
		t.Errorf("observed %v", obs.calls)
	}
}

// A redirect is an answer; its target is not asked.
func TestRedirectIsNotFollowed(t *testing.T) {
	var asked atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer target.Close()
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL+"/elsewhere", http.StatusTemporaryRedirect)
	}, nil)
	_, err := ask(t.Context(), client, 1)
	if classOf(err) != Halting || !strings.Contains(err.Error(), "redirects are not followed") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), target.URL) {
		t.Errorf("the target is in %v", err)
	}
	if asked.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestSharedHeadersStayAsTheyAre(t *testing.T) {
	cfg := testConfig("http://cms.test")
	var first *http.Request
	cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if first == nil {
			first = r
		} else if r.URL == first.URL || r.Header.Get("Correlation-Id") == first.Header.Get("Correlation-Id") {
			t.Error("two requests share what is their own")
		}
		return good()
	})
	client := newTestClient(t, cfg, nil)
	for _, id := range []string{"one", "two"} {
		call, err := client.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.Get(t.Context(), Query{ContractID: 1, Codes: []string{"A"}, CorrelationID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if first.Header.Get("Correlation-Id") != "one" || first.URL.Path != "/contracts/1/balances" {
		t.Errorf("the first request became %v %v", first.URL, first.Header)
	}
}
