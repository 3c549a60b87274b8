package cmssim_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

func status(code int) cmssim.Fault { return cmssim.Fault{Effect: cmssim.EffectStatus, Status: code} }

// statuses calls the simulator n times about one contract.
func statuses(sim http.Handler, contractID int64, n int) []int {
	var out []int
	for range n {
		out = append(out, direct(sim, "GET", fmt.Sprintf("/contracts/%d/balances?balance_codes=CB", contractID)).Code)
	}
	return out
}

func expectStatuses(t *testing.T, sim http.Handler, contractID int64, want ...int) {
	t.Helper()
	if got := statuses(sim, contractID, len(want)); !slices.Equal(got, want) {
		t.Errorf("contract %d: got %v, want %v", contractID, got, want)
	}
}

func TestMatchContracts(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	fault := status(500)
	fault.Match.Contracts = []int64{1, 2}
	sim.AddFault(fault)
	expectStatuses(t, sim, 1, 500, 500)
	expectStatuses(t, sim, 2, 500)
	expectStatuses(t, sim, 3, 200)
	if w := direct(sim, "GET", "/other"); w.Code != 404 {
		t.Errorf("other path: %d", w.Code)
	}
}

// TestMatchAll: an outage has no exceptions, but the control endpoint stays.
func TestMatchAll(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	sim.Outage(time.Hour)
	for _, target := range []string{"/", "/contracts/1/balances", "/contracts/x/balances", sandboxCall} {
		if w := direct(sim, "GET", target); w.Code != 503 {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	if w := control(sim, "GET", "/stats", ""); w.Code != 200 {
		t.Errorf("control endpoint: %d", w.Code)
	}
}

func TestMatchEvery(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	fault := status(500)
	fault.Match = cmssim.Match{Every: 3, Contracts: []int64{1}}
	sim.AddFault(fault)
	expectStatuses(t, sim, 1, 200, 200)
	expectStatuses(t, sim, 2, 200, 200) // of other contracts: not counted
	expectStatuses(t, sim, 1, 500, 200, 200, 500)
}

func TestMatchPercent(t *testing.T) {
	fault := status(500)
	fault.Match.Percent = 20
	run := func(seed uint64) (out []int) {
		sim := cmssim.New(cmssim.Config{Seed: seed})
		sim.AddFault(fault)
		return statuses(sim, 1, 2000)
	}
	first := run(1)
	failed := 0
	for _, code := range first {
		if code == 500 {
			failed++
		}
	}
	if failed < 300 || failed > 500 { // 400 expected, standard deviation 18
		t.Errorf("%d of 2000 failed", failed)
	}
	if !slices.Equal(first, run(1)) {
		t.Error("the same seed gives another sequence")
	}
	if slices.Equal(first, run(2)) {
		t.Error("another seed gives the same sequence")
	}
	fault.Match.Percent = 100
	if slices.Contains(run(3), 200) {
		t.Error("100 percent let a call pass")
	}
}

// TestOrder: the first matching rule takes the call, also from the counting of later ones.
func TestOrder(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	first, second := status(500), status(502)
	first.Count, second.Count = 2, 1
	sim.AddFault(first)
	sim.AddFault(second)
	expectStatuses(t, sim, 1, 500, 500, 502, 200)
	if left := sim.Faults(); len(left) != 0 {
		t.Errorf("used-up faults are still listed: %+v", left)
	}
}

func TestFaultEndsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := cmssim.New(cmssim.Config{})
		id := sim.Outage(10 * time.Second)
		fault := status(500)
		fault.Count = 5
		sim.AddFault(fault)
		expectStatuses(t, sim, 1, 503)
		time.Sleep(10*time.Second - time.Nanosecond)
		expectStatuses(t, sim, 1, 503)
		list := sim.Faults()
		if len(list) != 2 || list[0].ID != id || list[0].Taken != 2 || list[0].EndsIn != time.Nanosecond ||
			list[1].Remaining != 5 {
			t.Errorf("listed: %+v", list)
		}
		time.Sleep(time.Nanosecond)
		expectStatuses(t, sim, 1, 500)
		if list := sim.Faults(); len(list) != 1 || list[0].Remaining != 4 || list[0].Taken != 1 {
			t.Errorf("listed: %+v", list)
		}
		if sim.RemoveFault(id) {
			t.Error("a fault that is over could be removed")
		}
	})
}

func TestRemoveFaults(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	first, second := sim.AddFault(status(500)), sim.AddFault(status(502))
	if first == second {
		t.Fatalf("two faults have the id %s", first)
	}
	if sim.RemoveFault("") || sim.RemoveFault("f99") {
		t.Error("an unknown id was removed")
	}
	if !sim.RemoveFault(first) || sim.RemoveFault(first) {
		t.Error("removing once, and only once, does not work")
	}
	expectStatuses(t, sim, 1, 502)
	if n := sim.ClearFaults(); n != 1 {
		t.Errorf("%d faults cleared", n)
	}
	expectStatuses(t, sim, 1, 200)
}

// TestCountIsExactUnderConcurrency: a rule never takes more calls than its count, however many arrive at once.
func TestCountIsExactUnderConcurrency(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	fault := status(500)
	fault.Count = 100
	sim.AddFault(fault)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { statuses(sim, 1, 50) })
	}
	wg.Wait()
	if got := sim.Stats(); got.ByStatus[500] != 100 || got.ByStatus[200] != 300 || got.Faulted != 100 || got.Calls != 400 {
		t.Errorf("stats: %+v", got)
	}
}

func TestAddFaultPanicsOnAMistake(t *testing.T) {
	defer func() {
		if got := recover(); got == nil || !strings.Contains(fmt.Sprint(got), "status: must be") {
			t.Errorf("recovered %v", got)
		}
	}()
	cmssim.New(cmssim.Config{}).AddFault(status(99))
}

func TestValidate(t *testing.T) {
	matching := func(m cmssim.Match) cmssim.Fault { return cmssim.Fault{Effect: cmssim.EffectHang, Match: m} }
	garbage := func(f cmssim.Fault) cmssim.Fault { f.Effect = cmssim.EffectGarbage; return f }
	for name, c := range map[string]struct {
		fault cmssim.Fault
		field string // "" is valid
	}{
		"status":              {status(503), ""},
		"status 600":          {status(600), "status"},
		"status 302":          {status(302), "status"},
		"status absent":       {status(0), "status"},
		"200 without body":    {status(200), "body"},
		"no effect":           {cmssim.Fault{}, "effect"},
		"unknown effect":      {cmssim.Fault{Effect: "explode"}, "effect"},
		"delay without delay": {cmssim.Fault{Effect: cmssim.EffectDelay}, "delay"},
		"delay negative":      {cmssim.Fault{Effect: cmssim.EffectDelay, Delay: -1}, "delay"},
		"hang with delay":     {cmssim.Fault{Effect: cmssim.EffectHang, Delay: 1}, "delay"},
		"reset with delay":    {cmssim.Fault{Effect: cmssim.EffectReset, Delay: 1}, ""},
		"reset with status":   {cmssim.Fault{Effect: cmssim.EffectReset, Status: 500}, "status"},
		"hang with body":      {cmssim.Fault{Effect: cmssim.EffectHang, Body: "x"}, "body"},
		"retryAfter with 500": {cmssim.Fault{Effect: cmssim.EffectStatus, Status: 500, RetryAfter: 1}, "retryAfter"},
		"retryAfter negative": {cmssim.Fault{Effect: cmssim.EffectStatus, Status: 429, RetryAfter: -1}, "retryAfter"},
		"date without seconds": {cmssim.Fault{Effect: cmssim.EffectStatus, Status: 429, RetryAfterDate: true},
			"retryAfterDate"},
		"date": {cmssim.Fault{Effect: cmssim.EffectStatus, Status: 429, RetryAfter: 1, RetryAfterDate: true},
			""},
		"body and source":      {cmssim.Fault{Effect: cmssim.EffectStatus, Status: 500, Body: "x", Source: "y"}, "source"},
		"source no UTF-8":      {cmssim.Fault{Effect: cmssim.EffectStatus, Status: 500, Source: "\xff"}, "source"},
		"body too long":        {garbage(cmssim.Fault{Body: strings.Repeat("x", 64<<10+1)}), "body"},
		"mode of truncate":     {garbage(cmssim.Fault{Mode: cmssim.ModeChunked}), "mode"},
		"mode of garbage":      {cmssim.Fault{Effect: cmssim.EffectTruncate, Mode: cmssim.ModeHTML}, "mode"},
		"mode with status":     {cmssim.Fault{Effect: cmssim.EffectStatus, Status: 500, Mode: cmssim.ModeHTML}, "mode"},
		"count negative":       {cmssim.Fault{Effect: cmssim.EffectHang, Count: -1}, "count"},
		"for negative":         {cmssim.Fault{Effect: cmssim.EffectHang, For: -1}, "for"},
		"contract 0":           {matching(cmssim.Match{Contracts: []int64{1, 0}}), "match.contracts.1"},
		"every negative":       {matching(cmssim.Match{Every: -1}), "match.every"},
		"percent above 100":    {matching(cmssim.Match{Percent: 100.5}), "match.percent"},
		"percent not a number": {matching(cmssim.Match{Percent: math.NaN()}), "match.percent"},
		"every and percent":    {matching(cmssim.Match{Every: 2, Percent: 5}), "match.percent"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.fault.Validate()
			if c.field == "" && err != nil || c.field != "" && (err == nil || !strings.HasPrefix(err.Error(), c.field+": ")) {
				t.Errorf("got %v, want an error about %q", err, c.field)
			}
		})
	}
}
