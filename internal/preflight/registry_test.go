package preflight

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

// What a registry answers decides whether the program may start (results cannot be framed without an id), starts and
// waits, or only says so (requests are read without a registry); and each says what to do. Nothing is registered.
func TestCheckRegistry(t *testing.T) {
	const (
		secret   = "hunter2"
		look     = "check the address"
		login    = "correct schema-registry.username"
		register = "register schemas/v1/balance-result.schema.json of this release as balance.results-value"
	)
	for name, test := range map[string]struct {
		status    int
		body      string
		automatic bool // results.registry.auto-register
		results   expected
		requests  expected
	}{
		"401": {status: 401, body: secret, results: expected{true, false, []string{"answers HTTP 401"}, []string{login}},
			requests: expected{true, false, []string{"answers HTTP 401"}, []string{login}}},
		"403": {status: 403, body: secret, results: expected{true, false, []string{"answers HTTP 403"}, []string{login}},
			requests: expected{true, false, []string{"answers HTTP 403"}, []string{login}}},
		"no such subject": {status: 404, body: `{"error_code":40401,"message":"` + secret + `"}`,
			results: expected{true, false, []string{"40401"}, []string{register, "auto-register"}},
			requests: expected{false, false, []string{"knows none of balance.requests-value"},
				[]string{"register the schema of requests"}}},
		"404 of a proxy": {status: 404, body: "<html>" + secret,
			results:  expected{true, false, []string{"HTTP 404"}, []string{look}},
			requests: expected{false, false, []string{"HTTP 404"}, []string{look}}},
		"409": {status: 409, body: `{"error_code":409,"message":"` + secret + `"}`,
			results:  expected{true, false, []string{"HTTP 409"}, []string{"log says of balance.results-value"}},
			requests: expected{false, false, []string{"HTTP 409"}, []string{"log says of balance.requests-value"}}},
		"429": {status: 429, results: expected{false, true, []string{"HTTP 429"}, []string{look}},
			requests: expected{false, false, []string{"HTTP 429"}, []string{look}}},
		"503": {status: 503, body: secret, results: expected{false, true, []string{"HTTP 503"}, []string{look}},
			requests: expected{false, false, []string{"HTTP 503"}, []string{look}}},
		"a redirect": {status: 302, results: expected{true, false, []string{"HTTP 302"}, []string{look}},
			requests: expected{false, false, []string{"HTTP 302"}, []string{look}}},
		"HTML": {status: 200, body: "<html>" + secret,
			results:  expected{false, true, []string{"does not speak Confluent's API"}, []string{look}},
			requests: expected{false, false, []string{"does not speak Confluent's API"}, []string{look}}},
		"a body without an end": {status: 200, body: strings.Repeat(" ", 5<<20),
			results:  expected{false, true, []string{"longer than"}, []string{look}},
			requests: expected{false, false, []string{"longer than"}, []string{look}}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/versions") && r.Method != http.MethodGet {
					t.Errorf("%s %s registers", r.Method, r.URL)
				}
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			t.Cleanup(server.Close)
			cfg := config.Default()
			cfg.Registry.Username = "balanceq"
			cfg.Results.Registry.URLs, cfg.Requests.Registry.URLs = []string{server.URL}, []string{server.URL}
			found := CheckRegistry(t.Context(), cfg)
			wantFindings(t, found, test.results, test.requests)
			for _, f := range found {
				if strings.Contains(f.String(), secret) || len(f.String()) > 500 {
					t.Errorf("repeats what the registry said: %s", f)
				}
			}
		})
	}
}

// A registry that has what is wanted is named with what it has; a schema that is to be registered, or one address of
// two, may lack.
func TestCheckRegistryThatKnows(t *testing.T) {
	missing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error_code":40401,"message":""}`))
	})
	knows := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(`[1,2]`))
			return
		}
		_, _ = w.Write([]byte(`{"id":7}`))
	})
	gone := httptest.NewServer(knows)
	gone.Close()
	for name, test := range map[string]struct {
		registry http.Handler
		want     []string
	}{
		"all": {knows, []string{"results are framed as schema id 7, of balance.results-value",
			"requests may have the schemas of balance.requests-value"}},
		"none": {missing, []string{"the schema of results is registered at the start, as balance.results-value",
			"the schema registry knows none of balance.requests-value, so the schema ids of requests are not checked"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.registry)
			t.Cleanup(server.Close)
			cfg := config.Default()
			cfg.Results.Registry.URLs, cfg.Requests.Registry.URLs = []string{gone.URL, server.URL}, []string{server.URL}
			cfg.Results.Registry.AutoRegister = true
			for i, f := range CheckRegistry(t.Context(), cfg) {
				if f.What != test.want[i] || f.Severity == finding.Fail {
					t.Errorf("%s", f)
				}
			}
		})
	}
}
