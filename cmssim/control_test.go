package cmssim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// TestControlRefuses: everything that is not exactly right is a 400 that names the member, and changes nothing.
func TestControlRefuses(t *testing.T) {
	for name, c := range map[string]struct{ path, body, field, message string }{
		"no body":           {"/faults", ``, "", "no valid JSON"},
		"no JSON":           {"/faults", `effect=status`, "", "no valid JSON"},
		"trailing data":     {"/faults", `{"effect":"hang"} x`, "", "no valid JSON"},
		"broken UTF-8":      {"/faults", "{\"effect\":\"\xff\"}", "", "no valid JSON"},
		"a list":            {"/faults", `[{"effect":"hang"}]`, "body", "must be an object"},
		"null":              {"/faults", `null`, "effect", "is required"},
		"unknown member":    {"/faults", `{"effect":"hang","cuont":1}`, "cuont", "is no known member"},
		"unknown in match":  {"/faults", `{"effect":"hang","match":{"contract":1}}`, "match.contract", "is no known member"},
		"percent as text":   {"/faults", `{"effect":"hang","match":{"percent":"5"}}`, "match.percent", "must be a number"},
		"other case":        {"/faults", `{"Effect":"hang"}`, "Effect", "is no known member"},
		"duplicate member":  {"/faults", `{"effect":"hang","effect":"reset"}`, "effect", "is there more than once"},
		"text for a number": {"/faults", `{"effect":"status","status":"503"}`, "status", "must be a whole number"},
		"fraction":          {"/faults", `{"effect":"status","status":503.5}`, "status", "must be a whole number"},
		"text for a boolean": {"/faults", `{"effect":"status","retryAfterDate":"true"}`, "retryAfterDate",
			"must be true or false"},
		"number for a text": {"/faults", `{"effect":1}`, "effect", "must be a text in quotes"},
		"number of seconds": {"/faults", `{"effect":"hang","for":30}`, "for", `must be a duration in quotes, such as "5s"`},
		"no duration":       {"/faults", `{"effect":"hang","for":"30"}`, "for", "is no duration such as"},
		"contract as text": {"/faults", `{"effect":"hang","match":{"contracts":[1,"2"]}}`, "match.contracts.1",
			"a whole number"},
		"contracts no list": {"/faults", `{"effect":"hang","match":{"contracts":7}}`, "match.contracts", "must be a list"},
		"no contracts": {"/faults", `{"effect":"hang","match":{"contracts":[]}}`, "match.contracts",
			"must not be empty"},
		"contract 0":         {"/faults", `{"effect":"hang","match":{"contracts":[0]}}`, "match.contracts.0", "must be 1 to"},
		"every 0":            {"/faults", `{"effect":"hang","match":{"every":0}}`, "match.every", "at least 1"},
		"percent 0":          {"/faults", `{"effect":"hang","match":{"percent":0}}`, "match.percent", "more than 0"},
		"count 0":            {"/faults", `{"effect":"hang","count":0}`, "count", "at least 1"},
		"for 0":              {"/faults", `{"effect":"hang","for":"0s"}`, "for", "more than 0s"},
		"status 0":           {"/faults", `{"effect":"hang","status":0}`, "status", "must be 400"},
		"retryAfter 0":       {"/faults", `{"effect":"status","status":429,"retryAfter":0}`, "retryAfter", "must be 1"},
		"id given":           {"/faults", `{"effect":"hang","id":"mine"}`, "id", "is given by the simulator"},
		"state given":        {"/faults", `{"effect":"hang","state":{"taken":0}}`, "state", "is given by the simulator"},
		"outage 0":           {"/faults", `{"outage":"0s"}`, "outage", "more than 0s"},
		"outage and for":     {"/faults", `{"outage":"1s","for":"2s"}`, "for", "cannot be combined with outage"},
		"outage and hang":    {"/faults", `{"outage":"1s","effect":"hang"}`, "effect", "with outage must be status or reset"},
		"latency absent":     {"/latency", `{"jitter":"1ms"}`, "latency", "is required"},
		"latency negative":   {"/latency", `{"latency":"-1ms"}`, "latency", "must be 0s to 24h"},
		"jitter too long":    {"/latency", `{"latency":"1ms","jitter":"25h"}`, "jitter", "must be 0s to 24h"},
		"latency misspelled": {"/latency", `{"latencyMs":1}`, "latencyMs", "is no known member"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := cmssim.New(cmssim.Config{Latency: time.Millisecond})
			w := control(sim, "POST", c.path, c.body)
			var got struct{ Error, Field string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("undecodable: %v: %s", err, w.Body)
			}
			if w.Code != 400 || got.Field != c.field ||
				!strings.Contains(got.Error, c.message) || !strings.HasPrefix(got.Error, c.field) {
				t.Errorf("got %d %+v", w.Code, got)
			}
			if base, _ := sim.Latency(); len(sim.Faults()) != 0 || base != time.Millisecond {
				t.Error("the refused request changed something")
			}
		})
	}
}

func TestControlBodyTooLarge(t *testing.T) {
	w := control(cmssim.New(cmssim.Config{}), "POST", "/faults", `{"body":"`+strings.Repeat("x", 300<<10)+`"}`)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestControlFaults walks through the life of faults from another process's view.
func TestControlFaults(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	full := `{"match":{"contracts":[7,8],"every":2},"effect":"status","status":429,"source":"S","reasonCode":"R",` +
		`"description":"D","retryAfter":3,"retryAfterDate":true,"delay":"1ms","count":4,"for":"1h0m0s"}`
	if w := control(sim, "POST", "/faults", full); w.Code != 201 || w.Body.String() != `{"id":"f1",`+full[1:]+"\n" {
		t.Errorf("adding: %d %s", w.Code, w.Body)
	}
	for _, outage := range [][2]string{
		{`{"outage":"30s","effect":"reset"}`, `{"id":"f2","effect":"reset","for":"30s"}`},
		{`{"outage":"30s"}`, `{"id":"f3","effect":"status","status":503,"for":"30s"}`},
	} {
		if w := control(sim, "POST", "/faults", outage[0]); w.Code != 201 || w.Body.String() != outage[1]+"\n" {
			t.Errorf("%s: %d %s", outage[0], w.Code, w.Body)
		}
	}
	if w := control(sim, "DELETE", "/faults/f2", ""); w.Code != 200 || w.Body.String() != `{"removed":1}`+"\n" {
		t.Errorf("removing one: %d %s", w.Code, w.Body)
	}
	if w := control(sim, "DELETE", "/faults/f2", ""); w.Code != 404 {
		t.Errorf("removing it again: %d %s", w.Code, w.Body)
	}
	expectStatuses(t, sim, 7, 503, 429)
	expectStatuses(t, sim, 1, 503)

	var list struct {
		Faults []struct {
			ID    string
			State struct {
				Taken, Remaining int
				EndsIn           string
			}
		}
	}
	if err := json.Unmarshal(control(sim, "GET", "/faults", "").Body.Bytes(), &list); err != nil {
		t.Fatalf("listing: %v", err)
	}
	if f := list.Faults; len(f) != 2 || f[0].ID != "f1" || f[0].State.Taken != 1 || f[0].State.Remaining != 3 ||
		f[1].ID != "f3" || f[1].State.Taken != 2 || f[1].State.EndsIn == "" {
		t.Errorf("listed: %+v", list)
	}
	if w := control(sim, "DELETE", "/faults", ""); w.Body.String() != `{"removed":2}`+"\n" {
		t.Errorf("removing all: %d %s", w.Code, w.Body)
	}
	if w := control(sim, "GET", "/faults", ""); w.Body.String() != `{"faults":[]}`+"\n" {
		t.Errorf("listing none: %s", w.Body)
	}
}

func TestControlLatency(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	w := control(sim, "POST", "/latency", `{"latency":"2ms","jitter":"1ms"}`)
	if base, jitter := sim.Latency(); w.Code != 200 || base != 2*time.Millisecond || jitter != time.Millisecond {
		t.Errorf("set to %v %v: %d %s", base, jitter, w.Code, w.Body)
	}
	if w := control(sim, "POST", "/latency", `{"latency":"0s"}`); w.Body.String() != `{"latency":"0s","jitter":"0s"}`+
		"\n" {
		t.Errorf("set to none: %s", w.Body)
	}
	if w := control(sim, "GET", "/latency", ""); w.Body.String() != `{"latency":"0s","jitter":"0s"}`+"\n" {
		t.Errorf("asked: %s", w.Body)
	}
}

func TestControlPathsAndMethods(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	for target, want := range map[string]int{
		"GET /": 200, "GET /nothing": 404, "PUT /faults": 405, "GET /reset": 405, "POST /reset": 200, "POST /stats": 405,
	} {
		method, path, _ := strings.Cut(target, " ")
		if w := control(sim, method, path, ""); w.Code != want {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	if got := sim.Stats().Calls; got != 0 {
		t.Errorf("control requests count as %d calls", got)
	}
}

// TestControlOverASocket is what a person types.
func TestControlOverASocket(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	body := strings.NewReader(`{"outage":"1m"}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.ControlURL()+"/faults", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded") // curl -d
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if got := ask(t, client, server.URL()+sandboxCall); response.StatusCode != 201 || got.status != 503 {
		t.Errorf("got %d, then %d", response.StatusCode, got.status)
	}
	if got := ask(t, client, server.ControlURL()); got.status != 200 || !strings.Contains(got.body, "/_sim/faults") {
		t.Errorf("help: %+v", got)
	}
}
