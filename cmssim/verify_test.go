package cmssim_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/cmssim"
)

// The signature base string of the operation as Mastercard's own client libraries make it, in parts: between the first
// two comes %252C where the wire has %2C between the codes, and %2C where it has a comma.
const (
	consumerKey = "WFQHgP6gI01ZxbpqUzdWQ_GpDVrym3dhY6Q9X3PZe4ba3850!3b9f3d6593d04a0cbefadaf8bb3975fb0000000000000000"
	bodyHash    = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

	baseStart = "GET&https%3A%2F%2Fsandbox.api.mastercard.com%2Fglobal-processing%2Fcore%2Fcontracts%2F70001%2Fbalances&" +
		"balance_codes%3DAVAILABLE"
	baseEnd = "BLOCKED%26oauth_body_hash%3D47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D%26oauth_consumer_key%3D" +
		"WFQHgP6gI01ZxbpqUzdWQ_GpDVrym3dhY6Q9X3PZe4ba3850%213b9f3d6593d04a0cbefadaf8bb3975fb0000000000000000"
	baseTail = "%26oauth_nonce%3DNONCE%26oauth_signature_method%3DRSA-SHA256%26oauth_timestamp%3DTIME%26oauth_version%3D1.0"

	wireURL    = "https://sandbox.api.mastercard.com/global-processing/core/contracts/70001/balances?balance_codes="
	escapedURL = wireURL + "AVAILABLE%2CBLOCKED"
	rawURL     = wireURL + "AVAILABLE,BLOCKED"
)

// vectorTime is the timestamp of the base strings.
var vectorTime = time.Unix(1111111111, 0)

func baseOf(comma, nonce string, at time.Time) string {
	return baseStart + comma + baseEnd +
		strings.NewReplacer("NONCE", nonce, "TIME", strconv.FormatInt(at.Unix(), 10)).Replace(baseTail)
}

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func sign(base string) string {
	digest := sha256.Sum256([]byte(base))
	signature, err := rsa.SignPKCS1v15(nil, signingKey(), crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
}

func authorization(nonce string, at time.Time, signature string) string {
	return fmt.Sprintf(`OAuth oauth_consumer_key="%s",oauth_nonce="%s",oauth_signature_method="RSA-SHA256",`+
		`oauth_timestamp="%d",oauth_version="1.0",oauth_body_hash="%s",oauth_signature="%s"`,
		consumerKey, nonce, at.Unix(), bodyHash, signature)
}

// signedHeader is a right header for escapedURL.
func signedHeader(nonce string, at time.Time) string {
	return authorization(nonce, at, sign(baseOf("%252C", nonce, at)))
}

func verifying() cmssim.Config {
	return cmssim.Config{Verify: &cmssim.Verify{ConsumerKey: consumerKey, Key: &signingKey().PublicKey}}
}

// present sends a GET with the headers, without a socket.
func present(sim http.Handler, target string, authorization ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	w := httptest.NewRecorder()
	sim.ServeHTTP(w, r)
	return w
}

// refusedWith reads an error of the gateway.
func refusedWith(t rapid.TB, w *httptest.ResponseRecorder) (reasonCode, description string) {
	t.Helper()
	var body struct {
		Errors struct {
			Error []struct{ Source, ReasonCode, Description string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Errors.Error) != 1 ||
		body.Errors.Error[0].Source != "Gateway" {
		t.Fatalf("%d is no error of the gateway: %s", w.Code, w.Body)
	}
	return body.Errors.Error[0].ReasonCode, body.Errors.Error[0].Description
}

// atVectorTime runs the test when the base strings were made.
func atVectorTime(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(vectorTime))
		test(t)
	})
}

// TestSignedCalls: what is signed over a published base string is accepted.
func TestSignedCalls(t *testing.T) {
	pss := func(base string) string {
		digest := sha256.Sum256([]byte(base))
		signature, err := rsa.SignPSS(rand.Reader, signingKey(), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
		if err != nil {
			t.Fatal(err)
		}
		return url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
	}
	const nonce = "1111111111111111"
	escaped, raw := baseOf("%252C", nonce, vectorTime), baseOf("%2C", nonce, vectorTime)
	headerOf := func(base string) string { return authorization(nonce, vectorTime, sign(base)) }
	header := headerOf(escaped)
	change := func(s, old, replacement string) string { return strings.Replace(s, old, replacement, 1) }
	hash := url.QueryEscape(bodyHash)
	for name, c := range map[string]struct{ target, header string }{
		"escaped comma": {escapedURL, header},
		"raw comma":     {rawURL, headerOf(raw)},
		"RSA-PSS": {escapedURL, change(
			authorization(nonce, vectorTime, pss(change(escaped, "RSA-SHA256", "RSA-PSS"))), "RSA-SHA256", "RSA-PSS")},
		"escaped body hash": {escapedURL, change(headerOf(change(escaped, hash, url.QueryEscape(hash))), bodyHash, hash)},
		"blanks":            {escapedURL, "oauth  " + strings.ReplaceAll(strings.TrimPrefix(header, "OAuth "), ",", " ,\t")},
		"a realm":           {escapedURL, change(header, "OAuth ", `OAuth realm="any, thing",`)},
		"no version": {escapedURL, change(headerOf(change(escaped, "%26oauth_version%3D1.0", "")),
			`oauth_version="1.0",`, "")},
		"default port": {change(escapedURL, "mastercard.com", "MasterCard.com:443"), header},
	} {
		t.Run(name, func(t *testing.T) {
			atVectorTime(t, func(t *testing.T) {
				sim := cmssim.New(verifying())
				if w := present(sim, c.target, c.header); w.Code != 200 || w.Body.String() != sandboxBoth {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				if got := sim.Stats().RefusedSignatures; got != nil {
					t.Errorf("refused: %v", got)
				}
			})
		})
	}
}

// TestRefusedCalls: everything that is not exactly right, by answer and by cause.
func TestRefusedCalls(t *testing.T) {
	const nonce = "1111111111111111"
	good := signedHeader(nonce, vectorTime)
	edit := func(old, replacement string) []string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the header", old)
		}
		return []string{strings.Replace(good, old, replacement, 1)}
	}
	raw := baseOf("%2C", nonce, vectorTime)
	signedAt := func(at time.Time) []string { return []string{signedHeader(nonce, at)} }
	const invalid, failed = "INVALID_AUTH_HEADER", "AUTHENTICATION_FAILED"
	for name, c := range map[string]struct {
		headers []string
		status  int
		reason  string
		cause   string
	}{
		"no header":            {nil, 400, invalid, "header"},
		"empty header":         {[]string{""}, 400, invalid, "header"},
		"two headers":          {[]string{good, good}, 400, invalid, "header"},
		"other scheme":         {edit("OAuth", "Bearer"), 400, invalid, "header"},
		"scheme alone":         {[]string{"OAuth"}, 400, invalid, "header"},
		"no quotes":            {edit(`"1.0"`, `1.0`), 400, invalid, "header"},
		"quote not closed":     {[]string{strings.TrimSuffix(good, `"`)}, 400, invalid, "header"},
		"comma at the end":     {[]string{good + ","}, 400, invalid, "header"},
		"no comma":             {edit(`",oauth_nonce`, `" oauth_nonce`), 400, invalid, "header"},
		"rest after the quote": {edit(`"1.0"`, `"1.0"x`), 400, invalid, "header"},
		"a name twice": {edit(`oauth_version="1.0"`, `oauth_version="1.0",oauth_version="1.0"`), 400, invalid,
			"header"},
		"a nameless parameter": {edit(`oauth_version="1.0"`, `="1.0"`), 400, invalid, "header"},
		"no nonce":             {edit(`oauth_nonce`, `nonce`), 400, invalid, "header"},
		"empty nonce":          {edit(nonce, ``), 400, invalid, "header"},
		"no timestamp":         {edit(`oauth_timestamp`, `timestamp`), 400, invalid, "header"},
		"timestamp no number":  {edit(`oauth_timestamp="1111111111`, `oauth_timestamp="now`), 400, invalid, "header"},
		"timestamp in ms": {edit(`oauth_timestamp="1111111111`, `oauth_timestamp="1111111111000`), 401, failed,
			"signature"},
		"timestamp negative": {edit(`oauth_timestamp="`, `oauth_timestamp="-`), 400, invalid, "header"},
		"timestamp too long": {edit(`oauth_timestamp="1111111111`, `oauth_timestamp="9223372036854775808`), 400, invalid,
			"header"},
		"no signature":  {edit(`oauth_signature=`, `signature=`), 400, invalid, "header"},
		"no method":     {edit(`oauth_signature_method`, `method`), 400, invalid, "header"},
		"other method":  {edit(`RSA-SHA256`, `HMAC-SHA256`), 400, invalid, "header"},
		"no body hash":  {edit(`oauth_body_hash`, `body_hash`), 400, invalid, "header"},
		"other version": {edit(`"1.0"`, `"2.0"`), 400, invalid, "header"},
		"empty version": {edit(`"1.0"`, `""`), 400, invalid, "header"},
		"no consumer key": {edit(`oauth_consumer_key="`+consumerKey+`",`, ``), 400, "INVALID_OAUTH_SBS",
			"noConsumerKey"},
		"empty consumer key":     {edit(consumerKey, ``), 400, "INVALID_OAUTH_SBS", "noConsumerKey"},
		"other body hash":        {edit(bodyHash, `h`+bodyHash[1:]), 400, "INVALID_BODY_HASH", "bodyHash"},
		"body hash no escape":    {edit(bodyHash, `%`), 400, "INVALID_BODY_HASH", "bodyHash"},
		"unknown consumer key":   {edit(consumerKey, `x`), 401, failed, "consumerKey"},
		"signature of raw comma": {[]string{authorization(nonce, vectorTime, sign(raw))}, 401, failed, "signature"},
		"other nonce":            {edit(nonce, "2222222222222222"), 401, failed, "signature"},
		"other method name":      {edit(`RSA-SHA256`, `RSA-PSS`), 401, failed, "signature"},
		"parameter added":        {edit(`OAuth `, `OAuth oauth_token="x",`), 401, failed, "signature"},
		"signature no escape":    {edit(`oauth_signature="`, `oauth_signature="%`), 401, failed, "signature"},
		"signature no Base64":    {edit(`oauth_signature="`, `oauth_signature="!`), 401, failed, "signature"},
		"signature empty":        {[]string{authorization(nonce, vectorTime, "AA%3D%3D")}, 401, failed, "signature"},
		"too old":                {signedAt(vectorTime.Add(-5*time.Minute - time.Second)), 401, failed, "timestamp"},
		"too new":                {signedAt(vectorTime.Add(5*time.Minute + time.Second)), 401, failed, "timestamp"},
		"the largest time":       {signedAt(time.Unix(1<<63-1, 0)), 401, failed, "timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			atVectorTime(t, func(t *testing.T) {
				sim := cmssim.New(verifying())
				w := present(sim, escapedURL, c.headers...)
				reason, description := refusedWith(t, w)
				if w.Code != c.status || reason != c.reason {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				if got := sim.Stats().RefusedSignatures; !maps.Equal(got, map[string]int64{c.cause: 1}) {
					t.Errorf("counted: %v", got)
				}
				if c.status == 401 && !strings.Contains(description, "Acceptable signature base string: "+baseStart+
					"%252CBLOCKED") {
					t.Errorf("the description lacks the base string: %s", description)
				}
				if w := present(sim, escapedURL, good); w.Code != 200 { // a refusal uses nothing up
					t.Errorf("the right header after it: %d %s", w.Code, w.Body)
				}
			})
		})
	}
}

// TestSignedBodies: a body counts with its hash, no matter what the operation then says to it.
func TestSignedBodies(t *testing.T) {
	atVectorTime(t, func(t *testing.T) {
		const body = `{"foõ":"bar"}`
		const hash = "+Z+PWW2TJDnPvRcTgol+nKO3LT7xm8smnsg+//XMIyI="
		base := strings.Replace(baseOf("%252C", "n", vectorTime), "GET&", "POST&", 1)
		base = strings.Replace(base, url.QueryEscape(bodyHash), url.QueryEscape(hash), 1)
		header := strings.Replace(authorization("n", vectorTime, sign(base)), bodyHash, hash, 1)
		sim := cmssim.New(verifying())
		for _, c := range []struct {
			body   string
			status int
		}{{body + " ", 400}, {"", 400}, {body, 405}} {
			r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, escapedURL, strings.NewReader(c.body))
			r.Header.Set("Authorization", header)
			w := httptest.NewRecorder()
			if sim.ServeHTTP(w, r); w.Code != c.status {
				t.Errorf("%q: %d %s", c.body, w.Code, w.Body)
			}
		}
		if got := sim.Stats().RefusedSignatures; !maps.Equal(got, map[string]int64{"bodyHash": 2}) {
			t.Errorf("counted: %v", got)
		}
	})
}

// TestVerificationComesFirst: before faults and the capacity limit, so that no call is repeated under a used nonce
// unseen.
func TestVerificationComesFirst(t *testing.T) {
	config := verifying()
	config.Record = true
	sim := cmssim.New(config)
	sim.Outage(time.Hour)
	header := signedHeader("n", time.Now())
	for i, want := range []int{503, 401} {
		if w := present(sim, escapedURL, header); w.Code != want {
			t.Errorf("call %d: %d", i, w.Code)
		}
	}
	if calls := sim.Calls(70001); len(calls) != 2 || calls[1].Status != 401 {
		t.Errorf("recorded: %+v", calls)
	}
	counted := `"refusedSignatures":{"nonce":1}`
	if w := control(sim, "GET", "/stats", ""); w.Code != 200 || !strings.Contains(w.Body.String(), counted) {
		t.Errorf("control endpoint: %d %s", w.Code, w.Body)
	}
	sim.Reset()
	if got := sim.Stats().RefusedSignatures; got != nil {
		t.Errorf("after Reset: %v", got)
	}
}

// TestVerifyOverASocket: over https a client signs https, over http http, with the port it dialled.
func TestVerifyOverASocket(t *testing.T) {
	config := verifying()
	config.TLS = serverTLS(t)
	server, client := start(t, config)
	trust(client, config.TLS)
	target := server.URL() + "/contracts/70001/balances?balance_codes=AVAILABLE%2CBLOCKED"
	ask := func(signedURL, nonce string) int {
		base := strings.Replace(baseOf("%252C", nonce, time.Now()),
			url.QueryEscape(strings.TrimSuffix(wireURL, "?balance_codes=")),
			url.QueryEscape(strings.TrimSuffix(signedURL, "?balance_codes=AVAILABLE%2CBLOCKED")), 1)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization(nonce, time.Now(), sign(base)))
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if got := ask(target, "a"); got != 200 {
		t.Errorf("got %d", got)
	}
	if got := ask("http"+strings.TrimPrefix(target, "https"), "b"); got != 401 {
		t.Errorf("signed for http: %d", got)
	}
}
