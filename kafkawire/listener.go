package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/printable"
)

// ListenerError says that a broker's listener is of another kind than the settings say: TLS or not, with a login or
// without.
type ListenerError struct {
	What string // "the listener asks for no login"
	Err  error  // what was seen; nil: What says all. It is not unwrapped: of an io.EOF kafka-go would leave only that
}

const (
	speaksTLS = "the listener speaks TLS, and this client does not"
	noTLS     = "the listener does not speak TLS, and this client does"
	noLogin   = "the listener asks for no login, and this client has one"
)

func (e *ListenerError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + " (" + e.Err.Error() + ")"
}

// CertificateError says that a broker's listener wants a certificate of this client, and another one than it gets.
type CertificateError struct {
	Missing bool  // this client has none
	Err     error // what was seen. It is not unwrapped, as in ListenerError
}

func (e *CertificateError) Error() string {
	what := "the broker refuses the certificate of this client"
	if e.Missing {
		what = "the listener asks for a certificate of the client, and this client has none"
	}
	return what + " (" + e.Err.Error() + ")"
}

// probeTime bounds how long it takes to find out why a broker hung up.
const probeTime = 2 * time.Second

// explain tells why a connection ended at one of its first requests, counted from 1. Kafka ends it without a word where
// a client speaks plain text to TLS, at the first one, or asks for anything before a login, at one behind it; so does a
// broker that stops. The listener is asked for a login only: a TLS handshake would be a request of 369 MB to a plain
// one. With TLS 1.3 the broker looks at a client's certificate when the client takes the handshake for done.
func (m *meeting) explain(request int, err error) error {
	switch {
	case m.asked && (isAlert(err) || request == 1 && !m.shown && hungUp(err)):
		return m.aboutCertificate(err)
	case !hungUp(err):
	case request == 1 && m.TLS == nil:
		return fmt.Errorf("%w (the broker ended the connection at once: if it always does, its listener may speak TLS)",
			err)
	case request > 1 && m.SASL == nil:
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		if what := m.wantsLogin(ctx); what != "" {
			return &ListenerError{What: what, Err: err}
		}
	}
	return err
}

func (m *meeting) aboutCertificate(err error) error {
	return &CertificateError{Missing: !m.shown, Err: err}
}

// wantsLogin names the mechanisms of a listener that asks for a login; "": it does not, or cannot be asked.
func (m *meeting) wantsLogin(ctx context.Context) string {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.address)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }() // nothing was said that matters
	if m.TLS != nil {
		if conn, err = m.encrypt(ctx, conn); err != nil {
			return ""
		}
	}
	answer, err := handshake(ctx, conn, "NONE", m.formatter)
	if err != nil || !errors.Is(CodeError(answer.ErrorCode), kafka.UnsupportedSASLMechanism) {
		return ""
	}
	return fmt.Sprintf("the listener asks for a login (%s), and this client has none",
		printable.Text(fmt.Sprint(answer.SupportedMechanisms)))
}
