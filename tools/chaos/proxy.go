package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// proxy stands between the workers and the broker: what it passes on it can delay, and break off.
type proxy struct {
	listener net.Listener
	target   string
	serving  sync.WaitGroup

	mu     sync.Mutex
	conns  map[*net.TCPConn]struct{}
	refuse bool
	delay  time.Duration
	closed bool
}

// newProxy listens on an address and passes connections on to target.
func newProxy(ctx context.Context, address, target string) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, conns: map[*net.TCPConn]struct{}{}}
	p.serving.Go(p.serve)
	return p, nil
}

func (p *proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok { // a listener for TCP accepts nothing else
			p.serving.Go(func() { p.pass(tcp) })
		}
	}
}

// pass carries one connection until either side ends it. A target that is not there ends it at once.
func (p *proxy) pass(client *net.TCPConn) {
	defer p.forget(client)
	if !p.remember(client) {
		return
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", p.target)
	if err != nil {
		return
	}
	server, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	defer p.forget(server)
	if !p.remember(server) {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		p.pump(client, server)
	}()
	p.pump(server, client)
	<-back
}

// pump copies from one to the other, each piece after the delay, and ends both.
func (p *proxy) pump(to, from *net.TCPConn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		if delay := p.delayed(); delay > 0 {
			<-time.After(delay)
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) delayed() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// remember is false for a connection that must not be.
func (p *proxy) remember(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	return !p.refuse && !p.closed
}

func (p *proxy) forget(c *net.TCPConn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close() // the other side may have
}

// cut resets all connections and refuses new ones until restore.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
	p.reset()
}

// reset requires mu.
func (p *proxy) reset() {
	for c := range p.conns {
		_, _ = c.SetLinger(0), c.Close() // RST, not FIN
	}
}

// slow delays every piece, in both directions, until restore.
func (p *proxy) slow(delay time.Duration) {
	p.mu.Lock()
	p.delay = delay
	p.mu.Unlock()
}

func (p *proxy) restore() {
	p.mu.Lock()
	p.refuse, p.delay = false, 0
	p.mu.Unlock()
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.reset()
	p.mu.Unlock()
	p.serving.Wait()
}
