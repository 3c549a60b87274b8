package oauth1

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

var generated = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func testKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB, method Method) *Signer {
	t.Helper()
	key := testKey(t)
	s, err := New(exampleKey, method, func() *rsa.PrivateKey { return key })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// drawRequest draws a request that net/http sends as it is.
func drawRequest(t *rapid.T) *http.Request {
	u := &url.URL{
		Scheme:   rapid.SampledFrom([]string{"http", "https", "HTTPS"}).Draw(t, "scheme"),
		Host:     rapid.StringMatching(`[A-Za-z]{1,8}\.example(:443|:80|:8443)?`).Draw(t, "host"),
		Path:     "/" + rapid.String().Draw(t, "path"),
		RawQuery: rapid.StringMatching(`([a-c0-9&=%+,.:;!*$'()/?@~_-]|%2C|%2c|%C3%B5|oauth_nonce=1|a=b)*`).Draw(t, "query"),
	}
	if rapid.Bool().Draw(t, "empty path") {
		u.Path = ""
	} else if escaped := rapid.StringMatching(`(/|%2F|%2f|[a-c]|%20|!|,|%2C)*`).Draw(t, "raw path"); escaped != "" {
		u.RawPath = "/" + escaped
		u.Path, _ = url.PathUnescape(u.RawPath) // the pattern holds valid escapes only
	}
	r := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}
	if body := rapid.SliceOf(rapid.Byte()).Draw(t, "body"); len(body) > 0 {
		r.Method = http.MethodPost
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	return r
}

func TestSignaturesVerify(t *testing.T) {
	for _, method := range []Method{RSASHA256, RSAPSS} {
		signer, public := newSigner(t, method), &testKey(t).PublicKey
		rapid.Check(t, func(t *rapid.T) {
			r := drawRequest(t)
			if err := signer.Authenticate(r); err != nil {
				t.Fatal(err)
			}
			var wire bytes.Buffer
			if err := r.Write(&wire); err != nil {
				t.Fatal(err)
			}
			verifyWire(t, wire.Bytes(), strings.ToLower(r.URL.Scheme), public, method, exampleKey)
		})
	}
}

// TestEveryAttemptIsSignedAgain also shows that values which other requests share are replaced, not written to.
func TestEveryAttemptIsSignedAgain(t *testing.T) {
	signer := newSigner(t, RSASHA256)
	shared := []string{"shared"}
	r := newRequest(t, http.MethodGet, "https://api.example/balances?balance_codes=A%2CB")
	r.Header = http.Header{"Accept": shared, "Authorization": shared}
	nonces := map[string]bool{}
	for range 3 {
		if err := signer.Authenticate(r); err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			t.Fatal(err)
		}
		nonces[verifyWire(t, wire.Bytes(), "https", &testKey(t).PublicKey, RSASHA256, exampleKey)] = true
	}
	if len(nonces) != 3 || shared[0] != "shared" || r.Header.Get("Accept") != "shared" {
		t.Errorf("%d nonces, shared value %q", len(nonces), shared)
	}

	r.Header = nil
	if err := signer.Authenticate(r); err != nil || r.Header.Get("Authorization") == "" {
		t.Errorf("without headers: %v, %v", r.Header, err)
	}
}

func TestNonces(t *testing.T) {
	const workers, each = 100, 1000
	var (
		mu     sync.Mutex
		seen   = map[string]bool{}
		counts [16]map[rune]int
		wg     sync.WaitGroup
	)
	for range workers {
		wg.Go(func() {
			nonces := make([]string, each)
			for i := range nonces {
				nonces[i] = newNonce()
			}
			mu.Lock()
			defer mu.Unlock()
			for _, nonce := range nonces {
				seen[nonce] = true
			}
		})
	}
	wg.Wait()
	if len(seen) != workers*each {
		t.Errorf("%d different nonces of %d", len(seen), workers*each)
	}
	for nonce := range seen {
		if len(nonce) != 16 || strings.Trim(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			t.Fatalf("a nonce is %q", nonce)
		}
		for i, c := range nonce {
			if counts[i] == nil {
				counts[i] = map[rune]int{}
			}
			counts[i][c]++
		}
	}
	// 3125 of each are expected at each place, with a standard deviation of 55: a tenth more or less is a bias.
	for i, count := range counts {
		for c, n := range count {
			if len(count) != 32 || n < 2800 || n > 3450 {
				t.Errorf("place %d: %d characters, %q %d times", i, len(count), c, n)
			}
		}
	}
}

func TestNew(t *testing.T) {
	key := func() *rsa.PrivateKey { return nil }
	tests := []struct {
		consumerKey string
		method      Method
		key         func() *rsa.PrivateKey
		want        string // in the error; empty for none
	}{
		{exampleKey, RSASHA256, key, ""},
		{"short-but-possible!", RSAPSS, key, ""},
		{"", RSASHA256, key, "is empty"},
		{exampleKey + "\n", RSASHA256, key, "line breaks"},
		{exampleKey[:40] + " " + exampleKey[40:], RSASHA256, key, "spaces"},
		{`"` + exampleKey + `"`, RSASHA256, key, "quotes"},
		{exampleKey + ",", RSASHA256, key, "cannot have"},
		{exampleKey + "\\", RSASHA256, key, "cannot have"},
		{exampleKey + "õ", RSASHA256, key, "cannot have"},
		{exampleKey, "HMAC-SHA1", key, "set RSA-SHA256 or RSA-PSS"},
		{exampleKey, "", key, "set RSA-SHA256 or RSA-PSS"},
		{exampleKey, RSASHA256, nil, "signing key"},
	}
	for _, test := range tests {
		_, err := New(test.consumerKey, test.method, test.key)
		checkError(t, err, test.want)
	}
}

func TestCheckConsumerKey(t *testing.T) {
	for key, want := range map[string]string{
		exampleKey:                               "",
		strings.Repeat("a", 97):                  "97 characters",
		exampleKey[1:]:                           "(96 characters)",
		exampleKey + "0":                         "(98 characters)",
		exampleKey + "\n":                        "(98 characters)",
		strings.Replace(exampleKey, "_", "/", 1): "49th",
		exampleKey[1:48] + "!" + exampleKey[48:]: "49th",
		"":                                       "(0 characters)",
	} {
		checkError(t, CheckConsumerKey(key), want)
	}
}

func TestUnsignable(t *testing.T) {
	broken := errors.New("broken pipe")
	tests := []struct {
		key  *rsa.PrivateKey
		body func(*http.Request)
		want string
	}{
		{nil, func(*http.Request) {}, "no signing key"},
		{testKey(t), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }, "set GetBody"},
		{testKey(t), func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("x"))
			r.GetBody = func() (io.ReadCloser, error) { return nil, broken }
		}, "broken pipe"},
		{testKey(t), func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("x"))
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(broken)), nil }
		}, "broken pipe"},
		{testKey(t), func(r *http.Request) { r.Body = http.NoBody }, ""},
	}
	for _, test := range tests {
		signer, err := New(exampleKey, RSASHA256, func() *rsa.PrivateKey { return test.key })
		if err != nil {
			t.Fatal(err)
		}
		r := newRequest(t, http.MethodGet, "https://api.example/secret")
		r.Header = http.Header{}
		test.body(r)
		err = signer.Authenticate(r)
		checkError(t, err, test.want)
		if signed := r.Header.Get("Authorization") != ""; signed != (err == nil) {
			t.Errorf("%v, but signed: %v", err, signed)
		}
	}
}

// checkError also looks for what an error must not repeat.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	} else if strings.Contains(err.Error(), exampleKey[1:40]) || strings.Contains(err.Error(), "/secret") {
		t.Errorf("the error holds a secret: %v", err)
	}
}

func TestKeysCanBeChanged(t *testing.T) {
	old, fresh := testKey(t), mustGenerate(t, 2048)
	current := old
	signer, err := New(exampleKey, RSAPSS, func() *rsa.PrivateKey { return current })
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*rsa.PrivateKey{old, fresh} {
		current = key
		r := newRequest(t, http.MethodGet, "https://api.example/")
		if err := signer.Authenticate(r); err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			t.Fatal(err)
		}
		verifyWire(t, wire.Bytes(), "https", &key.PublicKey, RSAPSS, exampleKey)
	}
}

func mustGenerate(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
