package processor_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/schemas"
)

// lane is the simplest one: it is handled once.
type lane struct{ waiting []*inflight.Request }

func (l *lane) Contract() int64 { return l.waiting[0].Contract() }

func (l *lane) Take(most int, join func(*inflight.Request) bool) {
	for ; most > 0 && len(l.waiting) > 0 && join(l.waiting[0]); most-- {
		l.waiting = l.waiting[1:]
	}
}

func (l *lane) StepAside(_ context.Context, wait func()) { wait() }

// slot prints the outcome of its request.
type slot struct {
	inflight.Slot // the processor uses no more of it than what follows
	id            string
}

func (slot) Owned() bool              { return true }
func (slot) Revoked() <-chan struct{} { return nil }

func (s slot) Complete(_ context.Context, out schemas.Outcome) {
	if d := out.DeadLetter; d != nil {
		fmt.Printf("%s: dead letter: %s\n", s.id, d.Reason)
		return
	}
	fmt.Printf("%s: %s, %d balances\n", s.id, out.Result.Outcome, len(out.Result.Balances))
}

func request(id string, contract int64, codes ...string) *inflight.Request {
	return &inflight.Request{Slot: slot{id: id}, Request: schemas.Request{ID: id, ContractID: contract,
		BalanceCodes: codes}}
}

// Requests of one contract that wait together share one call. One whose deadline has passed is not asked for.
func Example() {
	cms := httptest.NewServer(cmssim.New(cmssim.Config{}))
	defer cms.Close()
	settings := cmsclient.DefaultConfig()
	settings.URL = cms.URL
	client, err := cmsclient.New(settings, nil)
	if err != nil {
		panic(err)
	}
	defer client.Close()

	p := processor.New(processor.Config{MaxAttempts: 3, Coalesce: true}, client, zerolog.Nop())
	late := request("r-3", 42, "AVAILABLE")
	late.Request.Deadline = time.Now().Add(-time.Second)
	p.Handle(context.Background(), &lane{waiting: []*inflight.Request{
		request("r-1", 42, "AVAILABLE"), request("r-2", 42, "AVAILABLE", "NO_SUCH_CODE"), late,
	}})
	fmt.Println(p.CallsSaved(), "call saved")
	// Output:
	// r-3: dead letter: expired
	// r-1: complete, 1 balances
	// r-2: partial, 1 balances
	// 1 call saved
}
