package cmsclient

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

// sending signs every request right before it is sent.
type sending struct {
	auth    Authenticator     // nil: nothing is signed
	own     *rotation         // nil: foreign is used
	foreign http.RoundTripper // Config.Transport
}

func newSending(cfg Config) *sending {
	if cfg.Transport != nil {
		return &sending{auth: cfg.Auth, foreign: cfg.Transport}
	}
	return &sending{auth: cfg.Auth, own: newRotation(func() pool { return newPool(cfg) })}
}

// exchange is a request that is ready to be sent, and then its answer.
type exchange struct {
	begun bool           // and not over: the answer has not been asked for
	own   http1.Exchange // where Config.Transport is not used
	resp  *http.Response // of Config.Transport, which has sent it
	err   error          // why there is nothing to send, or no answer
}

// prepare signs a request that has no body, and has it ready on a connection. That this fails, response says. With a
// transport of our own, nothing is kept of the request.
func (s *sending) prepare(x *exchange, r *http.Request) {
	*x = exchange{} // it begins when all of it is there: what panics before leaves nothing to close
	signed, err := s.sign(r)
	switch {
	case err != nil:
		x.err = err
	case s.own != nil:
		x.own, x.err = s.own.Prepare(signed)
	default:
		if s.auth != nil {
			signed.Body, signed.TransferEncoding = unrepeatable(), identity
		}
		if x.resp, x.err = s.foreign.RoundTrip(signed); x.err == nil { //nolint:bodyclose // response returns it
			x.resp.Request = r // a log of it must not have the signature
		}
	}
	x.begun = true
}

func (s *sending) sign(r *http.Request) (signed *http.Request, err error) {
	if s.auth == nil {
		return r, nil
	}
	signed = r.Clone(r.Context())
	if err := s.auth.Authenticate(signed); err != nil {
		return nil, &authError{err}
	}
	return signed, nil
}

// wait sends the request, and returns when the answer begins, or none will.
func (x *exchange) wait() {
	if x.begun && x.err == nil && x.resp == nil {
		x.own.Wait()
	}
}

// response returns the answer, in the room, when its header is there.
func (x *exchange) response(room *http1.Room) (*http.Response, error) {
	x.begun = false // the connection is the answer's, and then another call's
	if x.err != nil || x.resp != nil {
		return x.resp, x.err
	}
	return x.own.Answer(room)
}

// giveUp closes what the answer would come on.
func (x *exchange) giveUp() {
	switch {
	case !x.begun || x.err != nil:
	case x.resp != nil:
		_ = x.resp.Body.Close() // it is not read
	default:
		x.own.Close()
	}
	x.begun = false
}

// unrepeatable returns an empty body that net/http cannot send again, as it has no GetBody: it would send the signature
// again, too (http.Transport.shouldRetryRequest).
func unrepeatable() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

var identity = []string{"identity"}

// CloseIdleConnections closes the idle connections.
func (s *sending) CloseIdleConnections() {
	if s.own != nil {
		s.own.CloseIdleConnections()
	} else if t, ok := s.foreign.(interface{ CloseIdleConnections() }); ok {
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
