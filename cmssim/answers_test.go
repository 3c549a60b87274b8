package cmssim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/cmssim"
)

func mpError(reasonCode, description string) string {
	return `{"Errors":{"Error":[{"Source":"MASTERCARD PROCESSING","ReasonCode":"` + reasonCode +
		`","Description":"` + description + `","Recoverable":false}]}}`
}

const (
	sandboxAvailable = `{"balanceCode":"AVAILABLE","balanceCurrency":"EUR","balanceId":89516416,"balanceValue":9811.31}`
	sandboxBlocked   = `{"balanceCode":"BLOCKED","balanceCurrency":"EUR","balanceId":89516417,"balanceValue":9811.31}`
	sandboxBoth      = `{"contractBalances":[` + sandboxAvailable + `,` + sandboxBlocked + `]}`
	sandboxNone      = `{"contractBalances": []}`
)

// TestAnswers holds every documented answer, byte for byte, below the base path and at the root.
func TestAnswers(t *testing.T) {
	badID := mpError("REQUEST_VALIDATION", "Invalid type of request parameter contract_id.")
	badCode := mpError("REQUEST_VALIDATION", "Invalid value of request parameter balance_codes.")
	noCodes := mpError("REQUEST_VALIDATION", "Missing required request parameter balance_codes.")
	noPath := `{"Errors":{"Error":[{"Source":"Gateway","ReasonCode":"NOT_FOUND",` +
		`"Description":"The requested resource could not be found.","Recoverable":false}]}}`
	noMethod := `{"Errors":{"Error":[{"Source":"Gateway","ReasonCode":"METHOD_NOT_ALLOWED",` +
		`"Description":"The method is not allowed for the requested resource.","Recoverable":false}]}}`

	const ids = "/contracts/70001/balances"
	for name, c := range map[string]struct {
		method, target string
		status         int
		body           string
	}{
		"sandbox success":           {"GET", ids + "?balance_codes=AVAILABLE,BLOCKED", 200, sandboxBoth},
		"escaped comma":             {"GET", ids + "?balance_codes=AVAILABLE%2CBLOCKED", 200, sandboxBoth},
		"escaped comma, lower case": {"GET", ids + "?balance_codes=AVAILABLE%2cBLOCKED", 200, sandboxBoth},
		"order as asked": {"GET", ids + "?balance_codes=BLOCKED,AVAILABLE", 200,
			`{"contractBalances":[` + sandboxBlocked + `,` + sandboxAvailable + `]}`},
		"duplicates once":          {"GET", ids + "?balance_codes=AVAILABLE,BLOCKED,AVAILABLE", 200, sandboxBoth},
		"unknown left out":         {"GET", ids + "?balance_codes=X,AVAILABLE,Y,BLOCKED", 200, sandboxBoth},
		"other parameters":         {"GET", ids + "?a=b&balance_codes=AVAILABLE,BLOCKED&c", 200, sandboxBoth},
		"escaped letters":          {"GET", ids + "?balance_codes=%41VAILABLE,BLOCKED", 200, sandboxBoth},
		"sandbox invalid code":     {"GET", ids + "?balance_codes=INVALID", 200, sandboxNone},
		"codes are case-sensitive": {"GET", ids + "?balance_codes=available", 200, sandboxNone},
		"comma escaped twice":      {"GET", ids + "?balance_codes=AVAILABLE%252CBLOCKED", 200, sandboxNone},
		"no balances":              {"GET", "/contracts/20417/balances?balance_codes=AVAILABLE", 200, sandboxNone},
		"extremes": {"GET", "/contracts/9990001/balances?balance_codes=AVAILABLE,BLOCKED", 200,
			`{"contractBalances":[{"balanceCode":"AVAILABLE","balanceCurrency":"CLF","balanceId":999999999999999984,` +
				`"balanceValue":999999999999999999.9999},{"balanceCode":"BLOCKED","balanceCurrency":"CLF",` +
				`"balanceId":999999999999999985,"balanceValue":-999999999999999999.9999}]}`},
		"code of 32 characters": {"GET", ids + "?balance_codes=" + strings.Repeat("é", 32), 200, sandboxNone},

		"code of 33 characters": {"GET", ids + "?balance_codes=AVAILABLE," + strings.Repeat("A", 33), 400, badCode},
		"empty code":            {"GET", ids + "?balance_codes=AVAILABLE,,BLOCKED", 400, badCode},
		"comma at the end":      {"GET", ids + "?balance_codes=AVAILABLE,", 400, badCode},
		"only a comma":          {"GET", ids + "?balance_codes=%2C", 400, badCode},
		"broken escape":         {"GET", ids + "?balance_codes=AVAILABLE%2", 400, badCode},
		"broken UTF-8":          {"GET", ids + "?balance_codes=%FF", 400, badCode},
		"parameter twice":       {"GET", ids + "?balance_codes=AVAILABLE&balance_codes=BLOCKED", 400, badCode},
		"codes absent":          {"GET", ids, 400, noCodes},
		"codes empty":           {"GET", ids + "?balance_codes=", 400, noCodes},
		"codes without value":   {"GET", ids + "?balance_codes", 400, noCodes},
		"other spelling":        {"GET", ids + "?balanceCodes=AVAILABLE", 400, noCodes},

		"id no number":        {"GET", "/contracts/ABC/balances?balance_codes=AVAILABLE", 400, badID},
		"id with fraction":    {"GET", "/contracts/1.5/balances?balance_codes=AVAILABLE", 400, badID},
		"id with sign":        {"GET", "/contracts/-1/balances?balance_codes=AVAILABLE", 400, badID},
		"id zero":             {"GET", "/contracts/0/balances?balance_codes=AVAILABLE", 400, badID},
		"id of 19 digits":     {"GET", "/contracts/1000000000000000000/balances?balance_codes=AVAILABLE", 400, badID},
		"id before codes":     {"GET", "/contracts/ABC/balances", 400, badID},
		"codes before ledger": {"GET", "/contracts/404/balances", 400, noCodes},

		"contract unknown": {"GET", "/contracts/404001/balances?balance_codes=AVAILABLE", 404,
			mpError("CONTRACT_DOES_NOT_EXIST", "Contract with id 404001 not found.")},

		"other operation":       {"GET", "/contracts/70001?balance_codes=AVAILABLE", 404, noPath},
		"slash at the end":      {"GET", ids + "/?balance_codes=AVAILABLE", 404, noPath},
		"id empty":              {"GET", "/contracts//balances?balance_codes=AVAILABLE", 404, noPath},
		"slash in id":           {"GET", "/contracts/7%2F1/balances?balance_codes=AVAILABLE", 404, noPath},
		"root":                  {"GET", "/", 404, noPath},
		"other path, POST":      {"POST", "/clients", 404, noPath},
		"like the control path": {"GET", "/_simulator", 404, noPath},
		"POST":                  {"POST", ids + "?balance_codes=AVAILABLE", 405, noMethod},
		"DELETE":                {"DELETE", ids + "?balance_codes=AVAILABLE", 405, noMethod},
	} {
		t.Run(name, func(t *testing.T) {
			for _, base := range []string{cmssim.BasePath, ""} {
				sim := cmssim.New(cmssim.Config{})
				w := direct(sim, c.method, base+c.target)
				if w.Code != c.status || w.Body.String() != c.body {
					t.Errorf("%s %s%s: %d %s\nwant %d %s", c.method, base, c.target, w.Code, w.Body, c.status, c.body)
				}
				checkHeaders(t, w.Header())
				if allow := w.Header().Get("Allow"); (allow == "GET") != (c.status == 405) {
					t.Errorf("Allow is %q with %d", allow, w.Code)
				}
			}
		})
	}
}

// checkErrorBody accepts the API's ErrorWrapper with exactly one error that has its texts.
func checkErrorBody(body []byte) error {
	var wrapper struct {
		Errors struct {
			Error []struct {
				Source, ReasonCode, Description string
				Recoverable                     *bool
			}
		}
	}
	if err := json.Unmarshal(body, &wrapper); err != nil {
		return err
	}
	if len(wrapper.Errors.Error) == 1 {
		e := wrapper.Errors.Error[0]
		if e.Source != "" && e.ReasonCode != "" && e.Description != "" && e.Recoverable != nil {
			return nil
		}
	}
	return fmt.Errorf("no error of the API: %s", body)
}

// TestAnyCallIsAnswered: no matter what is asked, the answer is one of the operation's bodies.
func TestAnyCallIsAnswered(t *testing.T) {
	sim := cmssim.New(cmssim.Config{Record: true})
	rapid.Check(t, func(t *rapid.T) {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
		r.Method = rapid.SampledFrom([]string{"GET", "GET", "GET", "PUT"}).Draw(t, "method")
		r.URL.Path = "/contracts/" + rapid.StringMatching(`[0-9]{1,19}|.{0,5}`).Draw(t, "id") + "/balances"
		r.URL.RawQuery = rapid.StringMatching(`(balance_codes=)?([A-C%&=+,é]|AVAILABLE|%2C|%41){0,12}`).Draw(t, "query")
		w := httptest.NewRecorder()
		sim.ServeHTTP(w, r)
		switch w.Code {
		case 200:
			decodeBalances(t, w.Body.Bytes())
		case 400, 404, 405:
			if err := checkErrorBody(w.Body.Bytes()); err != nil {
				t.Fatalf("%d: %v", w.Code, err)
			}
		default:
			t.Fatalf("status %d", w.Code)
		}
	})
}

func checkHeaders(t *testing.T, header http.Header) {
	t.Helper()
	if got := header.Get("Content-Type"); got != mediaJSON {
		t.Errorf("Content-Type is %q", got)
	}
	id := header.Get("X-MC-Correlation-ID")
	if parts := strings.Split(id, "."); len(parts) != 4 || parts[0] != "0" || len(parts[1]) != 8 || len(parts[3]) != 8 {
		t.Errorf("X-MC-Correlation-ID is %q", id)
	}
}

func TestCorrelationIDsDiffer(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	seen := make(map[string]bool)
	for range 1000 {
		seen[direct(sim, "GET", "/contracts/1/balances?balance_codes=CB").Header().Get("X-MC-Correlation-ID")] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ids in 1000 answers", len(seen))
	}
}

// TestAnswersOverASocket shows that a real client can use the URL the server announces.
func TestAnswersOverASocket(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	got := ask(t, client, server.URL()+"/contracts/70001/balances?balance_codes=AVAILABLE%2CBLOCKED")
	if got.status != 200 || got.body != sandboxBoth || got.length != int64(len(sandboxBoth)) {
		t.Errorf("got %+v", got)
	}
	checkHeaders(t, got.header)
}
