package cmsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

const (
	maxDialTime       = 5 * time.Second
	idleConnTime      = 45 * time.Second // less than the 60 s after which gateways commonly close
	maxResponseHeader = 64 << 10         // bytes
)

// newPool returns a pool of HTTP/1.1 connections: as many as there are calls under way, which are at most MaxInFlight.
// Compression is not asked for: the answers are small and may be encrypted.
func newPool(cfg Config) *http1.Transport {
	return http1.New(http1.Config{
		TLS:         tlsConfig(cfg.TLS),
		Proxy:       proxyOf(cfg),
		ConnectTime: min(cfg.Timeout, maxDialTime),
		IdleTime:    idleConnTime,
		MaxHeader:   maxResponseHeader,
	})
}

// tlsConfig returns a copy of given that speaks TLS 1.2 at least (API basics) and does not offer HTTP/2.
func tlsConfig(given *tls.Config) *tls.Config {
	c := given.Clone()
	if c == nil {
		c = &tls.Config{}
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.NextProtos = nil
	return c
}

// errProxyAddress stands for the error of choosing a proxy, which quotes the address with its password.
var errProxyAddress = errors.New("the address of the proxy is not a URL")

func proxyOf(cfg Config) Proxy {
	choose := cfg.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	return func(r *http.Request) (*url.URL, error) {
		proxy, err := choose(r)
		if err != nil {
			return nil, errProxyAddress
		}
		if proxy != nil && !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
			return nil, fmt.Errorf("%w with http, https or socks5 before it", errProxyAddress)
		}
		return proxy, nil
	}
}
