package kafkawire

import (
	"context"
	"fmt"
	"net"
	"slices"
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

// dialer connects to the addresses of Settings.Brokers and to those that metadata names.
type dialer struct {
	bootstrap []string
	guarded   bool // look at the first answer; a TLS handshake tells by itself what is no broker
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	with := net.Dialer{Timeout: dialTimeout}
	conn, err := with.DialContext(ctx, network, address)
	switch {
	case err != nil && slices.Contains(d.bootstrap, address):
		return nil, err
	case err != nil:
		return nil, &AdvertisedError{address, err}
	case d.guarded:
		return &guardedConn{Conn: conn}, nil
	}
	return conn, nil
}
