package cmsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	maxDialTime       = 5 * time.Second
	idleConnTime      = 45 * time.Second // less than the 60 s after which gateways commonly close
	maxResponseHeader = 64 << 10         // bytes
)

// newPool returns a pool of at most MaxInFlight HTTP/1.1 connections. Compression is off: the answers are small and may
// be encrypted. HTTP/2 is off: one broken connection would fail all calls.
func newPool(cfg Config) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	connectTime := min(cfg.Timeout, maxDialTime)
	return &http.Transport{
		Proxy:                  proxyOf(cfg),
		OnProxyConnectResponse: connectAnswer,
		DialContext:            (&net.Dialer{Timeout: connectTime, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:        tlsConfig(cfg.TLS),
		TLSHandshakeTimeout:    connectTime,
		ResponseHeaderTimeout:  cfg.Timeout,
		IdleConnTimeout:        idleConnTime,
		MaxIdleConns:           cfg.MaxInFlight,
		MaxIdleConnsPerHost:    cfg.MaxInFlight,
		MaxConnsPerHost:        cfg.MaxInFlight,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
		Protocols:              &protocols,
	}
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
		return proxy, nil
	}
}

// proxyError is a proxy's refusal to connect to the CMS. net/http would report the proxy's own words only.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy does not connect to the CMS, it answers with status %d", e.status)
}

func connectAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &proxyError{answer.StatusCode}
	}
	return nil
}
