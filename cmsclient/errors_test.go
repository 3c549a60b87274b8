package cmsclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/cmsclient/jwe"
)

const (
	processing = "MASTERCARD PROCESSING"
	gateway    = "Gateway"
)

func errorBody(source, reason string) string {
	return fmt.Sprintf(
		`{"Errors":{"Error":[{"Source":%q,"ReasonCode":%q,"Description":"why","Recoverable":true,"Details":"x"}]}}`,
		source, reason)
}

// sealed is a body as testDecrypter opens it.
func sealed(body string) string { return "sealed " + body }

// testDecrypter opens what sealed closes; "damaged" and "unknown key" are what they say.
type testDecrypter struct{}

func (testDecrypter) Decrypt(body []byte) ([]byte, error) {
	switch string(body) {
	case "damaged":
		return nil, fmt.Errorf("%w: no five parts", jwe.ErrMalformed)
	case "unknown key":
		return nil, errors.New("no key opens the encrypted answer")
	}
	if plain, found := bytes.CutPrefix(body, []byte("sealed ")); found {
		return plain, nil
	}
	return body, nil
}

// Every row of the API's error table and of the design's outcomes that the CMS causes. fix is part of what the error
// says to fix; "": it says nothing.
func TestTranslation(t *testing.T) {
	const (
		page       = `<html><head><title>Error</title></head><body><h1>Error</h1></body></html>`
		noCertPage = "<html>\r\n<head><title>400 No required SSL certificate was " +
			"sent</title></head>\r\n<center>nginx</center></html>"
		badCertPage  = "<html>\r\n<head><title>400 The SSL certificate error</title></head></html>"
		plainPage    = "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"
		recoverable  = `{"Errors":{"Error":[{"Source":"MASTERCARD PROCESSING","ReasonCode":"%s","Recoverable":%t}]}}`
		singleObject = `{"Errors":{"Error":{"Source":"MASTERCARD PROCESSING","ReasonCode":"%s"}}}`

		keyPair, header, entitled = "belong together", "how calls are signed", "the path of the CMS's address"
		keys, operation, anything = "check the keys", "getContractBalances", "any proxy in between"
	)
	cases := map[string]struct {
		status int
		body   string
		class  Class
		called string
		fix    string
	}{
		"200 with balances":        {200, goodBody, "", Call2xx, ""},
		"200 empty":                {200, `{"contractBalances":[]}`, "", Call2xx, ""},
		"200 encrypted":            {200, sealed(goodBody), "", Call2xx, ""},
		"200 undecodable":          {200, `{"contractBalances":[`, Undecodable, CallUndecodable, ""},
		"200 against the contract": {200, `{}`, Undecodable, CallUndecodable, ""},
		"200 with a page":          {200, page, Undecodable, CallUndecodable, ""},
		"200 damaged":              {200, "damaged", Undecodable, CallUndecodable, ""},
		"200 encrypted rubbish":    {200, sealed("{}"), Undecodable, CallUndecodable, ""},
		"200 undecryptable":        {200, "unknown key", Undecryptable, CallUndecryptable, "add the private key"},
		"204":                      {204, ``, Undecodable, CallUndecodable, ""},

		"301":               {301, ``, Halting, Call3xx, "final address"},
		"302 with a body":   {302, goodBody, Halting, Call3xx, "final address"},
		"302 with an error": {302, notFoundBody, Halting, Call3xx, "final address"},
		"304":               {304, ``, Halting, Call3xx, "final address"},

		"400 of the CMS":              {400, errorBody(processing, "REQUEST_VALIDATION"), Rejected, Call4xx, ""},
		"400 of the CMS, recoverable": {400, fmt.Sprintf(recoverable, "REQUEST_VALIDATION", true), Rejected, Call4xx, ""},
		"400 of the CMS, encrypted":   {400, sealed(errorBody(processing, "REQUEST_VALIDATION")), Rejected, Call4xx, ""},
		"400 without members":         {400, `{"Errors":{"Error":[{}]}}`, Rejected, Call4xx, ""},
		"400 single object":           {400, fmt.Sprintf(singleObject, "REQUEST_VALIDATION"), Rejected, Call4xx, ""},
		"400 undecryptable":           {400, "unknown key", Undecryptable, Call4xx, "add the private key"},
		"400 damaged":                 {400, "damaged", Halting, Call4xx, anything},
		"400 body hash": {400, errorBody(gateway, "INVALID_BODY_HASH"), Halting, Call4xx,
			"the proxies in between"},
		"400 auth header":           {400, errorBody("gateway", "INVALID_AUTH_HEADER"), Halting, Call4xx, header},
		"400 signature base string": {400, errorBody(gateway, "INVALID_OAUTH_SBS"), Halting, Call4xx, header},
		"400 about us, no source":   {400, errorBody("", "INVALID_OAUTH_SBS"), Halting, Call4xx, header},
		"400 of the gateway":        {400, errorBody(gateway, "SOMETHING_NEW"), Halting, Call4xx, anything},
		"400 no client certificate": {400, `400 No required SSL certificate was sent`, Halting, Call4xx,
			"client certificate"},
		"400 the same as a page":     {400, noCertPage, Halting, Call4xx, "client certificate"},
		"400 bad client certificate": {400, badCertPage, Halting, Call4xx, "client certificate"},
		"400 plain to TLS":           {400, plainPage, Halting, Call4xx, "https://"},
		"400 with a page":            {400, page, Halting, Call4xx, anything},
		"400 empty":                  {400, ``, Halting, Call4xx, anything},
		"400 other JSON":             {400, `{"message":"bad"}`, Halting, Call4xx, anything},

		"401 signature base string": {401, errorBody(gateway, "INVALID_OAUTH_SBS"), Halting, Call4xx, header},
		"401 authentication":        {401, errorBody(gateway, "AUTHENTICATION_FAILED"), Halting, Call4xx, keyPair},
		"401 of the CMS":            {401, errorBody(processing, "SOMETHING_NEW"), Halting, Call4xx, keys},
		"401 with a page":           {401, page, Halting, Call4xx, keys},
		"401 undecryptable":         {401, "unknown key", Halting, Call4xx, keys},
		"402":                       {402, errorBody(processing, "X"), Halting, Call4xx, anything},
		"403 authentication":        {403, errorBody(gateway, "AUTHENTICATION_FAILED"), Halting, Call4xx, keyPair},
		"403 operation denied":      {403, errorBody(processing, "OPERATION_DENIED"), Halting, Call4xx, operation},
		"403 the same, recoverable": {403, fmt.Sprintf(recoverable, "OPERATION_DENIED", true), Halting, Call4xx, operation},
		"403 the same, encrypted":   {403, sealed(errorBody(processing, "OPERATION_DENIED")), Halting, Call4xx, operation},
		"403 with a page":           {403, page, Halting, Call4xx, keys},
		"403 empty":                 {403, ``, Halting, Call4xx, keys},
		"403 undecryptable":         {403, "unknown key", Halting, Call4xx, keys},

		"404 no contract": {404, notFoundBody, ContractNotFound, Call4xx, ""},
		"404 no contract, recoverable": {404, fmt.Sprintf(recoverable, "CONTRACT_DOES_NOT_EXIST", true), ContractNotFound,
			Call4xx, ""},
		"404 no contract, no source": {404, errorBody("", "CONTRACT_DOES_NOT_EXIST"), ContractNotFound, Call4xx, ""},
		"404 no contract, one object": {404, fmt.Sprintf(singleObject, "CONTRACT_DOES_NOT_EXIST"), ContractNotFound, Call4xx,
			""},
		"404 no contract, encrypted": {404, sealed(notFoundBody), ContractNotFound, Call4xx, ""},
		"404 undecryptable":          {404, "unknown key", Undecryptable, Call4xx, "add the private key"},
		"404 damaged":                {404, "damaged", Halting, Call4xx, entitled},
		"404 of the gateway":         {404, errorBody(gateway, "NOT_FOUND"), Halting, Call4xx, entitled},
		"404 gateway repeats reason": {404, errorBody(gateway, "CONTRACT_DOES_NOT_EXIST"), Halting, Call4xx, entitled},
		"404 another object":         {404, errorBody(processing, "CLIENT_DOES_NOT_EXIST"), Halting, Call4xx, entitled},
		"404 non-JSON":               {404, `404 page not found`, Halting, Call4xx, entitled},
		"404 with a page":            {404, page, Halting, Call4xx, entitled},
		"404 empty":                  {404, ``, Halting, Call4xx, entitled},

		"405":                        {405, ``, Halting, Call4xx, anything},
		"407":                        {407, page, Halting, Call4xx, "HTTPS_PROXY"},
		"408":                        {408, errorBody(gateway, "TIMEOUT"), Transient, Call4xx, ""},
		"408 undecryptable":          {408, "unknown key", Transient, Call4xx, ""},
		"409":                        {409, errorBody(processing, "X"), Halting, Call4xx, anything},
		"415":                        {415, ``, Halting, Call4xx, anything},
		"429":                        {429, errorBody(gateway, "TOO_MANY_REQUESTS"), Throttled, Call429, ""},
		"429, said not recoverable":  {429, fmt.Sprintf(recoverable, "SYSTEM_ERROR", false), Throttled, Call429, ""},
		"429 empty":                  {429, ``, Throttled, Call429, ""},
		"429 with a page":            {429, page, Throttled, Call429, ""},
		"429 undecryptable":          {429, "unknown key", Throttled, Call429, ""},
		"500":                        {500, errorBody(processing, "SYSTEM_ERROR"), Transient, Call5xx, ""},
		"500, said not recoverable":  {500, fmt.Sprintf(recoverable, "SYSTEM_ERROR", false), Transient, Call5xx, ""},
		"500 with a reason about us": {500, errorBody(gateway, "AUTHENTICATION_FAILED"), Transient, Call5xx, ""},
		"500 undecryptable":          {500, "unknown key", Transient, Call5xx, ""},
		"502 with a page":            {502, page, Transient, Call5xx, ""},
		"503":                        {503, ``, Transient, Call5xx, ""},
		"504":                        {504, errorBody(gateway, "GATEWAY_TIMEOUT"), Transient, Call5xx, ""},

		"a status HTTP does not know": {700, ``, Transient, CallOther, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			obs := &recorder{}
			cfg := testConfig("http://cms.test")
			cfg.Decrypter = testDecrypter{}
			cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return reply(c.status, c.body, "X-MC-Correlation-ID", "0.c63e1202.1", "Retry-After", "7"), nil
			})
			answer, err := ask(t.Context(), newTestClient(t, cfg, obs), 1)
			if got := classOf(err); got != c.class || (err == nil) != (c.class == "") {
				t.Errorf("class %q, error %v; want %q", got, err, c.class)
			}
			if obs.count(c.called) != 1 || !slices.Contains(CallClasses, c.called) {
				t.Errorf("observed %v, want one %s", obs.calls, c.called)
			}
			if err == nil && (answer.CMSCorrelationID != "0.c63e1202.1" || answer.RetrievedAt.IsZero()) {
				t.Errorf("answer %+v", answer)
			}
			if e, ok := errors.AsType[*Error](err); ok {
				checkError(t, e, c.status, c.fix)
			}
		})
	}
}

// checkError checks what all errors with an answer have.
func checkError(t *testing.T, e *Error, status int, fix string) {
	t.Helper()
	if e.CorrelationID != query(1).CorrelationID {
		t.Errorf("the correlation id is %q", e.CorrelationID)
	}
	if e.Status != status || e.CMSCorrelationID != "0.c63e1202.1" || e.RetryAfter != 7*time.Second {
		t.Errorf("status %d, correlation id %q, Retry-After %v", e.Status, e.CMSCorrelationID, e.RetryAfter)
	}
	if !strings.Contains(e.Fix, fix) || (e.Fix == "") != (fix == "") {
		t.Errorf("fix %q, want one with %q", e.Fix, fix)
	}
	line := e.Error()
	if strings.ContainsFunc(line, unicode.IsControl) || !strings.HasSuffix(line, e.Fix) {
		t.Errorf("text %q", line)
	}
}

func TestErrorText(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		want   Error
		line   string
		detail string // of a dead letter
	}{
		"of the CMS": {404, notFoundBody,
			Error{Class: ContractNotFound, Status: 404, Source: processing, ReasonCode: "CONTRACT_DOES_NOT_EXIST",
				Description: "Contract with id 99999 not found."},
			"cms: contract-not-found, status 404 CONTRACT_DOES_NOT_EXIST from MASTERCARD PROCESSING: Contract with id 99999 " +
				"not found",
			"HTTP 404 CONTRACT_DOES_NOT_EXIST from MASTERCARD PROCESSING: Contract with id 99999 not found"},
		"cause and fix": {403, errorBody(processing, "OPERATION_DENIED"),
			Error{Class: Halting, Status: 403, Source: processing, ReasonCode: "OPERATION_DENIED", Description: "why",
				Fix: "ask Mastercard to enable the operation getContractBalances for this issuer"},
			"cms: halting, status 403 OPERATION_DENIED from MASTERCARD PROCESSING: why; " +
				"ask Mastercard to enable the operation getContractBalances for this issuer",
			"HTTP 403 OPERATION_DENIED from MASTERCARD PROCESSING: why; " +
				"ask Mastercard to enable the operation getContractBalances for this issuer"},
		"the client's keys": {401, "",
			Error{Class: Halting, Status: 401, Fix: "check the keys and their expiry, and this machine's clock (keys of Auth)"},
			"cms: halting, status 401; check the keys and their expiry, and this machine's clock (keys of Auth)",
			"HTTP 401; check the keys and their expiry, and this machine's clock (keys of Auth)"},
		"no word why": {500, "", Error{Class: Transient, Status: 500},
			"cms: transient, status 500", "HTTP 500: the answer does not say why"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig("http://cms.test")
			cfg.FieldName = func(field string) string { return "keys of " + field }
			cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return reply(c.status, c.body, "Retry-After", "3"), nil
			})
			_, err := ask(t.Context(), newTestClient(t, cfg, nil), 99999)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatal(err)
			}
			c.want.RetryAfter, c.want.CorrelationID = 3*time.Second, query(1).CorrelationID
			if *e != c.want {
				t.Errorf("got %+v, want %+v", *e, c.want)
			}
			if e.Error() != c.line {
				t.Errorf("got %q", e.Error())
			}
			if e.Detail() != c.detail {
				t.Errorf("the detail of a dead letter is %q, want %q", e.Detail(), c.detail)
			}
		})
	}
	for want, e := range map[string]*Error{
		"the call to the CMS failed: no complete answer within 5s": {Class: Transient, Err: &timeoutError{5 * time.Second}},
		"HTTP 200: no complete answer: unexpected EOF": {Class: Transient, Status: 200,
			Err: fmt.Errorf("no complete answer: %w", io.ErrUnexpectedEOF)},
		"HTTP 200 with a body that cannot be used: the body is larger than an answer may be": {Class: Undecodable,
			Status: 200, Err: errTooLarge},
	} {
		if got := e.Detail(); got != want {
			t.Errorf("the detail of a dead letter is %q, want %q", got, want)
		}
	}
}

// A body that breaks off decides nothing where it could have blamed the request.
func TestErrorBodyCutShort(t *testing.T) {
	cases := map[int]Class{400: Transient, 404: Transient, 401: Halting, 403: Halting, 429: Throttled, 500: Transient,
		302: Halting}
	for status, want := range cases {
		cfg := testConfig("http://cms.test")
		cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			r := reply(status, "")
			r.ContentLength = int64(len(notFoundBody))
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(notFoundBody[:20]), failingReader{io.ErrUnexpectedEOF}))
			return r, nil
		})
		if _, err := ask(t.Context(), newTestClient(t, cfg, nil), 1); classOf(err) != want {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// Retry-After comes through with every class of error, in both of its forms.
func TestRetryAfterOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{408, 429, 500, 503} {
			for _, value := range []string{"9", time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat)} {
				cfg := testConfig("http://cms.test")
				cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
					return reply(status, "", "Retry-After", value), nil
				})
				_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
				e, ok := errors.AsType[*Error](err)
				if !ok || e.RetryAfter != 9*time.Second {
					t.Errorf("%d, Retry-After %s: %+v", status, value, e)
				}
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	cases := map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "300": 5 * time.Minute, "301": 5 * time.Minute, "4294967296": 5 * time.Minute,
		"99999999999999999999": 5 * time.Minute,
		"-1":                   0, "1.5": 2 * time.Second, "0.001": time.Second, "7.000": 7 * time.Second,
		"299.5": 5 * time.Minute, "300.5": 5 * time.Minute,
		"1.": 0, ".5": 0, "1.5.5": 0, "1.-5": 0, "+1": 0, "1e3": 0, "soon": 0,
		"Sun, 01 Mar 2026 12:00:09 GMT": 9 * time.Second, "Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"Mon, 02 Mar 2026 12:00:00 GMT": 5 * time.Minute,
	}
	for value, want := range cases {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

func FuzzDecodeErrors(f *testing.F) {
	f.Add([]byte(notFoundBody))
	f.Add([]byte(errorBody("Gateway", "INVALID_OAUTH_SBS")))
	f.Add([]byte(`{"Errors":{"Error":{"Source":null,"Description":"bad \ud800 https://x/ oauth_x"}}}`))
	f.Add([]byte(`{"Errors":{"Error":[{"Source":1,"ReasonCode":["a"],"Description":{}},{}]},"Errors":null}`))
	f.Add([]byte(`<html>502</html>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, known := decodeErrors(jsontext.NewDecoder(bytes.NewBuffer(slices.Clone(data)), lenient...))
		if !known && e != (cmsError{}) {
			t.Errorf("an unknown body gave %+v", e)
		}
		for text, limit := range map[string]int{e.Source: maxErrorName, e.ReasonCode: maxErrorName,
			e.Description: maxDescription} {
			if len(text) > limit || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00") {
				t.Errorf("bad text %q", text)
			}
			if hide(text) != text {
				t.Errorf("unredacted text %q", text)
			}
		}
	})
}
