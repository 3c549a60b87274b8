package telemetry

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// headers of requests as browsers and tools send them.
var (
	rebound    = map[string]string{"Host": "attacker.example:8080"} // plain HTTP to a name: no Sec-Fetch-Site, no Origin
	otherSite  = map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
	otherPort  = map[string]string{"Sec-Fetch-Site": "same-site"}
	reads      = map[string]string{"Origin": "https://attacker.example"}
	sandboxed  = map[string]string{"Origin": "null"}
	typed      = map[string]string{"Sec-Fetch-Site": "none"}
	followed   = map[string]string{"Sec-Fetch-Site": "same-origin"}
	posted     = map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}
	configured = map[string]string{"Host": "Balanceq-0.example.:8080"}
)

// Every verb and path, over the wire, by what browsers and tools say about where a request comes from.
func TestGuard(t *testing.T) {
	verbs := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete,
		http.MethodOptions}
	closed := []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap",
		"/debug/pprof/profile?seconds=1",
		// the mux would redirect some of them
		"/debug/pprof/trace?seconds=1", "/resume", "/debug/", "/new", "//metrics", "/livez/"}
	opened := []string{"/livez", "/readyz", "/metrics"}
	f := &fakes{budget: paused(1)}
	serve(t, f)
	for name, headers := range map[string]map[string]string{"rebound": rebound, "another site": otherSite,
		"another port": otherPort, "another origin": reads, "a sandbox": sandboxed, "an own page posts": posted} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range verbs {
				for _, path := range closed {
					if code, body := f.ask(t, verb, path, headers); code != http.StatusForbidden {
						t.Errorf("%s %s: %d %.80s", verb, path, code, body)
					}
				}
			}
			for _, path := range opened {
				if code, _ := f.ask(t, http.MethodGet, path, headers); code != 200 && code != 503 {
					t.Errorf("%s: %d", path, code)
				}
			}
		})
	}
	if len(f.resumers) != 0 {
		t.Errorf("resumed by %v", f.resumers)
	}
	for name, headers := range map[string]map[string]string{"tool": nil, "typed": typed, "link": followed,
		"configured": configured,
		"localhost":  {"Host": "LOCALHOST:1"}, "IPv6": {"Host": "[::1]:8080"}, "no port": {"Host": "10.1.2.3"}} {
		t.Run(name, func(t *testing.T) {
			for _, path := range append(opened, "/debug/pprof/goroutine?debug=2") {
				if code, body := f.ask(t, http.MethodGet, path, headers); code != 200 && path != "/readyz" {
					t.Errorf("%s: %d %.80s", path, code, body)
				}
			}
			want := 200
			if headers["Sec-Fetch-Site"] != "" {
				want = http.StatusForbidden
			}
			if code, body := f.ask(t, http.MethodPost, "/resume", headers); code != want {
				t.Errorf("resume: %d, want %d: %s", code, want, body)
			}
		})
	}
}

// A profile has a longest time, and the refusals name the way on.
func TestGuardRefusals(t *testing.T) {
	f := &fakes{}
	serve(t, f)
	for path, want := range map[string]int{
		"/debug/pprof/profile?seconds=61": 400, "/debug/pprof/heap?seconds=3600": 400,
		"/debug/pprof/goroutine?seconds=9223372036854775807": 400,
	} {
		if code, body := f.ask(t, http.MethodGet, path, nil); code != want || !strings.Contains(body, "at most 60") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if _, body := f.ask(t, http.MethodPost, "/resume", rebound); !strings.Contains(body, "allow the name") ||
		!strings.Contains(body, "attacker.example:8080") {
		t.Errorf("%s", body)
	}
}

func TestHostNames(t *testing.T) {
	g := newGuard([]string{"balanceq-0", "Name.Example"}, nil)
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:80": true, "[::1]": true, "[fe80::1]:80": true, "localhost": true,
		"localhost.:80":   true,
		"balanceq-0:8080": true, "name.example": true,
		"": false, ":8080": false, "balanceq-0.attacker.example": false, "127.0.0.1.attacker.example": false,
		"localhost.example": false,
		"0x7f.1":            false, "2130706433": false, "127.0.0.1@attacker.example": false, "name.example:8080:1": false,
	} {
		if got := g.allows(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// ask sends a request to the server, as the operator ann.
func (f *fakes) ask(t *testing.T, method, path string, headers map[string]string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+f.address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(OperatorHeader, "ann")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	if host := headers["Host"]; host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
