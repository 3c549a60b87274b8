package cmsclient

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

// exchangePool does what the time does.
func exchangePool(c *Client) {
	r := c.sending.own
	r.exchange(r.current.Load())
}

// fakePool counts.
type fakePool struct {
	calls, closed atomic.Int32
	hold          chan struct{} // a call waits for it; nil: no call waits
}

func (p *fakePool) Prepare(*http.Request) (http1.Exchange, error) {
	p.calls.Add(1)
	if p.hold != nil {
		<-p.hold
	}
	return http1.Exchange{}, nil
}

func (p *fakePool) CloseIdleConnections() { p.closed.Add(1) }

func TestPoolIsExchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var pools []*fakePool
		hold := make(chan struct{})
		r := newRotation(func() pool {
			mu.Lock()
			defer mu.Unlock()
			p := &fakePool{}
			if len(pools) == 0 {
				p.hold = hold
			}
			pools = append(pools, p)
			return p
		})
		call := func() {
			if _, err := r.Prepare(&http.Request{}); err != nil {
				t.Error(err)
			}
		}
		var inFlight sync.WaitGroup
		inFlight.Go(call) // is answered after the exchange
		synctest.Wait()
		time.Sleep(poolAge)
		inFlight.Go(call)
		synctest.Wait()
		first := pools[0]
		if len(pools) != 1 || first.calls.Load() != 2 || first.closed.Load() != 0 {
			t.Fatalf("too early: %d pools", len(pools))
		}
		time.Sleep(poolAge / 5)
		synctest.Wait()
		if len(pools) != 1 {
			t.Error("exchanged without a call")
		}
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(call)
		}
		wg.Wait()
		used := 0
		for _, p := range pools[1:] { // callers may make one each at the same time
			if n := p.calls.Load(); n != 0 {
				used++
				if n != 20 || p.closed.Load() != 0 {
					t.Errorf("a new pool with %d calls, closed %d times", n, p.closed.Load())
				}
			}
		}
		if used != 1 || first.calls.Load() != 2 || first.closed.Load() != 1 {
			t.Errorf("%d new pools in use, the old one has %d calls, closed %d times", used, first.calls.Load(),
				first.closed.Load())
		}
		close(hold)
		inFlight.Wait()
		if n := first.closed.Load(); n != 1 {
			t.Errorf("closed %d times after the last calls of the old pool", n)
		}
	})
}

// Connections in use are closed with their call; all others at once. There never are more than calls at the same time.
func TestOldPoolDrains(t *testing.T) {
	const inFlight = 8
	hold := make(chan struct{})
	var arrived atomic.Int32
	server, count := serveTLS(t, nil, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, goodBody[:10])
		w.(http.Flusher).Flush() // the round trip ends, the call does not
		arrived.Add(1)
		select {
		case <-hold:
		case <-r.Context().Done(): // the test has failed
		}
		io.WriteString(w, goodBody[10:])
	})
	cfg := trusting(server)
	cfg.MinInFlight, cfg.MaxInFlight = inFlight, inFlight
	client := newTestClient(t, cfg, nil)
	var wg sync.WaitGroup
	start := func(calls int32) {
		arrived.Store(0)
		for range calls {
			wg.Go(func() {
				if _, err := ask(t.Context(), client, 1); err != nil {
					t.Error(err)
				}
			})
		}
		eventually(t, "the calls arrive", func() bool { return arrived.Load() == calls })
	}
	finish := func(calls int) {
		for range calls {
			hold <- struct{}{}
		}
	}
	start(inFlight)
	finish(inFlight)
	wg.Wait()
	start(inFlight / 2)
	if n := count.opened.Load(); n != inFlight {
		t.Fatalf("%d connections", n)
	}
	exchangePool(client)
	eventually(t, "the idle half is closed", func() bool { return count.open.Load() == inFlight/2 })
	start(inFlight / 2) // on connections of the new pool, while the old half still is in use
	if opened, open := count.opened.Load(), count.open.Load(); opened != inFlight*3/2 || open != inFlight {
		t.Errorf("%d opened, %d open", opened, open)
	}
	finish(inFlight)
	wg.Wait()
	eventually(t, "the old half is closed", func() bool { return count.open.Load() == inFlight/2 })
	if n := count.opened.Load(); n != inFlight*3/2 {
		t.Errorf("%d opened", n)
	}
}

// No connection is forgotten in an old pool, whatever meets whatever.
func TestExchangesUnderLoad(t *testing.T) {
	server, count := serveTLS(t, nil, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodBody) })
	cfg := trusting(server)
	cfg.Auth = &counter{}
	client := newTestClient(t, cfg, nil)
	rotation := client.sending.own
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := ask(t.Context(), client, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		opened := count.opened.Load() // before: all may have their new connection by the time exchange returns
		rotation.exchange(rotation.current.Load())
		eventually(t, "another connection", func() bool { return count.opened.Load() != opened })
	}
	close(stop)
	wg.Wait()
	client.Close()
	eventually(t, "all connections are closed", func() bool { return count.open.Load() == 0 })
}

// nameServer answers every question for an address with the current one.
func nameServer(t *testing.T, current *atomic.Value) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if answer, err := resolve(packet[:n], current.Load().([4]byte)); err != nil {
				t.Error(err)
			} else {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func resolve(packet []byte, address [4]byte) ([]byte, error) {
	var in dnsmessage.Parser
	header, err := in.Start(packet)
	if err != nil {
		return nil, err
	}
	question, err := in.Question()
	if err != nil {
		return nil, err
	}
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	if question.Type == dnsmessage.TypeA {
		out.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: address},
		}}
	}
	return out.Pack()
}

// The CMS moves to another address and the old one goes on answering: a busy connection would stay there for ever.
func TestNewAddressIsUsed(t *testing.T) {
	var current atomic.Value
	current.Store([4]byte{127, 0, 0, 1})
	resolver := net.DefaultResolver
	net.DefaultResolver = nameServer(t, &current)
	defer func() { net.DefaultResolver = resolver }()

	var asked atomic.Value
	first, port := serveAt(t, "127.0.0.1:0", &asked)
	cfg := unhurried("http://cms.test:" + port)
	cfg.Proxy = noProxy
	client := newTestClient(t, cfg, nil)
	expect := func(address string) {
		t.Helper()
		askKept(t, client)
		if got, _, _ := net.SplitHostPort(asked.Load().(string)); got != address {
			t.Errorf("asked %s, want %s", got, address)
		}
	}
	serveAt(t, "127.0.0.2:"+port, &asked)
	expect("127.0.0.1")
	current.Store([4]byte{127, 0, 0, 2})
	expect("127.0.0.1")
	exchangePool(client)
	expect("127.0.0.2")
	eventually(t, "no connection is left to the old address", func() bool { return first.open.Load() == 0 })
	expect("127.0.0.2")
}

// serveAt starts a CMS at the address, which notes that it was asked.
func serveAt(t *testing.T, address string, asked *atomic.Value) (*connections, string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	count := &connections{}
	server := &http.Server{ConnState: count.state, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Store(listener.Addr().String())
		io.Copy(w, strings.NewReader(goodBody))
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Close()
		wg.Wait()
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return count, port
}
