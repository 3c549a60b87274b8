// Package stub stands in for the CMS where speed is measured: it answers what cmssim answers, at a fraction of the
// cost, so that the figures are the client's.
package stub

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/wait"
)

const (
	maxHead  = 8 << 10  // bytes of a request line, and of a header line
	maxKept  = 100_000  // answers
	maxDelay = 16 << 10 // answers that wait for their time; then requests wait to be read

	// The runtime's timers are up to a millisecond late where a process has nothing to do, the kernel's 50 µs.
	timerSlack = time.Millisecond
	// Answers that are due this close to each other go together: a wake-up for each would cost more than they do.
	together = 200 * time.Microsecond
)

// Server answers GET as HTTP/1.1 has it, with keep-alive and pipelining: what a simulator without faults answers to a
// request target is asked for once and repeated. It looks at no header but those that frame or end a connection. A
// client that lets megabytes of its answers lie delays those of others.
type Server struct {
	listener net.Listener
	ledger   *cmssim.Simulator
	latency  time.Duration
	delayed  chan delayed
	ctx      context.Context //nolint:containedctx // the server's own life, from Listen to Close
	end      context.CancelFunc
	running  sync.WaitGroup

	mu      sync.RWMutex
	answers map[string][]byte // by request target
	conns   map[net.Conn]struct{}

	calls, inFlight, maxInFlight, connections atomic.Int64
}

// Stats counts since the start.
type Stats struct {
	Calls       int64
	MaxInFlight int64 // the most at any moment
	Connections int64 // accepted
}

// delayed is an answer whose time has not come.
type delayed struct {
	conn   net.Conn
	answer []byte
	last   bool // of its connection
	due    time.Time
}

// Listen starts a server on addr. Answers come this long after their requests.
func Listen(addr string, latency time.Duration) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the stub: %w", err)
	}
	s := &Server{
		listener: listener, ledger: cmssim.New(cmssim.Config{}), latency: latency, delayed: make(chan delayed, maxDelay),
		answers: map[string][]byte{}, conns: map[net.Conn]struct{}{},
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.running.Go(s.accept)
	s.running.Go(s.deliver)
	return s, nil
}

// URL is the base of the API, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + cmssim.BasePath }

// Stats returns the counters at this moment.
func (s *Server) Stats() Stats {
	return Stats{Calls: s.calls.Load(), MaxInFlight: s.maxInFlight.Load(), Connections: s.connections.Load()}
}

// Close cuts all connections and returns when nothing is left running.
func (s *Server) Close() error {
	s.end()
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close() // its reader learns of it
	}
	s.mu.Unlock()
	s.running.Wait()
	s.ledger.Close()
	return err
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // e.g. no file descriptor left: some may become free
			wait.Sleep(s.ctx, 10*time.Millisecond)
			continue
		}
		s.connections.Add(1)
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		if s.ctx.Err() != nil { // Close has not seen this one, or sees it now
			_ = conn.Close()
		}
		s.running.Go(func() {
			s.serve(conn)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
			_ = conn.Close()
		})
	}
}

// serve reads requests until the client or the last one's answer ends the connection. An answer still delayed then
// finds it closed, which only a client that hung up has brought about.
func (s *Server) serve(conn net.Conn) {
	r := bufio.NewReaderSize(conn, maxHead)
	var target, answer []byte
	for {
		var last bool
		var err error
		target, last, err = readRequest(r, target)
		if err == nil {
			answer, err = s.answer(target)
		}
		switch {
		case errors.Is(err, errUnsupported):
			answer, last = unsupported, true
		case err != nil:
			return
		}
		s.begin()
		if s.latency == 0 {
			if !s.write(conn, answer) || last {
				return
			}
			continue
		}
		select {
		case s.delayed <- delayed{conn, answer, last, time.Now().Add(s.latency)}:
		case <-s.ctx.Done():
			return
		}
		if last { // the client hangs up, or deliver does
			_, _ = io.Copy(io.Discard, r)
			return
		}
	}
}

// deliver writes each answer at its time or a moment later, never before. All wait equally long, so that they become
// due in the order in which they came, but for the moment between reading the clock and queueing.
func (s *Server) deliver() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case d := <-s.delayed:
			for left := time.Until(d.due); left > 0; left = time.Until(d.due) {
				if left <= timerSlack {
					nap := syscall.NsecToTimespec(int64(max(left, together)))
					_ = syscall.Nanosleep(&nap, nil) // a signal ends it early: the loop looks again
				} else if !wait.Sleep(s.ctx, left-timerSlack) {
					return
				}
			}
			s.write(d.conn, d.answer)
			if d.last {
				_ = d.conn.Close()
			}
		}
	}
}

func (s *Server) begin() {
	s.calls.Add(1)
	n := s.inFlight.Add(1)
	for most := s.maxInFlight.Load(); n > most && !s.maxInFlight.CompareAndSwap(most, n); {
		most = s.maxInFlight.Load()
	}
}

func (s *Server) write(conn net.Conn, answer []byte) bool {
	s.inFlight.Add(-1) // before the client can send its next
	_, err := conn.Write(answer)
	return err == nil
}

// answer returns what the simulator answers to a GET of the target, as it goes over the wire.
func (s *Server) answer(target []byte) (answer []byte, err error) {
	s.mu.RLock()
	answer = s.answers[string(target)]
	s.mu.RUnlock()
	if answer != nil {
		return answer, nil
	}
	if answer, err = s.ask(string(target)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) < maxKept {
		s.answers[string(target)] = answer
	}
	return answer, nil
}

func (s *Server) ask(target string) ([]byte, error) {
	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, errUnsupported
	}
	recorder := httptest.NewRecorder()
	s.ledger.ServeHTTP(recorder, request)
	response := recorder.Result()
	defer func() { _ = response.Body.Close() }() // memory
	response.ContentLength = int64(recorder.Body.Len())
	response.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var wire bytes.Buffer
	_ = response.Write(&wire) // to memory
	return wire.Bytes(), nil
}
