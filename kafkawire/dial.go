package kafkawire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AdvertisedError says that a broker cannot be reached at the address by which the cluster's metadata names it (the
// broker's advertised.listeners): no address of Settings.Brokers.
type AdvertisedError struct {
	Address string // host:port
	Err     error  // of net.Dialer
}

func (e *AdvertisedError) Error() string {
	return fmt.Sprintf(
		"the cluster says that a broker is at %s (advertised.listeners), which cannot be reached from here: %v", e.Address,
		e.Err)
}

func (e *AdvertisedError) Unwrap() error { return e.Err }

// dialer connects to the addresses of Settings.Brokers and to those that metadata names. It encrypts and logs in
// itself, beneath kafka-go: by files and tokens as they are then, and again where a login ends.
type dialer struct {
	Settings
	formatter *kmsg.RequestFormatter
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	with := net.Dialer{Timeout: dialTimeout}
	conn, err := with.DialContext(ctx, network, address)
	switch {
	case err != nil && slices.Contains(d.Brokers, address):
		return nil, err
	case err != nil:
		return nil, &AdvertisedError{address, err}
	}
	secured, err := d.secure(ctx, conn, address)
	if err != nil {
		_ = conn.Close() // the error says more
		return nil, err
	}
	return secured, nil
}

func (d dialer) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	meets := meeting{dialer: d, address: address}
	if d.TLS != nil {
		encrypted, err := meets.encrypt(ctx, conn)
		if err != nil {
			return nil, err
		}
		conn = encrypted
	}
	conn = &guardedConn{Conn: conn, explain: meets.explain}
	if d.SASL == nil {
		return conn, nil
	}
	c := &loggedIn{Conn: conn, mechanism: d.SASL, formatter: d.formatter, address: address}
	return c, c.login(ctx)
}

// meeting is the beginning of a connection.
type meeting struct {
	dialer
	address      string
	asked, shown bool // for a certificate of this client; there was one to show
}

func (m *meeting) encrypt(ctx context.Context, conn net.Conn) (net.Conn, error) {
	cfg := m.TLS().Clone()
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(m.address)
		if err != nil {
			return nil, err
		}
		cfg.ServerName = host
	}
	own := &tls.Certificate{} // none
	if m.shown = len(cfg.Certificates) > 0; m.shown {
		own = &cfg.Certificates[0]
	}
	// Whatever authorities the broker names: it says more of a certificate that it does not know than of none.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		m.asked = true
		return own, nil
	}
	encrypted := tls.Client(conn, cfg)
	err := encrypted.HandshakeContext(ctx)
	switch {
	case m.asked && isAlert(err):
		return nil, m.aboutCertificate(err)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || isNoTLS(err):
		return nil, &ListenerError{What: noTLS, Err: err}
	}
	return encrypted, err
}

func isNoTLS(err error) bool {
	_, is := errors.AsType[tls.RecordHeaderError](err)
	return is
}

// isAlert says that the other end has refused something by an alert of TLS.
func isAlert(err error) bool {
	op, is := errors.AsType[*net.OpError](err)
	return is && op.Op == "remote error"
}
