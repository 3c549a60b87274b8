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
	configured = map[string]string{"Host": "Balanceq-0.example.:8080"}
	below      = map[string]string{"Host": "balanceq-7.headless.example:8080"}
)

var verbs = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions}

var (
	acts = []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap",
		"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1", "/resume"}
	tells    = []string{"/", "/livez", "/readyz", "/metrics", "/status"}
	crooked  = []string{"/debug/", "/new", "//metrics", "/livez/"} // the mux would redirect some of them
	everyURL = append(append(append([]string{}, acts...), tells...), crooked...)
)

// Whatever the verb and path: a name that is not the instance's own gets nothing, from either server.
func TestReboundNameGetsNothing(t *testing.T) {
	f := &fakes{budget: paused(1)}
	serve(t, f)
	for _, server := range []string{f.address, f.admin} {
		for _, verb := range verbs {
			for _, path := range everyURL {
				if code, body := f.askAt(t, server, verb, path, rebound); code != http.StatusForbidden ||
					verb != http.MethodHead && !strings.Contains(body, "add the name to the allowed hosts") {
					t.Errorf("%s %s: %d %.80s", verb, path, code, body)
				}
			}
		}
	}
	if len(f.resumers) != 0 {
		t.Errorf("resumed by %v", f.resumers)
	}
}

// Pages of other origins get nothing that acts or reveals, whatever the verb; what only tells does not care: no browser
// lets them read it.
func TestOtherOriginsActNot(t *testing.T) {
	f := &fakes{budget: paused(1)}
	serve(t, f)
	for name, headers := range map[string]map[string]string{"another site": otherSite, "another port": otherPort,
		"another origin": reads, "a sandbox": sandboxed} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range verbs {
				for _, path := range append(acts, "/") {
					if code, body := f.askAt(t, f.admin, verb, path, headers); code != http.StatusForbidden {
						t.Errorf("%s %s: %d %.80s", verb, path, code, body)
					}
				}
			}
			for _, path := range tells {
				if code, _ := f.askAt(t, f.address, http.MethodGet, path, headers); code != 200 && path != "/readyz" {
					t.Errorf("%s: %d", path, code)
				}
			}
		})
	}
	if len(f.resumers) != 0 {
		t.Errorf("resumed by %v", f.resumers)
	}
}

// Tools, typed addresses, links within a server, and every way in which probes and operators name it are let in: among
// them an address of a pod, which is what Kubernetes's probes send.
func TestOwnNamesAreLetIn(t *testing.T) {
	f := &fakes{budget: paused(1)}
	serve(t, f)
	for name, headers := range map[string]map[string]string{"tool": nil, "typed": typed, "link": followed,
		"configured": configured, "below a configured one": below, "localhost": {"Host": "LOCALHOST:1"},
		"IPv6": {"Host": "[::1]:8080"}, "no port": {"Host": "10.1.2.3"}, "a probe": {"Host": "10.244.1.17:8080"}} {
		for _, path := range tells {
			if code, body := f.askAt(t, f.address, http.MethodGet, path, headers); code != 200 && path != "/readyz" {
				t.Errorf("%s: %s: %d %.80s", name, path, code, body)
			}
		}
		if code, _ := f.askAt(t, f.admin, http.MethodGet, "/debug/pprof/goroutine?debug=2", headers); code != 200 {
			t.Errorf("%s: goroutines: %d", name, code)
		}
		if code, body := f.askAt(t, f.admin, http.MethodPost, "/resume", headers); code != 200 {
			t.Errorf("%s: resume: %d %s", name, code, body)
		}
	}
}

// What acts is not where probes are, and is said to be elsewhere.
func TestProbesActNot(t *testing.T) {
	f := &fakes{budget: paused(1)}
	serve(t, f)
	for _, verb := range verbs {
		for _, path := range append(acts, "/debug/pprof/cmdline", "/debug/pprof/symbol") {
			code, body := f.askAt(t, f.address, verb, path, nil)
			if code != http.StatusNotFound ||
				verb != http.MethodHead && !strings.Contains(body, "not here, but at the admin server, http://"+f.admin) {
				t.Errorf("%s %s: %d %s", verb, path, code, body)
			}
		}
	}
	if len(f.resumers) != 0 {
		t.Errorf("resumed by %v", f.resumers)
	}
	for _, path := range tells[1:] {
		if code, _ := f.askAt(t, f.admin, http.MethodGet, path, nil); code != http.StatusNotFound {
			t.Errorf("the admin server has %s: %d", path, code)
		}
	}
}

// A profile has a longest time.
func TestProfilesAreBounded(t *testing.T) {
	f := &fakes{}
	serve(t, f)
	for _, path := range []string{"/debug/pprof/profile?seconds=61", "/debug/pprof/heap?seconds=3600",
		"/debug/pprof/goroutine?seconds=9223372036854775807"} {
		code, body := f.askAt(t, f.admin, http.MethodGet, path, nil)
		if code != 400 || !strings.Contains(body, "at most 60") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestHostNames(t *testing.T) {
	h := Hosts{Names: []string{"balanceq-0", "Name.Example", ".headless.example"}}
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:80": true, "[::1]": true, "[fe80::1]:80": true, "localhost": true,
		"localhost.:80":   true,
		"balanceq-0:8080": true, "name.example": true, "a.b.headless.example:1": true, "HEADLESS.example": false,
		"evilheadless.example": false, "headless.example.attacker.example": false,
		"":      true, // HTTP/1.0, which no browser speaks
		":8080": false, "balanceq-0.attacker.example": false, "127.0.0.1.attacker.example": false,
		"localhost.example": false,
		"0x7f.1":            false, "2130706433": false, "127.0.0.1@attacker.example": false, "name.example:8080:1": false,
	} {
		if got := h.allow(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// askAt sends a request to a server, as the operator ann.
func (f *fakes) askAt(t *testing.T, server, method, path string, headers map[string]string) (int, string) {
	t.Helper()
	resp, body := f.answer(t, server, method, path, headers)
	return resp.StatusCode, body
}

func (f *fakes) answer(t *testing.T, server, method, path string, headers map[string]string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+server+path, http.NoBody)
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
	return resp, string(body)
}
