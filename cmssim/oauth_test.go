package cmssim_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/cmssim"
)

// TestBaseStrings compares what a 401 repeats with the test vectors of Mastercard's libraries.
func TestBaseStrings(t *testing.T) {
	sim := cmssim.New(verifying())
	const parameters = "oauth_body_hash%3D47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D%26oauth_consumer_key%3Dk%26" +
		"oauth_nonce%3Dn%26oauth_signature_method%3DRSA-SHA256%26oauth_timestamp%3D1"
	const oauth = `OAuth oauth_body_hash="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",oauth_consumer_key="k",oauth_nonce="n",` +
		`oauth_signature_method="RSA-SHA256",oauth_timestamp="1",oauth_signature="AA=="`
	const origin = "GET&https%3A%2F%2Fexample.com%2F&"
	for target, want := range map[string]string{ // OAUTH: where the parameters of the header are
		"https://example.com/?param=token1%3Atoken2": origin + "OAUTH%26param%3Dtoken1%253Atoken2",
		"https://example.com/?param=token1:token2":   origin + "OAUTH%26param%3Dtoken1%3Atoken2",
		"https://example.com/?offset=0&offset=1&length=10&empty&odd=": origin +
			"empty%3D%26length%3D10%26OAUTH%26odd%3D%26offset%3D0%26offset%3D1",
		"https://example.com/?b5=%3D%253D&a3=a&c%40=&a2=r%20b&a3=2%20q": origin +
			"a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26OAUTH",
		"https://example.com/?b=b&A=a&A=A&B=B&a=A&a=a&0=0": origin +
			"0%3D0%26A%3DA%26A%3Da%26B%3DB%26a%3DA%26a%3Da%26b%3Db%26OAUTH",
		"https://example.com/?first_param=value&&first_param=other&": origin +
			"first_param%3Dother%26first_param%3Dvalue%26OAUTH",
		`/a"b?c="d"`:                                      "GET&http%3A%2F%2Fexample.com%2Fa%22b&c%3D%22d%22%26OAUTH",
		"https://www.example.net:8080":                    "GET&https%3A%2F%2Fwww.example.net%3A8080%2F&OAUTH",
		"http://EXAMPLE.COM:80/r%20v/X?id=123":            "GET&http%3A%2F%2Fexample.com%2Fr%2520v%2FX&id%3D123%26OAUTH",
		"https://api.mastercard.com:443/test?query=param": "GET&https%3A%2F%2Fapi.mastercard.com%2Ftest&OAUTH%26query%3Dparam",
		"https://api.mastercard.com:17443/test":           "GET&https%3A%2F%2Fapi.mastercard.com%3A17443%2Ftest&OAUTH",
		"https://API.MASTERCARD.COM/TEST":                 "GET&https%3A%2F%2Fapi.mastercard.com%2FTEST&OAUTH",
		"http://api.mastercard.com:443/":                  "GET&http%3A%2F%2Fapi.mastercard.com%3A443%2F&OAUTH",
		"/contracts/1/balances?balance_codes=A!B*C~D'E(F)": "GET&http%3A%2F%2Fexample.com%2Fcontracts%2F1%2Fbalances&" +
			"balance_codes%3DA%21B%2AC~D%27E%28F%29%26OAUTH",
	} {
		t.Run(target, func(t *testing.T) {
			_, description := refusedWith(t, present(sim, target, oauth))
			_, base, _ := strings.Cut(description, "base string: ")
			if want = strings.Replace(want, "OAUTH", parameters, 1); base != want {
				t.Errorf("got  %s\nwant %s", base, want)
			}
		})
	}
}

// TestSignedQueries: any query that a client escapes as RFC 3986 wants it can be signed, and nothing else passes for
// it.
func TestSignedQueries(t *testing.T) {
	sim := cmssim.New(verifying())
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	serial := 0
	rapid.Check(t, func(t *rapid.T) {
		serial++
		nonce, now := "q"+strconv.Itoa(serial), time.Now()
		name := rapid.StringMatching(`p[ -~é€]{0,5}`) // after all of oauth_…
		var wire []string
		for range rapid.IntRange(0, 3).Draw(t, "parameters") {
			wire = append(wire, escape(name.Draw(t, "name"))+"="+escape(rapid.String().Draw(t, "value")))
		}
		path := "/" + escape(rapid.String().Draw(t, "path"))
		params := []string{
			"oauth_body_hash=" + bodyHash, "oauth_consumer_key=" + consumerKey, "oauth_nonce=" + nonce,
			"oauth_signature_method=RSA-SHA256", fmt.Sprintf("oauth_timestamp=%d", now.Unix()), "oauth_version=1.0",
		}
		base := "GET&" + escape("http://example.com"+path) + "&" +
			escape(strings.Join(append(params, sortedPairs(wire)...), "&"))
		target := path
		if len(wire) > 0 {
			target += "?" + strings.Join(wire, "&")
		}
		at := rapid.IntRange(0, len(base)-1).Draw(t, "at")
		wrong := base[:at] + "#" + base[at+1:]
		if w := present(sim, target, authorization(nonce, now, sign(wrong))); w.Code != 401 {
			t.Fatalf("a changed base string: %d", w.Code)
		}
		w := present(sim, target, authorization(nonce, now, sign(base)))
		if code, _ := refusedWith(t, w); w.Code != 404 || code != "NOT_FOUND" { // no path of the operation, but let in
			t.Fatalf("%s: %d %s\nsigned %s", target, w.Code, w.Body, base)
		}
	})
}

// sortedPairs sorts by name and then by value, both escaped.
func sortedPairs(pairs []string) []string {
	values := map[string][]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = append(values[name], value)
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range slices.Sorted(slices.Values(values[name])) {
			out = append(out, name+"="+value)
		}
	}
	return out
}

func FuzzAuthorization(f *testing.F) {
	now := time.Now()
	f.Add(signedHeader("n", now), "/contracts/70001/balances?balance_codes=A%2CB")
	f.Add(`OAuth realm="x", oauth_nonce="a"`, "https://host:443?a&&=&b=%")
	f.Add(`OAuth ="",`, "*")
	sim := cmssim.New(verifying())
	f.Fuzz(func(t *testing.T, header, target string) {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		r.RequestURI = target
		w := httptest.NewRecorder()
		sim.ServeHTTP(w, r)
		if w.Code != 400 && w.Code != 401 { // there is no key here to sign with
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if err := checkErrorBody(w.Body.Bytes()); err != nil {
			t.Error(err)
		}
	})
}
