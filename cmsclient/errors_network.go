package cmsclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/balanceq/balanceq/cmsclient/http1"
	"github.com/balanceq/balanceq/internal/wait"
)

// incomplete translates the lack of a complete answer. resp is nil when not even its header came.
func (c *Client) incomplete(ctx context.Context, resp *http.Response, err error) error {
	if end := wait.Ended(ctx); end != nil {
		return end
	}
	e := &Error{Class: Transient}
	if resp != nil {
		e = newError(Transient, resp)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), timedOut(err):
		e.Err = &timeoutError{c.cfg.Timeout}
	case errors.Is(err, context.Canceled):
		e.Err = fmt.Errorf("no complete answer: %v", err) //nolint:errorlint // must not look like the caller's context
	default:
		e.Err = fmt.Errorf("no complete answer: %w", err)
		if fix := adviceOnNetwork(err); fix.what != "" {
			e.Class, e.Err, e.Fix = Halting, err, fix.text(c.cfg.FieldName)
		}
	}
	return e
}

// adviceOnNetwork says how to fix what failed before the wire, at a proxy or in the TLS handshake and cannot be cured
// by asking again; none: asking again may help.
func adviceOnNetwork(err error) advice {
	if _, signing := errors.AsType[*authError](err); signing {
		return fixSigning
	}
	proxy, ok := errors.AsType[*http1.ProxyStatusError](err)
	if ok && classify(proxy.Status, cmsError{}, false) == Halting || errors.Is(err, errProxyAddress) {
		return fixProxy
	}
	if distrusted(err) {
		return fixServerCert
	}
	if certificateRefused(err) {
		return fixClientCert
	}
	return advice{}
}

// distrusted reports whether this side refused the server's certificate.
func distrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, certificate := errors.AsType[x509.CertificateInvalidError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	return verification || authority || certificate || hostname
}

// refusedCertificate are the alerts by which a server refuses the client's certificate, or its lack (RFC 8446 §6.2).
// The general handshake_failure is not one of them.
var refusedCertificate = []tls.AlertError{
	42,  // bad_certificate
	43,  // unsupported_certificate
	44,  // certificate_revoked
	45,  // certificate_expired
	46,  // certificate_unknown
	48,  // unknown_ca
	49,  // access_denied
	116, // certificate_required
}

// certificateRefused reports whether the server ended the connection with one of these alerts. crypto/tls gives them
// the exported type with QUIC only; over TCP it is another one, with the same texts.
func certificateRefused(err error) bool {
	for op, ok := errors.AsType[*net.OpError](err); ok; op, ok = errors.AsType[*net.OpError](op.Err) {
		if op.Op != "remote error" || op.Err == nil {
			continue
		}
		for _, alert := range refusedCertificate {
			if op.Err.Error() == alert.Error() {
				return true
			}
		}
	}
	return false
}

// timeoutError is the end of an attempt's time. It does not wrap context.DeadlineExceeded, which callers take for the
// end of their own context.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return "no complete answer within " + e.limit.String() }
