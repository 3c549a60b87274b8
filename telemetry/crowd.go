package telemetry

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// How many connections a server has at a time. Each costs memory and a file, and takes no login: without a bound,
// a client of the port takes both away from the pipeline. One machine cannot use up the room of all, so that
// probes get through.
const (
	maxConnections    = 256
	maxConnectionsOne = 64 // of one client: an IPv4 address, or an IPv6 network of 64 bits
)

// crowd counts the connections of a server, and closes those that are too many.
type crowd struct {
	mu      sync.Mutex
	inside  map[net.Conn]netip.Prefix
	clients map[netip.Prefix]int
}

func newCrowd() *crowd {
	return &crowd{inside: map[net.Conn]netip.Prefix{}, clients: map[netip.Prefix]int{}}
}

// changed is for http.Server.ConnState, which tells of a new connection before anything is read from it.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if !c.enters(conn) {
			_ = conn.Close() // nothing was said on it
		}
	case http.StateClosed, http.StateHijacked:
		c.leaves(conn)
	default:
	}
}

func (c *crowd) enters(conn net.Conn) bool {
	of := client(conn.RemoteAddr())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inside) >= maxConnections || c.clients[of] >= maxConnectionsOne {
		return false
	}
	c.inside[conn] = of
	c.clients[of]++
	return true
}

func (c *crowd) leaves(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of, was := c.inside[conn]
	if !was {
		return
	}
	delete(c.inside, conn)
	if c.clients[of]--; c.clients[of] == 0 {
		delete(c.clients, of)
	}
}

// client is what one client has the addresses of.
func client(of net.Addr) netip.Prefix {
	tcp, ok := of.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	network, _ := address.Prefix(bits) // of a valid address, that many bits are right
	return network
}
