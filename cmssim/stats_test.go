package cmssim_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		sim := cmssim.New(cmssim.Config{})
		expectStatuses(t, sim, 1, 200, 200)
		time.Sleep(time.Second)
		expectStatuses(t, sim, 404, 404)
		fault := status(503)
		fault.Match.Contracts = []int64{2}
		sim.AddFault(fault)
		expectStatuses(t, sim, 2, 503)
		expectStatuses(t, sim, 1, 200) // during the fault, but not taken by it
		got := sim.Stats()
		if got.Calls != 5 || !maps.Equal(got.ByStatus, map[int]int64{200: 3, 404: 1, 503: 1}) || got.InFlight != 0 ||
			got.MaxInFlight != 1 || got.DuringFaults != 2 || got.Faulted != 1 || got.Unanswered != 0 {
			t.Errorf("stats: %+v", got)
		}
		if !got.First.Equal(began) || !got.Last.Equal(began.Add(time.Second)) {
			t.Errorf("first %v, last %v", got.First, got.Last)
		}
		want := `{"calls":5,"byStatus":{"200":3,"404":1,"503":1},"unanswered":0,"inFlight":0,"maxInFlight":1,"connections":0,` +
			`"duringFaults":2,"faulted":1,"first":"` + got.First.Format(time.RFC3339Nano) +
			`","last":"` + got.Last.Format(time.RFC3339Nano) + "\"}\n"
		if w := control(sim, "GET", "/stats", ""); w.Body.String() != want {
			t.Errorf("over HTTP: %s\nwant %s", w.Body, want)
		}
		sim.Reset()
		if got := sim.Stats(); !reflect.DeepEqual(got, cmssim.Stats{ByStatus: map[int]int64{}}) || len(sim.Faults()) != 0 {
			t.Errorf("after Reset: %+v", got)
		}
	})
}

func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := cmssim.New(cmssim.Config{Latency: time.Second})
		for range 5 {
			go direct(sim, "GET", sandboxCall)
		}
		synctest.Wait()
		if got := sim.Stats(); got.InFlight != 5 {
			t.Errorf("in flight: %d", got.InFlight)
		}
		sim.Reset()
		time.Sleep(2 * time.Second)
		if got := sim.Stats(); got.InFlight != 0 || got.MaxInFlight != 5 {
			t.Errorf("after calls that outlived a Reset: %+v", got)
		}
	})
}

func TestConnections(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	for range 3 {
		ask(t, client, server.URL()+sandboxCall)
	}
	if got := server.Simulator().Stats().Connections; got != 1 {
		t.Errorf("%d connections for three calls of one client", got)
	}
	client.CloseIdleConnections()
	ask(t, client, server.URL()+sandboxCall)
	if got := server.Simulator().Stats().Connections; got != 2 {
		t.Errorf("%d connections after closing the first", got)
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := cmssim.New(cmssim.Config{Record: true})
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/contracts/5/balances?balance_codes=CB%2CDUE", nil)
		r.Header.Set("Correlation-Id", "abc")
		sim.ServeHTTP(httptest.NewRecorder(), r)
		time.Sleep(time.Second)
		direct(sim, "GET", "/contracts/5/balances")
		direct(sim, "GET", "/contracts/6/balances?balance_codes=CB")
		direct(sim, "GET", "/elsewhere")

		calls := sim.Calls(5)
		if len(calls) != 2 {
			t.Fatalf("recorded: %+v", calls)
		}
		if c := calls[0]; !slices.Equal(c.Codes, []string{"CB", "DUE"}) || c.CorrelationID != "abc" ||
			c.Status != 200 || c.ContractID != 5 {
			t.Errorf("first: %+v", c)
		}
		if c := calls[1]; c.Codes != nil || c.Status != 400 || c.Time.Sub(calls[0].Time) != time.Second {
			t.Errorf("second: %+v", c)
		}
		if got := sim.CallsByContract(); !maps.Equal(got, map[int64]int64{5: 2, 6: 1}) {
			t.Errorf("by contract: %v", got)
		}
		sim.Reset()
		if got := sim.Calls(5); len(got) != 0 {
			t.Errorf("after Reset: %+v", got)
		}
	})
}

func TestCallsAreBounded(t *testing.T) {
	const kept = 65536
	sim := cmssim.New(cmssim.Config{Record: true})
	w, r := &discard{make(http.Header)}, httptest.NewRequestWithContext(context.Background(), "GET", "/?balance_codes=CB",
		nil)
	for id := range kept + 3 {
		r.URL.Path = fmt.Sprintf("/contracts/%d/balances", id+1)
		sim.ServeHTTP(w, r)
	}
	if got := len(sim.CallsByContract()); got != kept {
		t.Errorf("%d calls kept", got)
	}
	if len(sim.Calls(3)) != 0 || len(sim.Calls(4)) != 1 || len(sim.Calls(kept+3)) != 1 {
		t.Error("not the latest calls were kept")
	}
}

func TestStatsByContract(t *testing.T) {
	sim := cmssim.New(cmssim.Config{Record: true})
	expectStatuses(t, sim, 9, 200)
	w := control(sim, "GET", "/stats?by=contract", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"byContract":{"9":1}`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := control(sim, "GET", "/stats?by=status", ""); w.Code != 400 {
		t.Errorf("unknown grouping: %d %s", w.Code, w.Body)
	}
	off := cmssim.New(cmssim.Config{})
	expectStatuses(t, off, 9, 200)
	if w := control(off, "GET", "/stats?by=contract", ""); w.Code != 400 || len(off.Calls(9)) != 0 {
		t.Errorf("without recording: %d %s", w.Code, w.Body)
	}
}
