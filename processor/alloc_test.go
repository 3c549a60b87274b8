//go:build !race

package processor

import (
	"testing"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
)

// What a request that one call answers costs in allocations, at most, the call included and its transport not. Who
// lowers the figure lowers the budget.
func TestAllocations(t *testing.T) {
	cfg := cmsclient.DefaultConfig()
	cfg.URL, cfg.Transport = "http://cms.test", atOnceTransport{}
	client, err := cmsclient.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := New(Config{MaxAttempts: 1}, client, zerolog.Nop())
	lane := &benchLane{request(42, 1)}
	lane.req.Slot = benchSlot{}
	const budget = 31
	if n := testing.AllocsPerRun(500, func() { p.Handle(t.Context(), lane) }); n > budget {
		t.Errorf("%v allocations, want at most %v", n, budget)
	}
}
