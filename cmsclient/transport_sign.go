package cmsclient

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

// sending signs every request right before it is sent, and sends it again, signed again, if it met a connection that
// had ended while it was idle: a nonce may be used only once (RFC 5849 §3.3).
type sending struct {
	auth    Authenticator // nil: nothing is signed
	next    http.RoundTripper
	foreign bool // next is Config.Transport
}

// RoundTrip implements http.RoundTripper. The request has no body.
func (s *sending) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.send(r)
	if _, stale := errors.AsType[*http1.StaleError](err); stale && r.Context().Err() == nil {
		return s.send(r.WithContext(http1.OnNewConnection(r.Context())))
	}
	return resp, err
}

func (s *sending) send(r *http.Request) (*http.Response, error) {
	if s.auth == nil {
		return s.next.RoundTrip(r)
	}
	signed := r.Clone(r.Context())
	if err := s.auth.Authenticate(signed); err != nil {
		return nil, &authError{err}
	}
	if s.foreign {
		signed.Body, signed.TransferEncoding = unrepeatable(), identity
	}
	resp, err := s.next.RoundTrip(signed)
	if err != nil {
		return nil, err
	}
	resp.Request = r // a log of it must not have the signature
	return resp, nil
}

// unrepeatable returns an empty body that net/http cannot send again, as it has no GetBody: it would send the signature
// again, too (http.Transport.shouldRetryRequest).
func unrepeatable() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

var identity = []string{"identity"}

// CloseIdleConnections closes the idle connections.
func (s *sending) CloseIdleConnections() {
	if t, ok := s.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// authError says that a request could not be signed; nothing was sent.
type authError struct{ err error }

func (e *authError) Error() string { return "cannot sign the call: " + e.err.Error() }
func (e *authError) Unwrap() error { return e.err }

func timedOut(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}
