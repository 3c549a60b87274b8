//go:build !race

package processor

import (
	"context"
	"net"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
)

// What a call that waits for its answer keeps of a stack, at most, in bytes; the race detector makes frames larger.
// Thousands may wait, so these are most of what the program takes then. Who lowers a figure lowers its limit.
const (
	// waitingDepth is what is in use of it, from Handle on: the collector halves a stack of 8 kB where less than a quarter
	// is used, of which Go keeps 800 bytes for itself, and the consumer's workers have 240 below Handle.
	waitingDepth = 8192/4 - 800 - 240
	// waitingSize is what it takes before the collector has come by: a call gets ready on 4 kB. The rest is for the stacks
	// of those who have connected.
	waitingSize = 7000
)

func TestStackOfACallThatWaits(t *testing.T) {
	const calls = 400
	url, accept := silent(t)
	cfg := cmsclient.DefaultConfig()
	cfg.URL, cfg.MaxInFlight = url, calls
	cfg.Timeout, cfg.Breaker.Window = 10*time.Minute, time.Hour
	client, err := cmsclient.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := New(Config{MaxAttempts: 1}, client, zerolog.Nop())
	ctx, stop := context.WithCancel(t.Context())
	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer stop()

	collectTwice()
	size, used := ofStacks("/memory/classes/heap/stacks:bytes"), ofStacks("/gc/scan/stack:bytes")
	for range calls {
		lane := &benchLane{request(42, 1)}
		lane.req.Slot = benchSlot{}
		handlers.Go(func() { p.Handle(ctx, lane) })
	}
	accept(calls)
	if each := (ofStacks("/memory/classes/heap/stacks:bytes") - size) / calls; each > waitingSize {
		t.Errorf("the stacks take %d bytes a call once it is ready, want at most %d", each, waitingSize)
	}
	collectTwice() // the first run may meet those that are about to wait
	if each := (ofStacks("/gc/scan/stack:bytes") - used) / calls; each > waitingDepth {
		t.Errorf("%d bytes of stack are in use a call, want at most %d", each, waitingDepth)
	}
}

// silent is a server that answers nothing. accept returns when so many requests have begun to come. It has no
// goroutines of its own: the stacks are those of its clients.
func silent(t *testing.T) (url string, accept func(requests int)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return "http://" + listener.Addr().String(), func(requests int) {
		for range requests {
			conn, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func collectTwice() {
	runtime.GC()
	runtime.GC()
}

// ofStacks reads one of Go's metrics (runtime/metrics).
func ofStacks(name string) int64 {
	one := []metrics.Sample{{Name: name}}
	metrics.Read(one)
	return int64(one[0].Value.Uint64())
}
