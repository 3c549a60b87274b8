package cmsclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

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
	var refused *http1.ProxyStatusError

	for name, c := range map[string]struct {
		cms      *httptest.Server
		user     *url.Userinfo
		refuse   int
		down     bool
		class    Class
		connects int32
		forwards int32
		status   int // of the ProxyStatusError; 0: none
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
				if errors.As(err, &refused) != (c.status != 0) || c.status != 0 && refused.Status != c.status {
					t.Errorf("got %v, want a refusal with %d", err, c.status)
				}
				for _, secret := range []string{proxyUser, proxyPassword, password, "s3cret", "Basic", "nonce"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%q is in %v", secret, err)
					}
				}
				break // calls may be halted
			}
			if p.connects.Load() != c.connects || p.forwarded.Load() != c.forwards || p.leaked.Load() ||
				direct.opened.Load() != 0 {
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
		return nil,
			errors.New(`invalid proxy address "proxy-user:s3cret@host": first path segment in URL cannot contain colon`)
	}
	_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
	if !errors.Is(err, errProxyAddress) || strings.Contains(err.Error(), "s3cret") ||
		!strings.Contains(err.Error(), "HTTPS_PROXY") {
		t.Errorf("got %v", err)
	}
}
