package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"balanceq/cmd/internal/config"
)

// hop is where a connection to the CMS goes first: to the CMS, or to the proxy on the way there.
type hop struct {
	host, port string
	proxy      bool
}

// fix says what to look at when the hop cannot be reached.
func (h hop) fix() string {
	if h.proxy {
		return "check cms.proxy (or HTTPS_PROXY, HTTP_PROXY and NO_PROXY), this machine's DNS and firewalls"
	}
	return "check cms.url, this machine's DNS and firewalls, and whether a proxy is needed (cms.proxy)"
}

func (h hop) String() string {
	if h.proxy {
		return "proxy " + h.host
	}
	return h.host
}

// firstHop requires a valid configuration. Its error says that there is no telling which proxy to use.
func firstHop(cfg config.Config) (hop, error) {
	base, err := url.Parse(cfg.CMS.URL)
	if err != nil {
		return hop{}, errors.New("cms.url is not a URL")
	}
	cfg.CMS.TLS = config.TLSFiles{} // its files matter later
	c, err := connection(cfg)
	if err != nil {
		return hop{}, err
	}
	h := hop{host: base.Hostname(), port: base.Port()}
	scheme := base.Scheme
	proxy, err := proxyOf(c)(&http.Request{URL: base})
	switch {
	case err != nil:
		// The error may quote the address, which may hold a password.
		return hop{}, errors.New("the proxy of HTTPS_PROXY or HTTP_PROXY cannot be used")
	case proxy != nil:
		h = hop{proxy.Hostname(), proxy.Port(), true}
		scheme = proxy.Scheme
	}
	if h.port == "" {
		h.port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[scheme]
	}
	return h, nil
}

func checkDNS(ctx context.Context, cfg config.Config) Finding {
	h, err := firstHop(cfg)
	if err != nil {
		return fail(err.Error(), "correct the address")
	}
	if net.ParseIP(h.host) != nil {
		return ok(h.String() + " is an address")
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, h.host)
	if err == nil && len(addresses) == 0 {
		err = errors.New("no such host")
	}
	if err != nil {
		return fail(fmt.Sprintf("%s: %v", h, err), h.fix())
	}
	return ok(fmt.Sprintf("%s: %s", h, strings.Join(addresses, ", ")))
}

func checkTCP(ctx context.Context, cfg config.Config) Finding {
	h, err := firstHop(cfg)
	if err != nil {
		return fail(err.Error(), "correct the address")
	}
	began := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(h.host, h.port))
	if err != nil {
		return fail(fmt.Sprintf("%s: %v", h, err), h.fix())
	}
	took := time.Since(began)
	remote := conn.RemoteAddr()
	_ = conn.Close() // only whether it opens matters
	return ok(fmt.Sprintf("%s: connected to %s in %s", h, remote, milliseconds(took)))
}

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return "less than 1 ms"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
