package cmsclient

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
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
	cfg := unhurried(server.URL)
	cfg.Proxy = noProxy
	if certificate := server.Certificate(); certificate != nil {
		cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		cfg.TLS.RootCAs.AddCert(certificate)
	}
	return cfg
}

// unhurried returns a configuration with which no call ends because the machine is busy.
func unhurried(url string) Config {
	cfg := testConfig(url)
	cfg.Timeout, cfg.Breaker.Window = time.Minute, 2*time.Minute
	return cfg
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// eventually waits for what other goroutines do, not so long that idle connections are closed for their age.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(idleConnTime / 2); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// A server that offers HTTP/2 is talked to in HTTP/1.1; one that has only old TLS is refused, whatever the
// configuration says.
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

// The client certificate is asked for with every new connection, so a new file's content is in use after the next
// exchange of the pool.
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
	cfg.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return current.Load(), nil
	}
	own := newAuthority(t)
	change := func(name string) {
		issued := own.issue(&x509.Certificate{DNSNames: []string{name}}, time.Hour)
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

// Cookies are not sent back. What is coded although identity was asked for is read, within the limit (TestCodings).
func TestNothingIsKept(t *testing.T) {
	var cookies atomic.Int32
	server, _ := serveTLS(t, nil, func(w http.ResponseWriter, r *http.Request) {
		cookies.Add(int32(len(r.Cookies())))
		if r.Header.Get("Accept-Encoding") != "identity" {
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
		if _, err := ask(t.Context(), client, 1); err != nil {
			t.Error(err)
		}
	}
	if cookies.Load() != 0 {
		t.Errorf("%d cookies came back", cookies.Load())
	}
}
