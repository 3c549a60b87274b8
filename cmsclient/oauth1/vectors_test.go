package oauth1

import (
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient/keys"
)

// The vectors are Mastercard's own, from the tests of its signer libraries for Go and Java (oauth1-signer-go,
// oauth1-signer-java), unless they say otherwise; their key is in testdata.

const (
	exampleKey    = "WFQHgP6gI01ZxbpqUzdWQ_GpDVrym3dhY6Q9X3PZe4ba3850!3b9f3d6593d04a0cbefadaf8bb3975fb0000000000000000"
	emptyBodySHA2 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
)

func TestBodyHash(t *testing.T) {
	for body, want := range map[string]string{
		"":              emptyBodySHA2,
		`{"foõ":"bar"}`: "+Z+PWW2TJDnPvRcTgol+nKO3LT7xm8smnsg+//XMIyI=",
	} {
		if got := bodyHash([]byte(body)); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
}

func TestQueryParams(t *testing.T) {
	for query, want := range map[string][]param{
		"":  {},
		"&": {},
		"offset=0&offset=1&length=10&empty&odd=": {
			{"offset", "0"}, {"offset", "1"}, {"length", "10"}, {"empty", ""}, {"odd", ""}},
		"b5=%3D%253D&a3=a&c%40=&a2=r%20b": {{"b5", "%3D%253D"}, {"a3", "a"}, {"c%40", ""}, {"a2", "r%20b"}},
		"colon=%3A&plus=%2B&comma=%2C":    {{"colon", "%3A"}, {"plus", "%2B"}, {"comma", "%2C"}},
		// The libraries differ in the plus; Java's keeps it.
		"colon=:&plus=+&comma=,": {{"colon", ":"}, {"plus", "+"}, {"comma", ","}},
		// Not a vector: escaped and unescaped text side by side stays as it is on the wire, also in lower case.
		"a=%2c,&=v&b=x=y": {{"a", "%2c,"}, {"", "v"}, {"b", "x=y"}},
	} {
		if got := queryParams(query); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

func TestParamString(t *testing.T) {
	tests := []struct {
		params []param
		want   string
	}{
		{nil, ""},
		{[]param{{"b5", "%3D%253D"}, {"a3", "a"}, {"a3", "2%20q"}, {"c%40", ""}, {"a2", "r%20b"}, {"c2", ""},
			{"oauth_consumer_key", "9djdj82h48djs9d2"}, {"oauth_token", "kkk9d7dh3k39sjv7"},
			{"oauth_signature_method", "HMAC-SHA1"}, {"oauth_timestamp", "137131201"}, {"oauth_nonce", "7d8f3e4a"}},
			"a2=r%20b&a3=2%20q&a3=a&b5=%3D%253D&c%40=&c2=&oauth_consumer_key=9djdj82h48djs9d2&oauth_nonce=7d8f3e4a" +
				"&oauth_signature_method=HMAC-SHA1&oauth_timestamp=137131201&oauth_token=kkk9d7dh3k39sjv7"},
		{[]param{{"b", "b"}, {"A", "a"}, {"A", "A"}, {"B", "B"}, {"a", "A"}, {"a", "a"}, {"0", "0"}},
			"0=0&A=A&A=a&B=B&a=A&a=a&b=b"},
		// Not a vector: a name sorts before a longer one, though "=" comes after "-" and "1".
		{[]param{{"a-b", "1"}, {"a1", "1"}, {"a", "2"}}, "a=2&a-b=1&a1=1"},
	}
	for _, test := range tests {
		if got := paramString(test.params); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://www.example.net:8080":                      "https://www.example.net:8080/",
		"http://EXAMPLE.COM:80/r%20v/X?id=123":              "http://example.com/r%20v/X",
		"https://api.mastercard.com:443/test?query=param":   "https://api.mastercard.com/test",
		"https://api.mastercard.com:17443/test?query=param": "https://api.mastercard.com:17443/test",
		"HTTPS://API.MASTERCARD.COM/TEST":                   "https://api.mastercard.com/TEST",
		"https://api.mastercard.com/test?query=param#part":  "https://api.mastercard.com/test",
		// Not vectors.
		"http://example.com:443/":       "http://example.com:443/",
		"https://[2001:DB8::443]:443/a": "https://[2001:db8::443]/a",
		"https://example.com/a%2Fb/%c3": "https://example.com/a%2Fb/%c3",
	} {
		if got := baseURL(newRequest(t, http.MethodGet, address)); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}

	r := newRequest(t, http.MethodGet, "https://127.0.0.1/test")
	r.Host = "API.mastercard.com:443"
	if got := baseURL(r); got != "https://api.mastercard.com/test" {
		t.Errorf("with a Host of its own: %s", got)
	}
}

func TestBaseString(t *testing.T) {
	tests := []struct{ method, url, params, want string }{
		{"GET", "https://example.com", paramString(queryParams("param=token1%3Atoken2")),
			"GET&https%3A%2F%2Fexample.com&param%3Dtoken1%253Atoken2"},
		{"GET", "https://example.com", paramString(queryParams("param=token1:token2")),
			"GET&https%3A%2F%2Fexample.com&param%3Dtoken1%3Atoken2"},
		{"post", "https://api.mastercard.com", paramString([]param{{"param2", "hello"}, {"first_param", "value"},
			{"first_param", "othervalue"}, {"oauth_nonce", "randomnonce"}, {"oauth_body_hash", "body/hash"}}),
			"POST&https%3A%2F%2Fapi.mastercard.com&first_param%3Dothervalue%26first_param%3Dvalue" +
				"%26oauth_body_hash%3Dbody%2Fhash%26oauth_nonce%3Drandomnonce%26param2%3Dhello"},
	}
	for _, test := range tests {
		if got := string(baseString(test.method, test.url, test.params)); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

// TestBaseStringIntegrated is TestGetSignatureBaseString_Integrated, from the hash of its body on.
func TestBaseStringIntegrated(t *testing.T) {
	r := newRequest(t, http.MethodPost,
		"https://sandbox.api.mastercard.com/fraud/merchant/v1/termination-inquiry?Format=XML&PageOffset=0&PageLength=10")
	params := append(queryParams(r.URL.RawQuery), oauthParams("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"h2Pd7zlzEZjZVIKB4j94UZn/xxoR3RoCjYQ9/JdadGQ=", "1111111111111111111")...)
	const want = "POST&https%3A%2F%2Fsandbox.api.mastercard.com%2Ffraud%2Fmerchant%2Fv1%2Ftermination-inquiry&" +
		"Format%3DXML%26PageLength%3D10%26PageOffset%3D0" +
		"%26oauth_body_hash%3Dh2Pd7zlzEZjZVIKB4j94UZn%2FxxoR3RoCjYQ9%2FJdadGQ%3D" +
		"%26oauth_consumer_key%3Dxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx%26oauth_nonce%3D1111111111111111111" +
		"%26oauth_signature_method%3DRSA-SHA256%26oauth_timestamp%3D1111111111%26oauth_version%3D1.0"
	if got := string(baseString(r.Method, baseURL(r), paramString(params))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestBalances has the requests that the client makes; the base strings were computed by another program. The header is
// checked against them, too: its parameters must be the signed ones.
func TestBalances(t *testing.T) {
	for codes, signed := range map[string]string{
		"AVAILABLE%2CBLOCKED": "AVAILABLE%252CBLOCKED",
		"AVAILABLE,BLOCKED":   "AVAILABLE%2CBLOCKED",
	} {
		r := newRequest(t, http.MethodGet,
			"https://sandbox.api.mastercard.com/global-processing/core/contracts/70001/balances?balance_codes="+codes)
		want := "GET&https%3A%2F%2Fsandbox.api.mastercard.com%2Fglobal-processing%2Fcore%2Fcontracts%2F70001%2Fbalances&" +
			"balance_codes%3D" + signed + "%26oauth_body_hash%3D47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D" +
			"%26oauth_consumer_key%3DWFQHgP6gI01ZxbpqUzdWQ_GpDVrym3dhY6Q9X3PZe4ba3850%21" +
			"3b9f3d6593d04a0cbefadaf8bb3975fb0000000000000000%26oauth_nonce%3D1111111111111111" +
			"%26oauth_signature_method%3DRSA-SHA256%26oauth_timestamp%3D1111111111%26oauth_version%3D1.0"
		params := append(queryParams(r.URL.RawQuery), oauthParams(exampleKey, emptyBodySHA2, "1111111111111111")...)
		if got := string(baseString(r.Method, baseURL(r), paramString(params))); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}

		header, err := newSigner(t, RSASHA256).authorization(r, "1111111111111111", time.Unix(1111111111, 0))
		if err != nil {
			t.Fatal(err)
		}
		fields := parseHeader(t, header)
		verifySignature(t, &testKey(t).PublicKey, RSASHA256, want, fields["oauth_signature"])
		delete(fields, "oauth_signature")
		if got := fmt.Sprint(fields); got != "map[oauth_body_hash:"+emptyBodySHA2+" oauth_consumer_key:"+exampleKey+
			" oauth_nonce:1111111111111111 oauth_signature_method:RSA-SHA256 oauth_timestamp:1111111111 oauth_version:1.0]" {
			t.Error(got)
		}
	}
}

// TestSignatures has the signature of the libraries' own test, and one of the client's request.
func TestSignatures(t *testing.T) {
	container, err := os.ReadFile("testdata/test_key_container.p12")
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.Parse(container, "Password1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(exampleKey, RSASHA256, func() *rsa.PrivateKey { return key.Private })
	if err != nil {
		t.Fatal(err)
	}
	const ofBaseString = "IJeNKYGfUhFtj5OAPRI92uwfjJJLCej3RCMLbp7R6OIYJhtwxnTkloHQ2bgV7fks4GT/A7rkqrgUGk0ewbwIC6nS3piJHyKVc7rv" +
		"QXZuCQeeeQpFzLRiH3rsb+ZS+AULK+jzDje4Fb+BQR6XmxuuJmY6YrAKkj13Ln4K6bZJlSxOizbNvt+Htnx+hNd4VgaVBeJKcLhHfZbWQxK76nMnjY7nDcM/" +
		"2R6LUIR2oLG1L9m55WP3bakAvmOr392ulv1+mWCwDAZZzQ4lakDD2BTu0ZaVsvBW+mcKFxYeTq7SyTQMM4lEwFPJ6RLc8jJJ+veJXHekLVzWg4qHRtzNBLz1mA=="
	signature, err := s.sign([]byte("baseString"))
	if got := base64.StdEncoding.EncodeToString(signature); err != nil || got != ofBaseString {
		t.Errorf("of baseString: %s, %v", got, err)
	}

	const ofBalances = "jv28T/t+meumolO6TxpU3gpQl+vRwe5fLkHEg2+Z+o7IkrZmXU7/i77ZQxSSOMg95AX/WCUIS5PTJP3kgD+negNfdB0KwgxdSQxc/jbP" +
		"Y8AsdgAze+D/D6a4svmckzEU1dOW/jKYLM0dII6z3Hx6JB/PHKFLU5gU0gNdsnTvkThCwrQON1Q05ZDFLmxGvdk72IlzFWEBKCR0we5BvhCN4fUtIgXJC5RyobXx" +
		"bRkthsuwms3hAW5rUrE5OiG2WjKL/K6A/l+ReiHTQj32RSKfquoGpN7DRk+MkJ70FmVvJbOkkLZ6/D0VRD80wJdPYMF9JcBdXDCUirKxEMPeMuqP5Q=="
	r := newRequest(t, http.MethodGet,
		"https://sandbox.api.mastercard.com/global-processing/core/contracts/70001/balances?balance_codes=AVAILABLE%2CBLOCKED")
	header, err := s.authorization(r, "1111111111111111", time.Unix(1111111111, 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := `oauth_signature="` + url.QueryEscape(ofBalances) + `"`; !strings.HasSuffix(header, want) {
		t.Errorf("of the balances: %s\nwant at its end %s", header, want)
	}
}

func TestEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"Format=XML":                           "Format%3DXML",
		"WhqqH+TU95VgZMItpdq78BWb4cE=":         "WhqqH%2BTU95VgZMItpdq78BWb4cE%3D",
		"WhqqH+TU95VgZ~Itpdq78BWb4cE=&o":       "WhqqH%2BTU95VgZ~Itpdq78BWb4cE%3D%26o",
		"az AZ09-._~!*'()%õ\x00/:;@[]{}\x7f`^": "az%20AZ09-._~%21%2A%27%28%29%25%C3%B5%00%2F%3A%3B%40%5B%5D%7B%7D%7F%60%5E",
	} {
		if got := escaped(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// oauthParams are those of the vectors; they differ in the given ones.
func oauthParams(consumerKey, bodyHash, nonce string) []param {
	return []param{{"oauth_version", "1.0"}, {"oauth_timestamp", "1111111111"}, {"oauth_signature_method", "RSA-SHA256"},
		{"oauth_nonce", nonce}, {"oauth_consumer_key", consumerKey}, {"oauth_body_hash", bodyHash}}
}

func newRequest(t testing.TB, method, address string) *http.Request {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{Method: method, URL: u}
}
