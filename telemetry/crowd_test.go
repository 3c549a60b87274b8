package telemetry

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// from is a connection of that client.
type from struct {
	net.Conn
	ip string
}

func (f *from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.ip), Port: 1} }

// A client gets so many connections and no more, whatever address of its network it comes from; all of them together
// do, too; and who leaves makes room.
func TestCrowd(t *testing.T) {
	t.Parallel()
	c := newCrowd()
	enters := func(ip string) bool { return c.enters(&from{ip: ip}) }
	first := &from{ip: "10.0.0.1"}
	if !c.enters(first) {
		t.Fatal("the first one is kept out")
	}
	for range maxConnectionsOne - 1 {
		if !enters("10.0.0.1") {
			t.Fatal("the first client has less than its share")
		}
	}
	if enters("10.0.0.1") || enters("::ffff:10.0.0.1") {
		t.Error("one client has more than its share")
	}
	c.leaves(&from{ip: "10.0.0.1"}) // was never inside
	c.leaves(first)
	if c.leaves(first); !enters("10.0.0.1") || enters("10.0.0.1") {
		t.Error("who left made no room for one")
	}
	for i := range maxConnectionsOne {
		if !enters([]string{"2001:db8::1", "2001:db8::ffff:1"}[i%2]) {
			t.Fatal("another client is kept out")
		}
	}
	if enters("2001:db8::2") || !enters("2001:db8:0:1::2") {
		t.Error("clients of IPv6 are told apart by something else than their network")
	}
	for i := 2*maxConnectionsOne + 1; i < maxConnections; i++ {
		if !enters(net.IPv4(10, 1, byte(i), 1).String()) {
			t.Fatalf("connection %d is one too many", i)
		}
	}
	if enters("10.2.2.2") {
		t.Error("there are more connections than there may be")
	}
}

// A client that opens connections and says nothing gets its share of them, and is answered again once they are gone.
func TestFloodOfConnections(t *testing.T) {
	t.Parallel()
	s, err := Listen("127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	var flood []net.Conn
	for range 4 * maxConnections {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		flood = append(flood, conn)
	}
	refused := 0
	for _, conn := range flood[maxConnectionsOne:] {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			refused++
		}
	}
	if refused != len(flood)-maxConnectionsOne {
		t.Errorf("%d of %d connections were refused", refused, len(flood))
	}
	for _, conn := range flood {
		_ = conn.Close()
	}
	answered := false
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for end := time.Now().Add(10 * time.Second); !answered && time.Now().Before(end); {
		resp, err := client.Get(s.URL())
		if answered = err == nil; answered {
			_ = resp.Body.Close()
		}
	}
	if !answered {
		t.Error("it answers no more")
	}
	if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}
