package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// envPrometheus asks for the tests that need prometheus and promtool, which scrape each second and so a machine that
// does little else: make monitoring.
const envPrometheus = "BALANCEQ_REQUIRE_PROMETHEUS"

// rulesFolder holds what is loaded, as it is but for the times.
const rulesFolder = "../deploy/prometheus"

// monitor is a Prometheus of one test that scrapes one instance.
type monitor struct {
	t     *testing.T
	addr  string
	since time.Time // from when on what fires counts
}

// prometheusTool is the path of prometheus or promtool.
func prometheusTool(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv(envPrometheus) == "" {
		t.Skip("make monitoring runs it: needs " + name + " and a quiet machine")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startPrometheus runs one with the shipped rules and the shipped example of its configuration, looking each second,
// and with alerts that fire after 3 s instead of minutes.
func startPrometheus(t *testing.T, target string) *monitor {
	t.Helper()
	path := prometheusTool(t, "prometheus")
	dir := t.TempDir()
	adapt(t, dir, "prometheus.yaml", `(_interval): 15s`, "$1: 1s", `\["127\.0\.0\.1:8080"\]`, `["`+target+`"]`)
	adapt(t, dir, "alerts.yaml", `(?m)^( +for): .*$`, "$1: 3s")
	adapt(t, dir, "slo.yaml")
	port, err := kafkatest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	m := &monitor{t: t, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	var log output
	cmd := exec.Command(path, "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+m.addr)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &log, &log, diesWithUs()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus wrote:\n%s", log.String())
		}
	})
	// It takes 5 s to find its targets, and looks at rules before: until then no instance is there.
	kafkatest.Eventually(t, waitTimeout, "prometheus has scraped the instance", func() bool {
		return len(m.query(`balanceq_joined == 1`)) > 0 && len(m.firing()) == 0
	})
	m.since = time.Now()
	return m
}

// adapt copies a file of the rules and replaces patterns in it, each of which must be there.
func adapt(t *testing.T, dir, name string, replacements ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rulesFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replacements); i += 2 {
		pattern := regexp.MustCompile(replacements[i])
		if !pattern.Match(text) {
			t.Fatalf("%s has nothing like %s", name, pattern)
		}
		text = pattern.ReplaceAll(text, []byte(replacements[i+1]))
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// get asks the HTTP API and decodes the member data of what it says. It is false while there is no answer.
func (m *monitor) get(path string, data any) bool {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, "http://"+m.addr+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Close = true // no connections are left for the check for leaks
	resp, err := scraper.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusServiceUnavailable { // it is starting
		return false
	}
	answer := struct {
		Data  any
		Error string
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: status %d: %s (%v)", path, resp.StatusCode, body, err)
	}
	return true
}

// sample is what a query finds.
type sample struct {
	Metric map[string]string
}

// query evaluates an expression now.
func (m *monitor) query(expr string) []sample {
	m.t.Helper()
	var data struct{ Result []sample }
	m.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return data.Result
}

// alert is one that is pending or fires.
type alert struct {
	State               string
	Labels, Annotations map[string]string
}

// firing are the alerts that fire now, by name.
func (m *monitor) firing() map[string]alert {
	m.t.Helper()
	var data struct{ Alerts []alert }
	m.get("/api/v1/alerts", &data)
	found := map[string]alert{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			found[a.Labels["alertname"]] = a
		}
	}
	return found
}

// hasFired are the names of all alerts that have fired.
func (m *monitor) hasFired() string {
	m.t.Helper()
	var names []string
	window := int(time.Since(m.since).Seconds())
	expr := fmt.Sprintf(`count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[%ds]))`, window)
	for _, s := range m.query(expr) {
		names = append(names, s.Metric["alertname"])
	}
	return strings.Join(names, ", ")
}
