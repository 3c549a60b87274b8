package e2e

import (
	"encoding/base64"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// connectProxy is a proxy that asks for a login and connects to a server (RFC 9110 §9.3.6), or does what broken ones
// do.
type connectProxy struct {
	address  string
	login    string
	backends map[string]string // address by way; "" is the right one
	answers  map[string]func(r *http.Request) string
	open     sync.WaitGroup

	mu  sync.Mutex
	way string // "": as it should be
	n   int
}

func newConnectProxy(t *testing.T, files *keyFiles, right *httptest.Server) *connectProxy {
	t.Helper()
	p := &connectProxy{login: "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+proxyPassword)),
		answers: refusals}
	own := *files
	own.authority = files.newAuthority()
	notFound := http.NotFoundHandler()
	stranger, elsewhere, choosy, plain := serve(t, notFound), serve(t, notFound), serve(t, notFound), serve(t, notFound)
	stranger.TLS = files.serverTLS(own.server(net.IPv4zero))
	stranger.StartTLS()
	elsewhere.TLS = files.serverTLS(files.server(net.IPv4(127, 0, 0, 9)))
	elsewhere.StartTLS()
	choosy.TLS = own.serverTLS(files.server(net.IPv4zero))
	choosy.StartTLS()
	plain.Start()
	p.backends = map[string]string{}
	for way, server := range map[string]*httptest.Server{
		"": right, "unknown authority": stranger, "wrong host": elsewhere, "unknown client": choosy, "no TLS": plain,
	} {
		p.backends[way] = server.Listener.Addr().String()
	}
	server := serve(t, p)
	server.Start()
	t.Cleanup(func() { right.CloseClientConnections(); server.Close(); p.open.Wait() })
	p.address = server.Listener.Addr().String()
	return p
}

// refusals are raw answers to CONNECT, by name.
var refusals = map[string]func(r *http.Request) string{
	"407": func(r *http.Request) string {
		return "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
	},
	"407 with what was sent": func(r *http.Request) string {
		return "HTTP/1.1 407 no: " + sent(r) + "\r\nProxy-Authenticate: Basic realm=\"" + sent(r) + "\"\r\n\r\n" + sent(r)
	},
	"502 with what was sent": func(r *http.Request) string { return "HTTP/1.1 502 " + sent(r) + "\r\n\r\n" + sent(r) },
	"no HTTP":                func(r *http.Request) string { return sent(r) + "\r\n\r\n" },
	"status code":            func(r *http.Request) string { return "HTTP/1.1 2" + sent(r) + "\r\n\r\n" },
	"header line":            func(r *http.Request) string { return "HTTP/1.1 200 OK\r\n" + sent(r) + "\x00\r\n\r\n" },
	"length": func(r *http.Request) string {
		return "HTTP/1.1 200 OK\r\nContent-Length: " + sent(r) +
			"\r\n\r\n"
	},
	"no TLS but text": func(r *http.Request) string { return "HTTP/1.1 200 OK\r\n\r\n" + sent(r) },
	"cut":             func(*http.Request) string { return "HTTP/1.1 4" },
	"nothing":         func(*http.Request) string { return "" },
}

// sent is what a proxy's page shows of a request.
func sent(r *http.Request) string {
	return "CONNECT " + r.Host + " Proxy-Authorization: " + r.Header.Get("Proxy-Authorization")
}

// ways are all ways to fail.
func (p *connectProxy) ways() []string {
	ways := append(slices.Sorted(maps.Keys(p.backends)), slices.Sorted(maps.Keys(p.answers))...)
	return slices.DeleteFunc(ways, func(way string) bool { return way == "" })
}

// take chooses how two of three connections fail from now on; "": none does.
func (p *connectProxy) take(way string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.way = way
}

// next is the way of the next connection.
func (p *connectProxy) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n++; p.n%3 == 0 {
		return ""
	}
	return p.way
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way := p.next()
	if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != p.login {
		way = "407"
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err) // cannot be: HTTP/1.1
	}
	if answer := p.answers[way]; answer != nil {
		_, _ = io.WriteString(near, answer(r))
		_ = near.Close()
		return
	}
	far, err := new(net.Dialer).DialContext(r.Context(), "tcp", p.backends[way])
	if err != nil {
		_ = near.Close()
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	forward := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close() // the end of one direction is that of both
	}
	p.open.Go(func() { forward(far, near) })
	p.open.Go(func() { forward(near, far) })
}
