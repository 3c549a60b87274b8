package cmssim_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

const mediaJSON = "application/json;charset=utf-8"

const sandboxCall = "/contracts/70001/balances?balance_codes=AVAILABLE,BLOCKED"

// TestStatusFaults checks the answers of the effect status, over a socket.
func TestStatusFaults(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	sim := server.Simulator()
	for name, c := range map[string]struct {
		fault       cmssim.Fault
		contains    string
		contentType string // "" is JSON
		retryAfter  string
	}{
		"503":            {cmssim.Fault{Status: 503}, `"Source":"Gateway","ReasonCode":"SERVICE_UNAVAILABLE"`, "", ""},
		"503 with retry": {cmssim.Fault{Status: 503, RetryAfter: 7}, "SERVICE_UNAVAILABLE", "", "7"},
		"429":            {cmssim.Fault{Status: 429, RetryAfter: 2}, "TOO_MANY_REQUESTS", "", "2"},
		"401":            {cmssim.Fault{Status: 401}, `"Source":"Gateway","ReasonCode":"AUTHENTICATION_FAILED"`, "", ""},
		"403": {cmssim.Fault{Status: 403},
			`"OPERATION_DENIED","Description":"Operation getContractBalances is disabled in your API configuration."`, "", ""},
		"own error": {cmssim.Fault{Status: 400, Source: "Gateway", ReasonCode: `A"B`, Description: "Problem"},
			`"Source":"Gateway","ReasonCode":"A\"B","Description":"Problem"`, "", ""},
		"own JSON": {cmssim.Fault{Status: 500, Body: `{"error":"x"}`}, `{"error":"x"}`, "", ""},
		"own HTML": {cmssim.Fault{Status: 502, Body: "<h1>Bad</h1>"}, "<h1>Bad</h1>", "text/html; charset=utf-8", ""},
		"401 in HTML": {cmssim.Fault{Status: 401, Body: "<html>Unauthorized</html>"}, "<html>", "text/html; charset=utf-8",
			""},
		"403 in HTML": {cmssim.Fault{Status: 403, Body: "<html>Forbidden</html>"}, "<html>", "text/html; charset=utf-8", ""},
		"404 in HTML": {cmssim.Fault{Status: 404, Body: "<html>Not Found</html>"}, "<html>", "text/html; charset=utf-8", ""},
		"404 of the gateway": {cmssim.Fault{Status: 404, Source: "Gateway", ReasonCode: "NOT_FOUND"},
			`"Source":"Gateway","ReasonCode":"NOT_FOUND"`, "", ""},
		"own text": {cmssim.Fault{Status: 504, Body: "upstream"}, "upstream", "text/plain; charset=utf-8", ""},
		"own 200":  {cmssim.Fault{Status: 200, Body: `{"encryptedData":"x"}`}, "encryptedData", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.fault.Effect = cmssim.EffectStatus
			c.fault.Count = 1
			sim.AddFault(c.fault)
			got := ask(t, client, server.URL()+sandboxCall)
			if got.status != c.fault.Status || got.header.Get("Content-Type") != cmp.Or(c.contentType, mediaJSON) ||
				!strings.Contains(got.body, c.contains) || got.header.Get("Retry-After") != c.retryAfter {
				t.Errorf("got %+v", got)
			}
			if got.header.Get("X-MC-Correlation-ID") == "" {
				t.Error("no X-MC-Correlation-ID")
			}
			if got := ask(t, client, server.URL()+sandboxCall); got.status != 200 || got.body != sandboxBoth {
				t.Errorf("after the fault: %+v", got)
			}
		})
	}
}

// TestEveryStatusHasABody: without a body of its own, a fault answers with an error that the API's schema allows.
func TestEveryStatusHasABody(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	for code := 400; code <= 599; code++ {
		sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: code, Count: 1})
		w := direct(sim, "GET", sandboxCall)
		if w.Code != code || checkErrorBody(w.Body.Bytes()) != nil {
			t.Errorf("%d: got %d %s", code, w.Code, w.Body)
		}
	}
}

// TestRetryAfterDate: by its own clock, the client that keeps to the date comes at the second or less than one later.
func TestRetryAfterDate(t *testing.T) {
	for _, offset := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(700 * time.Millisecond)
			sim := cmssim.New(cmssim.Config{ClockOffset: offset})
			fault := `{"effect":"status","status":503,"retryAfter":90,"retryAfterDate":true}`
			if w := control(sim, "POST", "/faults", fault); w.Code != 201 {
				t.Fatalf("adding: %d %s", w.Code, w.Body)
			}
			want := time.Now().Add(offset + 90*time.Second + 300*time.Millisecond).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
			if got := direct(sim, "GET", sandboxCall).Header().Get("Retry-After"); got != want {
				t.Errorf("offset %v: got %s, want %s", offset, got, want)
			}
		})
	}
}

func TestDelayFault(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	const delay = 30 * time.Millisecond
	server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectDelay, Delay: delay})
	began := time.Now()
	got := ask(t, client, server.URL()+sandboxCall)
	if took := time.Since(began); took < delay || got.status != 200 || got.body != sandboxBoth {
		t.Errorf("after %v: %+v", took, got)
	}
}

func TestHangFaultEndsWithTheClient(t *testing.T) {
	server, client := start(t, cmssim.Config{Record: true})
	sim := server.Simulator()
	sim.AddFault(cmssim.Fault{Effect: cmssim.EffectHang})
	ctx, giveUp := context.WithCancel(t.Context())
	result := goAsk(ctx, client, server.URL()+sandboxCall)
	eventually(t, "the call is in flight", func() bool { return len(sim.Calls(70001)) == 1 && sim.Stats().InFlight == 1 })
	if calls := sim.Calls(70001); calls[0].Status != 0 {
		t.Errorf("the hanging call has status %d", calls[0].Status)
	}
	sim.ClearFaults() // a hanging call goes on hanging
	select {
	case err := <-result:
		t.Fatalf("the call ended: %v", err)
	default:
	}
	giveUp()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	eventually(t, "nothing in flight", func() bool { return sim.Stats().InFlight == 0 })
	if got := sim.Stats(); got.Unanswered != 1 || len(got.ByStatus) != 0 {
		t.Errorf("stats: %+v", got)
	}
}

// TestCloseEndsHangingCalls: the client sees a cut connection, not an empty 200. goleak checks the rest.
func TestCloseEndsHangingCalls(t *testing.T) {
	for name, fault := range map[string]cmssim.Fault{
		"hang":  {Effect: cmssim.EffectHang},
		"delay": {Effect: cmssim.EffectDelay, Delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := start(t, cmssim.Config{})
			server.Simulator().AddFault(fault)
			result := goAsk(t.Context(), client, server.URL()+sandboxCall)
			eventually(t, "the call is in flight", func() bool { return server.Simulator().Stats().InFlight == 1 })
			if err := server.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if got := server.Simulator().Stats().InFlight; got != 0 {
				t.Errorf("%d calls outlive Close", got)
			}
			if err := <-result; err == nil {
				t.Error("the call was answered")
			}
		})
	}
}

// TestClosedSimulatorCutsHangingCalls: also behind a server that stays open, the client gets no empty 200.
func TestClosedSimulatorCutsHangingCalls(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectHang})
	result := goAsk(t.Context(), client, server.URL()+sandboxCall)
	eventually(t, "the call is in flight", func() bool { return server.Simulator().Stats().InFlight == 1 })
	server.Simulator().Close()
	if err := <-result; !errors.Is(err, io.EOF) {
		t.Errorf("want a cut connection, got: %v", err)
	}
}

// TestCloseEndsCallsWithAnUnreadBody: net/http notices that a client is gone only after the request's body was read, so
// such a call would hang for ever if Close relied on the request's context.
func TestCloseEndsCallsWithAnUnreadBody(t *testing.T) {
	server, _ := start(t, cmssim.Config{})
	server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectHang})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address(server))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: sim\r\nContent-Length: 100\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the call is in flight", func() bool { return server.Simulator().Stats().InFlight == 1 })
	if err := server.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestResetFault(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectReset, Count: 1})
	if _, err := tryAsk(t.Context(), client, server.URL()+sandboxCall); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("want a connection reset, got: %v", err)
	}
	if got := ask(t, client, server.URL()+sandboxCall); got.body != sandboxBoth {
		t.Errorf("after the reset: %+v", got)
	}
	if got := server.Simulator().Stats(); got.Unanswered != 1 || got.Faulted != 1 || got.Connections != 2 {
		t.Errorf("stats: %+v", got)
	}
}

func TestTruncateFault(t *testing.T) {
	for mode, promised := range map[string]int64{
		"": int64(len(sandboxBoth)), cmssim.ModeLength: int64(len(sandboxBoth)), cmssim.ModeChunked: -1,
	} {
		t.Run("mode "+mode, func(t *testing.T) {
			server, client := start(t, cmssim.Config{})
			server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectTruncate, Mode: mode, Count: 1})
			got, err := tryAsk(t.Context(), client, server.URL()+sandboxCall)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("want an unexpected EOF, got: %v", err)
			}
			if got.status != 200 || got.length != promised || got.body != sandboxBoth[:len(sandboxBoth)/2] {
				t.Errorf("got %+v", got)
			}
			if got := ask(t, client, server.URL()+sandboxCall); got.body != sandboxBoth {
				t.Errorf("after the fault: %+v", got)
			}
		})
	}
}

func TestGarbageFault(t *testing.T) {
	for name, c := range map[string]struct {
		fault cmssim.Fault
		valid bool // as JSON
	}{
		"default": {cmssim.Fault{}, false},
		"html":    {cmssim.Fault{Mode: cmssim.ModeHTML}, false},
		"shape":   {cmssim.Fault{Mode: cmssim.ModeShape}, true},
		"own":     {cmssim.Fault{Body: `{"contractBalances":[`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := start(t, cmssim.Config{})
			c.fault.Effect = cmssim.EffectGarbage
			server.Simulator().AddFault(c.fault)
			got := ask(t, client, server.URL()+sandboxCall)
			var shape struct{ ContractBalances []struct{ BalanceID int64 } }
			if got.status != 200 || json.Valid([]byte(got.body)) != c.valid || json.Unmarshal([]byte(got.body), &shape) == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestCapacityLimit(t *testing.T) {
	server, client := start(t, cmssim.Config{MaxConcurrent: 1})
	sim := server.Simulator()
	sim.AddFault(cmssim.Fault{Effect: cmssim.EffectHang, Count: 1})
	ctx, giveUp := context.WithCancel(t.Context())
	first := goAsk(ctx, client, server.URL()+sandboxCall)
	eventually(t, "the first call is in flight", func() bool { return sim.Stats().InFlight == 1 })
	got := ask(t, client, server.URL()+sandboxCall)
	if got.status != 429 || got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "TOO_MANY_REQUESTS") {
		t.Errorf("above the limit: %+v", got)
	}
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first call got %v", err)
	}
	eventually(t, "the first call is over", func() bool { return sim.Stats().InFlight == 0 })
	if got := ask(t, client, server.URL()+sandboxCall); got.status != 200 {
		t.Errorf("below the limit: %+v", got)
	}
}
