package connect

import (
	"net"
	"net/http"
	"net/url"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

// Hop is where a connection to the CMS goes first: to the CMS, or to the proxy on the way there.
type Hop struct {
	Host, Port string
	Proxy      bool
}

// FirstHop returns where calls go first. Its errors are *finding.Error and repeat no address: it may hold a password.
func FirstHop(cfg config.CMS) (Hop, error) {
	next, err := url.Parse(cfg.URL)
	if err != nil || next.Host == "" {
		return Hop{}, fail("cms.url", "is not an absolute URL", "write the whole address, with https:// or http://")
	}
	choose, err := proxy(cfg.Proxy)
	if err != nil {
		return Hop{}, inParts(err)
	}
	via, err := choose(&http.Request{URL: next})
	if err != nil {
		return Hop{}, fail("", "the proxy of HTTPS_PROXY or HTTP_PROXY cannot be used", "correct its address")
	}
	if via != nil {
		next = via
	}
	h := Hop{next.Hostname(), next.Port(), via != nil}
	if h.Port == "" {
		h.Port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[next.Scheme]
	}
	return h, nil
}

func fail(key, what, fix string) error {
	return finding.Join(finding.Finding{Key: key, What: what, Fix: fix, Severity: finding.Fail})
}

// Address is host:port.
func (h Hop) Address() string { return net.JoinHostPort(h.Host, h.Port) }

// Fix says what to look at when the hop cannot be reached.
func (h Hop) Fix() string {
	if h.Proxy {
		return "check cms.proxy (or HTTPS_PROXY, HTTP_PROXY and NO_PROXY), this machine's DNS and firewalls"
	}
	return "check cms.url, this machine's DNS and firewalls, and whether a proxy is needed (cms.proxy)"
}

func (h Hop) String() string {
	if h.Proxy {
		return "proxy " + h.Host
	}
	return h.Host
}
