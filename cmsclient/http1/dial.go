package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"golang.org/x/net/proxy"
)

const keepAlive = 15 * time.Second // between probes that TCP sends on an idle connection

// connect opens a connection for a request: to the server or to the proxy, and through it.
func (t *Transport) connect(ctx context.Context, r *http.Request) (*conn, error) {
	by, err := t.proxyFor(r)
	if err != nil {
		return nil, err
	}
	c := &conn{transport: t}
	switch server := address(r.URL); {
	case by == nil:
		_, err = c.DialContext(ctx, "tcp", server)
	case by.Scheme == "socks5", by.Scheme == "socks5h":
		err = c.dialSOCKS(ctx, by, server)
	default:
		_, err = c.DialContext(ctx, "tcp", address(by))
	}
	if err != nil {
		return nil, ofProxy(by, err)
	}
	if err := c.secure(ctx, r.URL, by); err != nil {
		_ = c.tcp.Close()
		return nil, err
	}
	return c, nil
}

// ofProxy says of an error on the way to a proxy that it is one, as net/http does.
func ofProxy(by *url.URL, err error) error {
	if by == nil {
		return err
	}
	return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
}

func (t *Transport) proxyFor(r *http.Request) (*url.URL, error) {
	if t.cfg.Proxy == nil {
		return nil, nil
	}
	by, err := t.cfg.Proxy(r)
	if err != nil || by == nil {
		return nil, err
	}
	switch by.Scheme {
	case "http", "https", "socks5", "socks5h":
		return by, nil
	}
	return nil, fmt.Errorf("a proxy with the scheme %q cannot be used; write http, https or socks5", by.Scheme)
}

// address is what to dial for a URL.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Dial implements proxy.Dialer, which proxy.SOCKS5 asks for and does not use.
func (c *conn) Dial(network, to string) (net.Conn, error) {
	return c.DialContext(context.Background(), network, to)
}

// DialContext connects and keeps the connection, in whatever another protocol wraps it then.
func (c *conn) DialContext(ctx context.Context, network, to string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: c.transport.cfg.ConnectTime, KeepAlive: keepAlive}
	tcp, err := dialer.DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	c.tcp, c.wire = tcp, tcp
	if system, ok := tcp.(syscall.Conn); ok {
		c.raw, _ = system.SyscallConn() // without it, the connection is not used again
	}
	return tcp, nil
}

func (c *conn) dialSOCKS(ctx context.Context, by *url.URL, to string) error {
	var auth *proxy.Auth
	if by.User != nil {
		password, _ := by.User.Password()
		auth = &proxy.Auth{User: by.User.Username(), Password: password}
	}
	through, err := proxy.SOCKS5("tcp", address(by), auth, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.transport.cfg.ConnectTime)
	defer cancel()
	dialer, ok := through.(proxy.ContextDialer)
	if !ok {
		return fmt.Errorf("connecting through a socks5 proxy: %T knows no context", through)
	}
	wire, err := dialer.DialContext(ctx, "tcp", to)
	if err != nil {
		return err
	}
	c.wire = wire
	return nil
}

// secure does what has to be done on a new connection before the first request.
func (c *conn) secure(ctx context.Context, server, by *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, c.transport.cfg.ConnectTime)
	defer cancel()
	if by != nil && by.Scheme == "https" {
		if err := c.handshake(ctx, by.Hostname(), true); err != nil {
			return ofProxy(by, err)
		}
	}
	if by != nil && (by.Scheme == "http" || by.Scheme == "https") {
		if by.User != nil {
			password, _ := by.User.Password()
			c.proxyAuth = "Basic " + base64.StdEncoding.EncodeToString([]byte(by.User.Username()+":"+password))
		}
		if c.absolute = server.Scheme == "http"; !c.absolute {
			if err := c.tunnel(ctx, address(server)); err != nil {
				return err
			}
		}
	}
	if server.Scheme == "https" {
		return c.handshake(ctx, server.Hostname(), false)
	}
	return nil
}

func (c *conn) handshake(ctx context.Context, host string, toProxy bool) error {
	cfg := c.transport.cfg.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{} // TLS 1.2 and newer
	}
	if cfg.ServerName == "" || toProxy {
		cfg.ServerName = host
	}
	c.records = append(c.records, newRecords(c.wire))
	secured := tls.Client(c.records[len(c.records)-1], cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	c.wire = secured
	return nil
}

// tunnel asks the proxy for a connection to the server (RFC 9110 §9.3.6).
func (c *conn) tunnel(ctx context.Context, server string) error {
	deadline, _ := ctx.Deadline()
	if err := c.tcp.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.tcp.SetDeadline(longAgo) })
	defer stop()
	out := "CONNECT " + server + " HTTP/1.1\r\nHost: " + server + "\r\n"
	if c.proxyAuth != "" {
		out += "Proxy-Authorization: " + c.proxyAuth + "\r\n"
	}
	if _, err := c.wire.Write([]byte(out + "\r\n")); err != nil {
		return err
	}
	c.header = c.transport.cfg.MaxHeader
	in := bufio.NewReader(c)
	var a answer
	for range maxInterim + 1 {
		if err := a.readHeader(in); err != nil {
			return unexpected(err)
		}
		if a.status >= 200 {
			switch {
			case a.status != http.StatusOK:
				return &ProxyStatusError{a.status}
			case in.Buffered() > 0:
				return errBehindConnect
			}
			return nil
		}
	}
	return errInterim
}

// errBehindConnect: whatever it is, it would be taken for the server's.
var errBehindConnect = errors.New("the proxy sends something behind its answer to CONNECT")
