package jwe

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// withHeader replaces the header of a JWE; what is encrypted is then no longer authentic.
func withHeader(token, header string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// TestMalformed: whatever is wrong with the JWE itself is ErrMalformed, also where no key is at fault.
func TestMalformed(t *testing.T) {
	token := vectors(t)[0].JWE // names our key
	parts := strings.Split(token, ".")
	changed := func(part int) string {
		out := slices.Clone(parts)
		raw, err := base64.RawURLEncoding.DecodeString(out[part])
		if err != nil {
			t.Fatal(err)
		}
		raw[0] ^= 1
		out[part] = base64.RawURLEncoding.EncodeToString(raw)
		return strings.Join(out, ".")
	}
	without := func(part int) string {
		out := slices.Clone(parts)
		out[part] = ""
		return strings.Join(out, ".")
	}
	by := func(alg jose.KeyAlgorithm, enc jose.ContentEncryption) string {
		return encrypted(t, alg, enc, "x", nil)
	}
	zip := &jose.EncrypterOptions{Compression: jose.DEFLATE}
	bomb := encrypted(t, jose.RSA_OAEP_256, jose.A256GCM, strings.Repeat("0", 4<<20), zip)
	critical := encrypted(t, jose.RSA_OAEP_256, jose.A256GCM, "x", (&jose.EncrypterOptions{}).
		WithHeader("crit", []string{"exp"}))
	for name, c := range map[string]struct{ token, message string }{
		"empty":                 {"", "empty"},
		"a word":                {"hello", "five parts"},
		"four parts":            {strings.Join(parts[:4], "."), "five parts"},
		"six parts":             {token + ".x", "five parts"},
		"dots":                  {"....", ""},
		"no Base64":             {"!" + token, "illegal base64"},
		"padded Base64":         {parts[0] + "=." + strings.Join(parts[1:], "."), "illegal base64"},
		"header no JSON":        {withHeader(token, "{"), ""},
		"header a list":         {withHeader(token, "[]"), ""},
		"header empty":          {withHeader(token, "{}"), "alg"},
		"alg twice":             {withHeader(token, `{"alg":"RSA-OAEP-256","alg":"RSA-OAEP-256","enc":"A256GCM"}`), ""},
		"alg none":              {withHeader(token, `{"alg":"none","enc":"A256GCM"}`), "unexpected key algorithm"},
		"alg dir":               {withHeader(token, `{"alg":"dir","enc":"A256GCM"}`), "unexpected key algorithm"},
		"alg RSA-OAEP":          {by(jose.RSA_OAEP, jose.A256GCM), "unexpected key algorithm"},
		"alg RSA1_5":            {by(jose.RSA1_5, jose.A256GCM), "unexpected key algorithm"},
		"enc A256CBC-HS512":     {by(jose.RSA_OAEP_256, jose.A256CBC_HS512), "unexpected content encryption"},
		"enc missing":           {withHeader(token, `{"alg":"RSA-OAEP-256"}`), "enc"},
		"compressed":            {bomb, "zip"},
		"zip that is no string": {withHeader(token, `{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":7}`), "zip"},
		"critical extension":    {critical, "crit"},
		"header changed":        {withHeader(token, `{"alg":"RSA-OAEP-256","enc":"A256GCM"}`), "cryptographic"},
		"other enc":             {withHeader(token, `{"alg":"RSA-OAEP-256","enc":"A128GCM"}`), "cryptographic"},
		"key changed":           {changed(1), "cryptographic"},
		"key missing":           {without(1), "cryptographic"},
		"IV changed":            {changed(2), "cryptographic"},
		"IV missing":            {without(2), "cryptographic"},
		"ciphertext changed":    {changed(3), "cryptographic"},
		"ciphertext missing":    {without(3), "cryptographic"},
		"tag changed":           {changed(4), "cryptographic"},
		"tag cut":               {token[:len(token)-8], "cryptographic"},
		"tag missing":           {without(4), "cryptographic"},
		"deeply nested header":  {withHeader(token, `{"a":`+strings.Repeat("[", 1<<20)), "longer than"},
		"long algorithm quoted": {withHeader(token, `{"alg":"`+strings.Repeat("A", 4000)+`","enc":"A256GCM"}`),
			"unexpected key"},
		"control chars in alg":   {withHeader(token, `{"alg":"\u0007\u202e\n","enc":"A256GCM"}`), "unexpected key algorithm"},
		"CBC without ciphertext": {withHeader(without(3), `{"alg":"RSA-OAEP-256","enc":"A128CBC-HS256"}`), "cryptographic"},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := with(other(), own()).Decrypt(envelope(c.token))
			if !errors.Is(err, ErrMalformed) || plain != nil || !strings.Contains(err.Error(), c.message) {
				t.Fatalf("got %.80q, %v", plain, err)
			}
			checkText(t, err)
		})
	}
}

// checkText holds errors to what a log may contain: bounded and visible ASCII.
func checkText(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 600 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%d bytes, or not visible ASCII: %.700q", len(text), text)
	}
}

// TestKeys: where our keys are at fault, the error says so and is not ErrMalformed. (What to set is the client's to
// say.)
func TestKeys(t *testing.T) {

	list := vectors(t)
	named, unnamed := list[0].JWE, list[1].JWE
	hostile := `{"kid":"\n\u001b[2J` + strings.Repeat("é", 2000) + `","alg":"RSA-OAEP-256","enc":"A256GCM"}`
	for name, c := range map[string]struct {
		keys    []*rsa.PrivateKey
		token   string
		message string
	}{
		"no keys":     {nil, named, "there is no key"},
		"another key": {[]*rsa.PrivateKey{other()}, named, keyID(&own().PublicKey)},
		"no kid":      {[]*rsa.PrivateKey{other()}, unnamed, "kid: none"},
		"hostile kid": {[]*rsa.PrivateKey{other()}, withHeader(named, hostile), `\n\x1b[2J`},
		"kid a number": {[]*rsa.PrivateKey{other()}, withHeader(named, `{"kid":7,"alg":"RSA-OAEP-256","enc":"A256GCM"}`),
			""},
		"key of 4096 bit": {[]*rsa.PrivateKey{other()}, strings.Replace(unnamed, ".", "."+strings.Repeat("A", 344), 1),
			"no key opens"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := with(c.keys...).Decrypt(envelope(c.token))
			if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Fatalf("got %v", err)
			}
			if malformed := errors.Is(err, ErrMalformed); malformed == strings.Contains(err.Error(), blame) {
				t.Errorf("malformed: %v: %v", malformed, err)
			}
			if name != "kid a number" && errors.Is(err, ErrMalformed) {
				t.Errorf("the body is blamed: %v", err)
			}
			checkText(t, err)
		})
	}
}

// blame is what errors say that are not due to the answer.
const blame = "no key"

func FuzzDecrypt(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(envelope(v.JWE))
	}
	f.Add([]byte(`{"encryptedValue":"e30.e30.e30.e30.e30"}`))
	f.Add([]byte(`{"a":1,"encryptedData":null}`))
	f.Add(envelope(withHeader(vectors(f)[0].JWE,
		`{"alg":"RSA-OAEP-256","enc":"A256GCM","x5c":["AA"],"jwk":{"kty":"RSA"},"p2c":1}`)))
	d := with(other(), own())
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		plain, err := d.Decrypt(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			checkText(t, err)
			if malformed := errors.Is(err, ErrMalformed); plain != nil || malformed == strings.Contains(err.Error(), blame) {
				t.Fatalf("plain %q with %v", plain, err)
			}
			return
		}
		if len(plain) > len(body) {
			t.Fatalf("%d bytes became %d", len(body), len(plain))
		}
		if _, isEnvelope := d.member(body); !isEnvelope && !bytes.Equal(plain, body) {
			t.Fatalf("no envelope, but %q became %q", body, plain)
		}
	})
}
