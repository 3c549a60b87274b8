//go:build !race

package http1

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// What a call costs in allocations, at most, on a connection that is open, with the room of the one before. Who lowers
// the figure lowers the budget.
func TestAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		secured bool
		budget  float64
	}{"plain": {false, 3}, "TLS": {true, 6}} {
		s := serve(t, c.secured, func(conn net.Conn, _ *http.Request, _ int) bool { return write(conn, good) && echo(conn) })
		transport := s.transport(t, nil)
		r, err := http.NewRequestWithContext(Until(t.Context(), time.Now().Add(time.Minute)), http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		var room Room
		buffer := make([]byte, 64)
		n := testing.AllocsPerRun(200, func() {
			x, err := transport.Prepare(r)
			if err != nil {
				t.Fatal(err)
			}
			x.Wait()
			resp, err := x.Answer(&room)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := io.ReadFull(resp.Body, buffer); string(buffer[:n]) != "good" {
				t.Fatalf("%q", buffer[:n])
			}
			_ = resp.Body.Close()
		})
		if n > c.budget {
			t.Errorf("%s: %v allocations, want at most %v", name, n, c.budget)
		}
		if opened := s.opened.Load(); opened != 1 {
			t.Errorf("%s: %d connections", name, opened)
		}
	}
}

// echo answers further requests, each of which comes at once, and allocates nothing for it.
func echo(conn net.Conn) bool {
	request, answer := make([]byte, 4096), []byte(good)
	for {
		if _, err := conn.Read(request); err != nil {
			return false
		}
		if _, err := conn.Write(answer); err != nil {
			return false
		}
	}
}
