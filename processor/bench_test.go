package processor

import (
	"context"
	"net/http"
	"testing"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// atOnceTransport answers every call with the same balance.
type atOnceTransport struct{}

func (atOnceTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return balancesOf(call{contract: 42}, []string{"AVAILABLE"})
}

// benchLane is a lane with the same request in it again and again.
type benchLane struct{ req *inflight.Request }

func (*benchLane) Contract() int64                                 { return 42 }
func (l *benchLane) Take(_ int, join func(*inflight.Request) bool) { join(l.req) }
func (*benchLane) StepAside(_ context.Context, wait func())        { wait() }

// benchSlot is a slot that completes for nothing.
type benchSlot struct{ inflight.Slot }

func (benchSlot) Owned() bool                               { return true }
func (benchSlot) Complete(context.Context, schemas.Outcome) {}

// BenchmarkHandle is one request that is answered by one call.
func BenchmarkHandle(b *testing.B) {
	cfg := cmsclient.DefaultConfig()
	cfg.URL, cfg.Transport = "http://cms.test", atOnceTransport{}
	client, err := cmsclient.New(cfg, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	p := New(Config{MaxAttempts: 1}, client, zerolog.Nop())
	lane := &benchLane{request(42, 1)}
	lane.req.Slot = benchSlot{}
	b.ReportAllocs()
	for b.Loop() {
		p.Handle(b.Context(), lane)
	}
}
