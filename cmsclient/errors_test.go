package cmsclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func errorBody(source, reason string) string {
	return fmt.Sprintf(`{"Errors":{"Error":[{"Source":%q,"ReasonCode":%q,"Description":"why","Recoverable":true,"Details":"x"}]}}`,
		source, reason)
}

// Every row of the API's error table and of the design's outcomes that the CMS causes.
func TestTranslation(t *testing.T) {
	const mp, gw = "MASTERCARD PROCESSING", "Gateway"
	cases := map[string]struct {
		status int
		body   string
		class  Class
		called string
	}{
		"200 with balances":           {200, goodBody, "", Call2xx},
		"200 empty":                   {200, `{"contractBalances":[]}`, "", Call2xx},
		"200 undecodable":             {200, `{"contractBalances":[`, Undecodable, CallUndecodable},
		"200 against the contract":    {200, `{}`, Undecodable, CallUndecodable},
		"200 with a page":             {200, `<html>Please log in</html>`, Undecodable, CallUndecodable},
		"204":                         {204, ``, Undecodable, CallUndecodable},
		"301":                         {301, ``, Halting, Call3xx},
		"302 with a body":             {302, goodBody, Halting, Call3xx},
		"304":                         {304, ``, Halting, Call3xx},
		"400 of the CMS":              {400, errorBody(mp, "REQUEST_VALIDATION"), Rejected, Call4xx},
		"400 without members":         {400, `{"Errors":{"Error":[{}]}}`, Rejected, Call4xx},
		"400 single object":           {400, `{"Errors":{"Error":{"Source":"MASTERCARD PROCESSING"}}}`, Rejected, Call4xx},
		"400 body hash":               {400, errorBody(gw, "INVALID_BODY_HASH"), Halting, Call4xx},
		"400 auth header":             {400, errorBody("gateway", "INVALID_AUTH_HEADER"), Halting, Call4xx},
		"400 of a TLS proxy":          {400, `400 No required SSL certificate was sent`, Halting, Call4xx},
		"400 empty":                   {400, ``, Halting, Call4xx},
		"400 other JSON":              {400, `{"message":"bad"}`, Halting, Call4xx},
		"401 signature base string":   {401, errorBody(gw, "INVALID_OAUTH_SBS"), Halting, Call4xx},
		"401 authentication":          {401, errorBody(gw, "AUTHENTICATION_FAILED"), Halting, Call4xx},
		"402":                         {402, errorBody(mp, "X"), Halting, Call4xx},
		"403 authentication":          {403, errorBody(gw, "AUTHENTICATION_FAILED"), Halting, Call4xx},
		"403 operation denied":        {403, errorBody(mp, "OPERATION_DENIED"), Halting, Call4xx},
		"404 no contract":             {404, notFoundBody, ContractNotFound, Call4xx},
		"404 no contract, no source":  {404, errorBody("", "CONTRACT_DOES_NOT_EXIST"), ContractNotFound, Call4xx},
		"404 of the gateway":          {404, errorBody(gw, "NOT_FOUND"), Halting, Call4xx},
		"404 gateway repeats reason":  {404, errorBody(gw, "CONTRACT_DOES_NOT_EXIST"), Halting, Call4xx},
		"404 another object":          {404, errorBody(mp, "CLIENT_DOES_NOT_EXIST"), Halting, Call4xx},
		"404 non-JSON":                {404, `404 page not found`, Halting, Call4xx},
		"405":                         {405, ``, Halting, Call4xx},
		"408":                         {408, errorBody(gw, "TIMEOUT"), Transient, Call4xx},
		"409":                         {409, errorBody(mp, "X"), Halting, Call4xx},
		"415":                         {415, ``, Halting, Call4xx},
		"429":                         {429, errorBody(gw, "TOO_MANY_REQUESTS"), Throttled, Call429},
		"429 empty":                   {429, ``, Throttled, Call429},
		"500, said not recoverable":   {500, `{"Errors":{"Error":[{"ReasonCode":"SYSTEM_ERROR","Recoverable":false}]}}`, Transient, Call5xx},
		"502 page":                    {502, `<html>`, Transient, Call5xx},
		"503":                         {503, ``, Transient, Call5xx},
		"504":                         {504, errorBody(gw, "GATEWAY_TIMEOUT"), Transient, Call5xx},
		"a status HTTP does not know": {700, ``, Transient, CallOther},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			obs := &recorder{}
			cfg := testConfig("http://cms.test")
			cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return reply(c.status, c.body, "X-MC-Correlation-ID", "0.c63e1202.1"), nil
			})
			answer, err := ask(t.Context(), newTestClient(t, cfg, obs), 1)
			if got := classOf(err); got != c.class || (err == nil) != (c.class == "") {
				t.Errorf("class %q, error %v; want %q", got, err, c.class)
			}
			if obs.count(c.called) != 1 {
				t.Errorf("observed %v, want one %s", obs.calls, c.called)
			}
			var e *Error
			if errors.As(err, &e) && (e.Status != c.status || e.CMSCorrelationID != "0.c63e1202.1") {
				t.Errorf("status %d, correlation id %q", e.Status, e.CMSCorrelationID)
			}
			if err == nil && (answer.CMSCorrelationID != "0.c63e1202.1" || answer.RetrievedAt.IsZero()) {
				t.Errorf("answer %+v", answer)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	cfg := testConfig("http://cms.test")
	cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return reply(404, notFoundBody, "Retry-After", "3"), nil
	})
	_, err := ask(t.Context(), newTestClient(t, cfg, nil), 99999)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	want := Error{Class: ContractNotFound, Status: 404, Source: "MASTERCARD PROCESSING", ReasonCode: "CONTRACT_DOES_NOT_EXIST",
		Description: "Contract with id 99999 not found.", RetryAfter: 3 * time.Second}
	if *e != want {
		t.Errorf("got %+v, want %+v", *e, want)
	}
	const line = "cms: contract-not-found, status 404 CONTRACT_DOES_NOT_EXIST from MASTERCARD PROCESSING: " +
		"Contract with id 99999 not found."
	if e.Error() != line {
		t.Errorf("got %q", e.Error())
	}
}

// The attempt's own time is the CMS's failure, the caller's context is not; and neither looks like the other.
func TestWhoseTimeEnded(t *testing.T) {
	hang := roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig("http://cms.test")
		cfg.Transport = hang
		obs := &recorder{}
		c := newTestClient(t, cfg, obs)

		_, err := ask(t.Context(), c, 1)
		if classOf(err) != Transient || errors.Is(err, context.DeadlineExceeded) || obs.count(CallTimeout) != 1 {
			t.Errorf("own timeout: %v, observed %v", err, obs.calls)
		}
		if !strings.Contains(err.Error(), "within 5s") {
			t.Errorf("own timeout: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = ask(short, c, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's deadline: %v", err)
		}
		cancelled, cancel2 := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel2)
		if _, err = ask(cancelled, c, 1); !errors.Is(err, context.Canceled) || obs.count(CallCancelled) != 2 {
			t.Errorf("the caller's cancellation: %v, observed %v", err, obs.calls)
		}
		if counts := c.gate.breaker.Counts(); counts.TotalFailures != 1 || counts.TotalExclusions != 2 {
			t.Errorf("the breaker counted %+v, want 1 failure and 2 exclusions", counts)
		}
	})
}

// A transport's "context canceled" that is not the caller's must not look like the caller's.
func TestForeignCancellation(t *testing.T) {
	cfg := testConfig("http://cms.test")
	cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("dialing: %w", context.Canceled)
	})
	_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
	if classOf(err) != Transient || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A body that breaks off decides nothing where it could have blamed the request.
func TestErrorBodyCutShort(t *testing.T) {
	cases := map[int]Class{400: Transient, 404: Transient, 401: Halting, 403: Halting, 429: Throttled, 500: Transient, 302: Halting}
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

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	cases := map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "300": 5 * time.Minute, "301": 5 * time.Minute, "99999999999999999999": 0,
		"-1": 0, "1.5": 0, "soon": 0,
		"Sun, 01 Mar 2026 12:00:09 GMT": 9 * time.Second, "Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"Mon, 02 Mar 2026 12:00:00 GMT": 5 * time.Minute,
	}
	for value, want := range cases {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	key := strings.Repeat("a1B_", 12) + "!" + strings.Repeat("0f3d", 12)
	cases := map[string]string{
		"Contract with id 99999 not found.":             "Contract with id 99999 not found.",
		"Contract with id 4111111111111111 not found.":  "Contract with id 411111******1111 not found.",
		"see https://api.example/contracts/1?x=y now":   "see [redacted] now",
		"GET&https%3A%2F%2Fapi.example%2Fx&a more":      "GET&[redacted] more",
		"bad oauth_consumer_key=abc, rest":              "bad [redacted]",
		"Consumer Key abc is unknown":                   "[redacted]",
		"wrong. Acceptable signature base string: GET&": "wrong. Acceptable [redacted]",
		"sent Authorization: OAuth abc":                 "sent [redacted]",
		"unknown " + key + ".":                          "unknown [redacted].",
		"two\nlines\x00":                                "two lines ",
		"bad \xff\xfe UTF-8":                            "bad \uFFFD UTF-8",
	}
	for in, want := range cases {
		if got := redact(in, maxDescription); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
	if got := redact(strings.Repeat("é", 1000), 511); len(got) != 510 || !utf8.ValidString(got) {
		t.Errorf("cut to %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}

// The gateway's refusal repeats the key and the address; nothing of it may come out.
func TestRefusalDoesNotLeak(t *testing.T) {
	key := strings.Repeat("WFQH", 12) + "!" + strings.Repeat("3b9f", 12)
	body := `{"Errors":{"Error":[{"Source":"Gateway","ReasonCode":"oauth_problem https://secret.example/",` +
		`"Description":"Invalid signature for ` + key + `. Acceptable signature base string: GET&https%3A%2F%2Fsecret.example%2F` +
		`oauth_consumer_key%3D` + key + `"}]}}`
	cfg := testConfig("http://cms.test")
	cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return reply(401, body), nil })
	c := newTestClient(t, cfg, nil)
	_, err := ask(t.Context(), c, 1)
	text := fmt.Sprintf("%v %+v %s", err, err, c.Status().HaltedError)
	for _, secret := range []string{"WFQH", "3b9f", "secret.example"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %q", secret, text)
		}
	}
	if !strings.Contains(text, "check the keys") {
		t.Errorf("no advice in %q", text)
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
		for text, limit := range map[string]int{e.Source: maxErrorName, e.ReasonCode: maxErrorName, e.Description: maxDescription} {
			if len(text) > limit || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00") {
				t.Errorf("unfit text %q", text)
			}
			if secretStart.MatchString(text) || address.MatchString(text) {
				t.Errorf("unredacted text %q", text)
			}
		}
	})
}
