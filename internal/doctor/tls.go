package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
)

// meeting is what an unsigned GET of cms.url shows about the CMS's end of the connection, whatever it is answered.
type meeting struct {
	sent, answered time.Time // the CMS wrote the answer's header in between
	header         http.Header
	tls            *tls.ConnectionState // nil: plain http
	asked          bool                 // for a client certificate; known even when meet fails
}

// meet makes the GET, over a connection of its own that is like those of run.
func meet(ctx context.Context, cfg config.Config) (meeting, error) {
	var m meeting
	c, err := connection(cfg)
	if err != nil {
		return m, err
	}
	var asked atomic.Bool
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy: c.Proxy, TLSClientConfig: noticing(c.TLS, &asked), DisableKeepAlives: true, DisableCompression: true,
		Protocols: &protocols, MaxResponseHeaderBytes: 64 << 10,
	}
	defer transport.CloseIdleConnections()
	ctx = httptrace.WithClientTrace(ctx,
		&httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { m.sent = time.Now() }})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.CMS.URL, nil)
	if err != nil {
		return m, errors.New("the address of the CMS is not a URL")
	}
	request.Header.Set("User-Agent", c.UserAgent)
	resp, err := transport.RoundTrip(request)
	m.answered, m.asked = time.Now(), asked.Load()
	if err != nil {
		return m, err
	}
	_ = resp.Body.Close() // the header has told everything
	m.header, m.tls = resp.Header, resp.TLS
	return m, nil
}

// noticing returns the settings with a note of whether the server asks for a client certificate.
func noticing(settings *tls.Config, asked *atomic.Bool) *tls.Config {
	c := &tls.Config{}
	if settings != nil {
		c = settings.Clone()
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	get := c.GetClientCertificate
	c.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked.Store(true)
		if get != nil {
			return get(info)
		}
		return &tls.Certificate{}, nil // none
	}
	return c
}

func checkTLS(ctx context.Context, cfg config.Config) []finding.Finding {
	if !strings.HasPrefix(strings.ToLower(cfg.CMS.URL), "https:") {
		return ok("not used: cms.url is http")
	}
	if _, err := connection(cfg); err != nil {
		return failed(err, "correct cms.tls")
	}
	m, err := meet(ctx, cfg)
	if err != nil {
		found := tlsFailure(err, m.asked, cfg.CMS.TLS)
		if h, err := connect.FirstHop(cfg.CMS); err == nil && h.Proxy {
			found[0].What = "by way of " + h.String() + ": " + found[0].What
		}
		return found
	}
	leaf := m.tls.PeerCertificates[0]
	end, _ := expiry(time.Now(), leaf.NotAfter)
	detail := fmt.Sprintf("%s, certificate %s %s", tls.VersionName(m.tls.Version), certificateName(leaf), end)
	if m.asked && cfg.CMS.TLS.CertFile == "" {
		detail += "; asks for a client certificate, and none is set"
	}
	return ok(detail)
}

// tlsFailure says why there was no answer over TLS. asked: the server asked for a client certificate.
func tlsFailure(err error, asked bool, files config.TLSFiles) []finding.Finding {
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fail(fmt.Sprintf("%s: %v", describeChain(unverified.UnverifiedCertificates), unverified.Err),
			trustFix(unverified.Err))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fail("the other end does not speak TLS", "check cms.url: whether it is http://, and its port")
	}
	if asked && refusedByPeer(err) {
		if files.CertFile == "" {
			return fail(fmt.Sprintf("asks for a client certificate, and none is set: %v", err),
				"set cms.tls.cert-file and cms.tls.key-file to the certificate that the CMS knows this client by")
		}
		return fail(fmt.Sprintf("the client certificate is refused: %v", err),
			"check that cms.tls.cert-file is the certificate that the CMS knows this client by, and has not expired")
	}
	return fail(err.Error(), "check the host and port of cms.url, and any proxy or firewall on the way: "+
		"whether it lets this host through, wants a login, or ends TLS by itself")
}

// refusedByPeer reports whether the other end ended the handshake. Its alert that says so is lost when the request is
// already on its way: the close then is a reset.
func refusedByPeer(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && alert.Op == "remote error" ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func describeChain(chain []*x509.Certificate) string {
	if len(chain) == 0 {
		return "no certificate"
	}
	return fmt.Sprintf("certificate %s, issued by %q", certificateName(chain[0]), chain[0].Issuer.CommonName)
}

// trustFix says what to do about a certificate that is not trusted.
func trustFix(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "check the host of cms.url: it is not in the certificate of the server that answers there"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "check this machine's clock; if it is right, the owner of that host has to renew the certificate"
	}
	return "set cms.tls.ca-file to the authority that issued it, if that is one of yours (a proxy that opens TLS has " +
		"one); " +
		"else check cms.url"
}
