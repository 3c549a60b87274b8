package cmsclient

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// signing signs every request right before it is sent.
//
// net/http silently repeats a GET whose kept-alive connection ended as it was sent (http.Transport.shouldRetryRequest).
// It would repeat the signature, too, and its nonce may be used only once (RFC 5849 §3.3). So signing makes the
// requests such that net/http does not repeat them, and does it itself.
type signing struct {
	auth Authenticator
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper. The request has no body.
func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, stale, err := s.send(r)
	if stale && r.Context().Err() == nil {
		resp, _, err = s.send(r)
	}
	return resp, err
}

// send signs a copy of r and sends it. stale: it failed because a kept-alive connection ended before an answer began.
func (s *signing) send(r *http.Request) (resp *http.Response, stale bool, err error) {
	var reused, answered atomic.Bool
	signed := r.Clone(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn:              func(c httptrace.GotConnInfo) { reused.Store(c.Reused) },
		GotFirstResponseByte: func() { answered.Store(true) },
	}))
	if err := s.auth.Authenticate(signed); err != nil {
		return nil, false, &authError{err}
	}
	signed.Body, signed.TransferEncoding = unrepeatable(), identity
	resp, err = s.next.RoundTrip(signed)
	if err != nil {
		return nil, reused.Load() && !answered.Load() && !timedOut(err), err
	}
	resp.Request = r // a log of it must not have the signature
	return resp, false, nil
}

// CloseIdleConnections closes the idle connections.
func (s *signing) CloseIdleConnections() {
	if t, ok := s.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// unrepeatable returns an empty body that net/http cannot send again, as it has no GetBody (http.Request.isReplayable).
// It is of a kind that net/http knows to be in memory: before others it flushes the header and takes a large buffer to
// copy them.
func unrepeatable() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// identity is said although it is the default: for a body of unknown length net/http would start a goroutine that looks
// whether it is empty, and send it as chunks if that takes too long. With it, nothing is on the wire.
var identity = []string{"identity"}

// authError says that a request could not be signed. It was not sent.
type authError struct{ err error }

func (e *authError) Error() string { return "cannot sign the call: " + e.err.Error() }
func (e *authError) Unwrap() error { return e.err }

func timedOut(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}
