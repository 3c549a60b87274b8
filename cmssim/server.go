package cmssim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Server is a simulator with a listener of its own.
type Server struct {
	sim    *Simulator
	http   *http.Server
	scheme string        // http:// or https://
	host   string        // host:port that a client on this machine can dial
	err    error         // why serving ended, once done is closed; nil after Close
	done   chan struct{} // serving ended: nothing is accepted any more
	conns  sync.WaitGroup
}

// Listen starts a simulator on addr ("127.0.0.1:0" for any free port), over https if Config.TLS is set. The address is
// open when it returns.
func Listen(addr string, config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the simulator: %w", err)
	}
	s := &Server{sim: New(config), scheme: "http://", host: dialable(listener.Addr()), done: make(chan struct{})}
	if config.TLS != nil {
		secure := config.TLS.Clone()
		secure.NextProtos = []string{"http/1.1"} // faults mean connections, which HTTP/2 has one of
		listener, s.scheme = tls.NewListener(listener, secure), "https://"
	}
	s.http = &http.Server{
		Handler:           s.sim,
		ConnState:         s.connState,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          config.Log,
	}
	if config.Log == nil {
		s.http.ErrorLog = log.New(io.Discard, "", 0)
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("serving the simulator: %w", err)
		}
	}()
	return s, nil
}

// dialable replaces an unspecified address (0.0.0.0, ::) by the loopback one.
func dialable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
}

// connState counts connections, those accepted and those that still have a goroutine. StateNew is reported by the
// accept loop itself, so no Add can come after done is closed, and Wait after that sees them all. A hijacked connection
// is closed by its handler right away.
func (s *Server) connState(conn net.Conn, state http.ConnState) {
	s.sim.ConnState(conn, state)
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	case http.StateActive, http.StateIdle:
	}
}

// URL is the base of the simulated API, without a slash at the end.
func (s *Server) URL() string { return s.scheme + s.host + BasePath }

// ControlURL is the control endpoint, without a slash at the end.
func (s *Server) ControlURL() string { return s.scheme + s.host + controlPath }

// Simulator returns the simulator, for faults and counters.
func (s *Server) Simulator() *Simulator { return s.sim }

// Done is closed when serving ended, by Close or by itself; Err then says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why serving ended by itself. It is nil before Done is closed and after a Close or Shutdown.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Shutdown stops accepting, lets the calls in flight end until ctx does, and closes. Hanging calls take all of that
// time.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(fmt.Errorf("shutting the simulator down: %w", err), s.Close())
	}
	return s.Close()
}

// Close cuts every connection, ends waiting and hanging calls, and returns when their goroutines have ended. It may be
// called more than once.
func (s *Server) Close() error {
	s.sim.Close()
	err := s.http.Close()
	<-s.done
	s.conns.Wait()
	if err != nil {
		return fmt.Errorf("closing the simulator: %w", err)
	}
	return nil
}
