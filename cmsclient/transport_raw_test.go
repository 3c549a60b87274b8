package cmsclient

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
)

// rawServer reads requests and leaves what happens then to handle, which may answer, and reports whether to read on.
type rawServer struct {
	url    string
	handle func(conn *net.TCPConn, nth int) (readOn bool) // nth request of this connection, from 1

	mu   sync.Mutex
	seen []string // each request's Authorization, in order
}

func startRaw(t *testing.T, handle func(*net.TCPConn, int) bool) *rawServer {
	t.Helper()
	s := &rawServer{handle: handle}
	s.url = "http://" + serveConns(t, s.serve)
	return s
}

// serveConns serves each connection to the address that it returns, and closes those that are left in the end.
func serveConns(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ended, func() { conn.Close() })()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		end()
		listener.Close()
		wg.Wait()
	})
	return listener.Addr().String()
}

func (s *rawServer) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for nth := 1; ; nth++ {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, r.Header.Get("Authorization"))
		s.mu.Unlock()
		if !s.handle(conn.(*net.TCPConn), nth) {
			return
		}
	}
}

// requests returns how many requests were read, and fails where two had the same Authorization.
func (s *rawServer) requests(t *testing.T) int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	once := map[string]bool{}
	for _, authorization := range s.seen {
		if authorization == "" || once[authorization] {
			t.Errorf("seen twice, or empty: %q", authorization)
		}
		once[authorization] = true
	}
	return len(s.seen)
}

func answerGood(conn net.Conn) bool {
	_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(goodBody), goodBody)
	return err == nil
}

func reset(conn *net.TCPConn) bool {
	_ = conn.SetLinger(0)
	return false
}

// askKept asks once. The connection is idle then.
func askKept(t *testing.T, c *Client) {
	t.Helper()
	if _, err := ask(t.Context(), c, 1); err != nil {
		t.Fatal(err)
	}
}
