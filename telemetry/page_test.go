package telemetry

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
)

// browser asks as one does.
var browser = map[string]string{"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

// An outage, as the page tells it.
func outage() *fakes {
	return &fakes{
		consumer: consumer.Status{Joined: true, InFlight: 256, Partitions: []consumer.PartitionStatus{
			{Partition: 0, Next: 5, End: 9, Lane: 70001}, {Partition: 3, Next: 7, End: 7}}},
		cms: cmsclient.Status{Breaker: cmsclient.BreakerOpen, Cause: cmsclient.CauseBreaker,
			Failing: cmsclient.Failing{Cause: "status 503 (7)", Status: 503,
				Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, HaltedError: "<script>alert(1)</script>\x1b[2J"},
	}
}

// In a terminal it is text.
func TestPageAsText(t *testing.T) {
	f := outage()
	f.cms.HaltedError = ""
	serve(t, f)
	resp, body := f.answer(t, f.address, "GET", "/", nil)
	want := `balanceq i

state        ready, and waits: breaker
failing      status 503 (7), since 2026-01-02T03:04:05Z
breaker      open
partitions   2 (0, 3)
lag          4 records
in flight    256
version      v1
up           1h0m0s, since SINCE

/readyz      is it ready, and what does it wait for (JSON)
/livez       does it move, or have a reason not to
/metrics     for Prometheus
/status      the whole state (JSON): balanceq status shows that of all instances

Resume and profiles are at the admin server, http://ADMIN.
`
	got := regexp.MustCompile(`since \d{4}-\d\d-\d\dT[\d:]+Z\n\n`).ReplaceAllString(body, "since SINCE\n\n")
	got = strings.ReplaceAll(got, f.admin, "ADMIN")
	if got != want || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		resp.Header.Get("Vary") != "Accept" {
		t.Errorf("%s %v\n%s", resp.Status, resp.Header, got)
	}
}

// In a browser it is a page that loads nothing and runs nothing, whatever texts are on it.
func TestPageInABrowser(t *testing.T) {
	f := outage()
	serve(t, f)
	resp, body := f.answer(t, f.address, "GET", "/", browser)
	for _, want := range []string{"<title>balanceq i: ready, and waits: breaker</title>",
		"&lt;script&gt;alert(1)&lt;/script&gt;", "<h1>balanceq i</h1>", `<a href="/readyz">`, "status 503 (7), since 2026"} {
		if !strings.Contains(body, want) {
			t.Errorf("it lacks %q:\n%s", want, body)
		}
	}
	if bad := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|<form|\bsrc=|\bon\w+=|\bstyle=|href="[^/]|\x1b|70001`).
		FindString(body); bad != "" {
		t.Errorf("it has %q:\n%s", bad, body)
	}
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(body)
	if len(style) != 2 {
		t.Fatalf("no style in\n%s", body)
	}
	digest := sha256.Sum256([]byte(style[1]))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	for header, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "Vary": "Accept",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := resp.Header.Values(header); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// The state is one sentence, the most important first.
func TestPageSentences(t *testing.T) {
	for want, f := range map[string]*fakes{
		"ready\n": {consumer: consumer.Status{Joined: true}},
		"ready, and waits: halted\n": {consumer: consumer.Status{Joined: true},
			cms: cmsclient.Status{Cause: cmsclient.CauseHalted}},
		"not ready: not a member of the con": {},
	} {
		serve(t, f)
		if _, body := f.answer(t, f.address, "GET", "/", nil); !strings.Contains(body, "state        "+want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

// Both servers tell browsers to load, frame, guess and keep nothing.
func TestSecurityHeaders(t *testing.T) {
	f := &fakes{}
	serve(t, f)
	for server, paths := range map[string][]string{f.address: {"/readyz", "/metrics", "/livez", "/none"},
		f.admin: {"/", "/debug/pprof/", "/debug/pprof/heap?debug=1"}} {
		for _, path := range paths {
			resp, _ := f.answer(t, server, "GET", path, browser)
			if !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'; base-uri") ||
				resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", path, resp.Header)
			}
		}
	}
}
