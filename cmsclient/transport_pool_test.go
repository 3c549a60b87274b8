package cmsclient

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// connections counts a server's.
type connections struct{ opened, open atomic.Int32 }

func (c *connections) state(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.opened.Add(1)
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

// serveTLS starts a CMS that counts its connections, with TLS if with is not nil.
func serveTLS(t *testing.T, with *tls.Config, handler http.HandlerFunc) (*httptest.Server, *connections) {
	t.Helper()
	count := &connections{}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = count.state
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if with == nil {
		server.Start()
	} else {
		server.EnableHTTP2 = true
		server.TLS = with
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server, count
}

// trusting returns the configuration of a client that trusts the server.
func trusting(server *httptest.Server) Config {
	cfg := patient(server.URL)
	cfg.Proxy = noProxy
	if certificate := server.Certificate(); certificate != nil {
		cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		cfg.TLS.RootCAs.AddCert(certificate)
	}
	return cfg
}

// patient returns a configuration with which no call ends because the machine is busy.
func patient(url string) Config {
	cfg := testConfig(url)
	cfg.Timeout, cfg.Breaker.Window = time.Minute, 2*time.Minute
	return cfg
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// eventually waits for what other goroutines do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in a minute: %s", what)
		}
	}
}

// A server that offers HTTP/2 is talked to in HTTP/1.1; one that has only old TLS is refused, whatever the configuration
// says.
func TestProtocolVersions(t *testing.T) {
	var proto atomic.Value
	start := func(maxTLS uint16, adjust func(*tls.Config)) (*Client, *tls.Config) {
		server, _ := serveTLS(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: maxTLS},
			func(w http.ResponseWriter, r *http.Request) {
				proto.Store(r.Proto)
				io.WriteString(w, goodBody)
			})
		cfg := trusting(server)
		adjust(cfg.TLS)
		return newTestClient(t, cfg, nil), cfg.TLS
	}
	for name, adjust := range map[string]func(*tls.Config){
		"plain":   func(*tls.Config) {},
		"hostile": func(c *tls.Config) { c.MinVersion, c.NextProtos = tls.VersionTLS10, []string{"h2"} },
	} {
		t.Run(name, func(t *testing.T) {
			client, given := start(tls.VersionTLS12, adjust)
			if _, err := ask(t.Context(), client, 1); err != nil || proto.Load() != "HTTP/1.1" {
				t.Errorf("TLS 1.2: %v, %v", err, proto.Load())
			}
			if name == "hostile" && (given.MinVersion != tls.VersionTLS10 || !slices.Equal(given.NextProtos, []string{"h2"})) {
				t.Errorf("the given configuration was changed: %d %v", given.MinVersion, given.NextProtos)
			}
			old, _ := start(tls.VersionTLS11, adjust)
			_, err := ask(t.Context(), old, 1)
			if classOf(err) != Transient || !strings.Contains(err.Error(), "protocol version") {
				t.Errorf("TLS 1.1: %v", err)
			}
		})
	}
	client, _ := start(tls.VersionTLS12, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })
	if _, err := ask(t.Context(), client, 1); err == nil {
		t.Error("TLS 1.1 at most: was answered")
	}
}

// The causes can be told apart with errors.As, through the *Error.
func TestCertificates(t *testing.T) {
	server, _ := serveTLS(t, &tls.Config{}, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodBody) })
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	for name, c := range map[string]struct {
		adjust func(*Config)
		target any // nil: answered
		text   string
	}{
		"known authority":   {func(*Config) {}, nil, ""},
		"unknown authority": {func(cfg *Config) { cfg.TLS = nil }, &unknown, "signed by unknown authority"},
		"another name":      {func(cfg *Config) { cfg.TLS.ServerName = "cms.test" }, &wrongName, "cms.test"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := trusting(server)
			c.adjust(&cfg)
			_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
			if c.target == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if classOf(err) != Halting || !errors.As(err, c.target) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The client certificate is asked for with every new connection, so a new file's content is in use after the next exchange
// of the pool.
func TestClientCertificate(t *testing.T) {
	var caller atomic.Value
	server, _ := serveTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert},
		func(w http.ResponseWriter, r *http.Request) {
			caller.Store(r.TLS.PeerCertificates[0].DNSNames[0])
			io.WriteString(w, goodBody)
		})
	cfg := trusting(server)
	_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
	if classOf(err) != Halting || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	var current atomic.Pointer[tls.Certificate]
	cfg.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current.Load(), nil }
	ours := newAuthority(t)
	change := func(name string) {
		issued := ours.issue(&x509.Certificate{DNSNames: []string{name}}, time.Hour)
		current.Store(&issued)
	}
	change("first")
	client := newTestClient(t, cfg, nil)
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "first"},
		{func() { change("second") }, "first"},
		{func() { exchangePool(client) }, "second"},
	} {
		step.do()
		if askKept(t, client); caller.Load() != step.want {
			t.Errorf("got %v, want %s", caller.Load(), step.want)
		}
	}
}

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
				cfg.MaxInFlight, cfg.Auth = inFlight, a
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
				// See askKept: a few may be given up.
				if n := count.opened.Load(); n < inFlight || n > 2*inFlight {
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
	if n := count.opened.Load(); failed != calls/3 || n < calls/3 || n > calls/2 { // see askKept
		t.Errorf("%d connections, %d failed; want %d", n, failed, calls/3)
	}
}

// Cookies are not sent back, and nothing is decompressed, which could make much of little.
func TestNothingIsKeptOrUnpacked(t *testing.T) {
	var cookies atomic.Int32
	server, _ := serveTLS(t, nil, func(w http.ResponseWriter, r *http.Request) {
		cookies.Add(int32(len(r.Cookies())))
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("Accept-Encoding: %s", r.Header.Get("Accept-Encoding"))
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		io.WriteString(packed, goodBody)
		packed.Close()
	})
	client := newTestClient(t, trusting(server), nil)
	for range 3 {
		if _, err := ask(t.Context(), client, 1); classOf(err) != Undecodable {
			t.Errorf("got %v", err)
		}
	}
	if cookies.Load() != 0 {
		t.Errorf("%d cookies came back", cookies.Load())
	}
}

// proxy is a forward proxy with a password: CONNECT, and plain requests.
type proxy struct {
	refuse    int // status of every CONNECT; 0: none
	connects  atomic.Int32
	forwarded atomic.Int32
	leaked    atomic.Bool // an Authorization for the CMS in a CONNECT
}

const proxyUser, proxyPassword = "proxy-user", "proxy-pass%2Fword"

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	password, _ := url.PathUnescape(proxyPassword)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(proxyUser+":"+password))
	switch {
	case r.Header.Get("Proxy-Authorization") != want:
		http.Error(w, "who is "+r.Header.Get("Proxy-Authorization"), http.StatusProxyAuthRequired)
	case r.Method == http.MethodConnect && p.refuse != 0:
		http.Error(w, "", p.refuse)
	case r.Method == http.MethodConnect:
		p.connects.Add(1)
		if r.Header.Get("Authorization") != "" {
			p.leaked.Store(true)
		}
		p.tunnel(w, r)
	default:
		p.forwarded.Add(1)
		io.WriteString(w, goodBody)
	}
}

func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	var dialer net.Dialer
	target, err := dialer.DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	defer target.Close()
	conn, in, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	var wg sync.WaitGroup
	wg.Go(func() { pipe(conn, bufio.NewReader(target)) })
	pipe(target, in.Reader)
	wg.Wait()
}

// pipe copies and passes the end on.
func pipe(to net.Conn, from *bufio.Reader) {
	_, _ = from.WriteTo(to)
	_ = to.(*net.TCPConn).CloseWrite()
}

func TestProxy(t *testing.T) {
	cms, _ := serveTLS(t, &tls.Config{}, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodBody) })
	plain, direct := serveTLS(t, nil, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodBody) })
	gone, _ := serveTLS(t, nil, http.NotFound)
	gone.Close()
	var refused *proxyError

	for name, c := range map[string]struct {
		cms      *httptest.Server
		user     *url.Userinfo
		refuse   int
		down     bool
		class    Class
		connects int32
		forwards int32
		status   int // of the proxyError; 0: none
	}{
		"https":                   {cms: cms, connects: 1},
		"http":                    {cms: plain, forwards: 3},
		"https, wrong password":   {cms: cms, user: url.UserPassword(proxyUser, "s3cret"), status: 407},
		"http, wrong password":    {cms: plain, user: url.UserPassword(proxyUser, "s3cret"), class: Halting},
		"https, refused":          {cms: cms, refuse: 403, status: 403},
		"https, CMS unreachable":  {cms: cms, refuse: 502, status: 502},
		"https, proxy down":       {cms: cms, down: true, class: Transient},
		"http, proxy down":        {cms: plain, down: true, class: Transient},
		"https, odd success code": {cms: cms, refuse: 204, status: 204},
	} {
		t.Run(name, func(t *testing.T) {
			p := &proxy{refuse: c.refuse}
			server, _ := serveTLS(t, nil, p.ServeHTTP)
			address, err := url.Parse(server.URL)
			if c.down {
				address, err = url.Parse(gone.URL)
			}
			if err != nil {
				t.Fatal(err)
			}
			password, _ := url.PathUnescape(proxyPassword)
			address.User = url.UserPassword(proxyUser, password)
			if c.user != nil {
				address.User = c.user
			}
			cfg := trusting(c.cms)
			cfg.Auth = &counter{}
			cfg.Proxy = func(*http.Request) (*url.URL, error) { return address, nil }
			client := newTestClient(t, cfg, nil)
			for range 3 {
				_, err = ask(context.WithoutCancel(t.Context()), client, 1)
				if fails := c.status != 0 || c.class != ""; (err != nil) != fails {
					t.Fatalf("got %v", err)
				}
				if err == nil {
					continue
				}
				if c.class != "" && classOf(err) != c.class {
					t.Errorf("got %v, want %s", err, c.class)
				}
				if errors.As(err, &refused) != (c.status != 0) || c.status != 0 && refused.status != c.status {
					t.Errorf("got %v, want a refusal with %d", err, c.status)
				}
				for _, secret := range []string{proxyUser, proxyPassword, password, "s3cret", "Basic", "nonce"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%q is in %v", secret, err)
					}
				}
				break // the gate may be halted
			}
			if p.connects.Load() != c.connects || p.forwarded.Load() != c.forwards || p.leaked.Load() || direct.opened.Load() != 0 {
				t.Errorf("%d connects, %d forwarded, signature leaked %v, %d direct connections",
					p.connects.Load(), p.forwarded.Load(), p.leaked.Load(), direct.opened.Load())
			}
		})
	}
}

// net/http's own error of a mistyped HTTPS_PROXY quotes it.
func TestProxyAddressIsNotQuoted(t *testing.T) {
	cfg := testConfig("https://cms.test")
	cfg.Proxy = func(*http.Request) (*url.URL, error) {
		return nil, errors.New(`invalid proxy address "proxy-user:s3cret@host": first path segment in URL cannot contain colon`)
	}
	_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
	if !errors.Is(err, errProxyAddress) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "HTTPS_PROXY") {
		t.Errorf("got %v", err)
	}
}
