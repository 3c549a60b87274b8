package jwe

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ours is testdata/key.pem, other a key that the vectors know nothing of.
var (
	ours = sync.OnceValue(func() *rsa.PrivateKey {
		text, err := os.ReadFile("testdata/key.pem")
		if err != nil {
			panic(err)
		}
		block, _ := pem.Decode(text)
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			panic(err)
		}
		return key.(*rsa.PrivateKey)
	})
	other = sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
)

type vector struct{ Name, JWE, Plain string }

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		t.Fatalf("%d vectors: %v", len(list), err)
	}
	return list
}

func with(keys ...*rsa.PrivateKey) *Decrypter {
	return New([]string{"encryptedData", "encryptedValue"}, func() []*rsa.PrivateKey { return keys })
}

func envelope(token string) []byte { return []byte(`{"encryptedData":"` + token + `"}`) }

// encrypted makes a JWE with go-jose.
func encrypted(t testing.TB, alg jose.KeyAlgorithm, enc jose.ContentEncryption, plain string, opts *jose.EncrypterOptions) string {
	t.Helper()
	encrypter, err := jose.NewEncrypter(enc, jose.Recipient{Algorithm: alg, Key: &ours().PublicKey}, opts)
	if err != nil {
		t.Fatal(err)
	}
	object, err := encrypter.Encrypt([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// withHeader replaces the header of a JWE; what is encrypted is then no longer authentic.
func withHeader(token, header string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// TestVectors: JWEs of an independent implementation, under every set of keys that holds the right one.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			for _, keys := range [][]*rsa.PrivateKey{{ours()}, {other(), ours()}, {ours(), other()}} {
				plain, err := with(keys...).Decrypt(envelope(v.JWE))
				if err != nil || string(plain) != v.Plain {
					t.Errorf("got %q, %v, want %q", plain, err, v.Plain)
				}
			}
		})
	}
}

func TestEnvelopes(t *testing.T) {
	v := vectors(t)[0]
	token := v.JWE
	for name, body := range map[string]string{
		"default field":      `{"encryptedData":"` + token + `"}`,
		"other field":        `{"encryptedValue":"` + token + `"}`,
		"blanks":             " {\r\n\t\"encryptedData\" : \"" + token + "\" } \n",
		"among others":       `{"a":{"encryptedData":1},"b":[{"encryptedData":"x"}],"encryptedData":"` + token + `","c":null}`,
		"no string first":    `{"encryptedData":null,"encryptedValue":"` + token + `"}`,
		"the first of two":   `{"encryptedValue":"` + token + `","encryptedData":"rubbish"}`,
		"escaped characters": `{"encryptedData":"\u0065` + token[1:] + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := with(ours()).Decrypt([]byte(body))
			if err != nil || string(plain) != v.Plain {
				t.Errorf("got %q, %v", plain, err)
			}
		})
	}
}

// TestOtherBodies: what is no envelope comes back as it is, the very same bytes, also where there are no keys.
func TestOtherBodies(t *testing.T) {
	token := vectors(t)[0].JWE
	for name, body := range map[string]string{
		"empty":             "",
		"balances":          `{"contractBalances":[]}`,
		"HTML":              "<html>encryptedData</html>",
		"name in a text":    `{"Description":"set \"encryptedData\" to x"}`,
		"name as value":     `{"field":"encryptedData"}`,
		"other case":        `{"EncryptedData":"` + token + `"}`,
		"not top level":     `{"data":{"encryptedData":"` + token + `"}}`,
		"in a list":         `[{"encryptedData":"` + token + `"}]`,
		"a string":          `"encryptedData"`,
		"null":              `{"encryptedData":null}`,
		"an object":         `{"encryptedData":{"protected":"x"}}`,
		"a number":          `{"encryptedData":1}`,
		"cut":               `{"encryptedData":"` + token,
		"not closed":        `{"encryptedData":"` + token + `"`,
		"comma at the end":  `{"encryptedData":"` + token + `",}`,
		"no name":           `{"encryptedData":"` + token + `",1:2}`,
		"broken member":     `{"encryptedData":"` + token + `","a":tru}`,
		"no value":          `{"encryptedData"`,
		"trailing data":     `{"encryptedData":"` + token + `"} x`,
		"a second document": `{"encryptedData":"` + token + `"}{}`,
		"duplicate member":  `{"encryptedData":"` + token + `","encryptedData":"` + token + `"}`,
		"broken UTF-8":      "{\"encryptedData\":\"" + token + "\",\"a\":\"\xff\"}",
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range []*Decrypter{with(), with(ours())} {
				plain, err := d.Decrypt([]byte(body))
				if err != nil || string(plain) != body {
					t.Errorf("got %q, %v", plain, err)
				}
			}
		})
	}
	body := []byte(`{"contractBalances":[]}`)
	if plain, _ := with(ours()).Decrypt(body); &plain[0] != &body[0] {
		t.Error("the body was copied")
	}
	if plain, err := New(nil, nil).Decrypt(envelope(token)); err != nil || string(plain) != string(envelope(token)) {
		t.Errorf("without fields: %q, %v", plain, err)
	}
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
	bomb := encrypted(t, jose.RSA_OAEP_256, jose.A256GCM, strings.Repeat("0", 4<<20), &jose.EncrypterOptions{Compression: jose.DEFLATE})
	critical := encrypted(t, jose.RSA_OAEP_256, jose.A256GCM, "x", (&jose.EncrypterOptions{}).WithHeader("crit", []string{"exp"}))
	for name, c := range map[string]struct{ token, message string }{
		"empty":                  {"", "empty"},
		"a word":                 {"hello", "five parts"},
		"four parts":             {strings.Join(parts[:4], "."), "five parts"},
		"six parts":              {token + ".x", "five parts"},
		"dots":                   {"....", ""},
		"no Base64":              {"!" + token, "illegal base64"},
		"padded Base64":          {parts[0] + "=." + strings.Join(parts[1:], "."), "illegal base64"},
		"header no JSON":         {withHeader(token, "{"), ""},
		"header a list":          {withHeader(token, "[]"), ""},
		"header empty":           {withHeader(token, "{}"), "alg"},
		"alg twice":              {withHeader(token, `{"alg":"RSA-OAEP-256","alg":"RSA-OAEP-256","enc":"A256GCM"}`), ""},
		"alg none":               {withHeader(token, `{"alg":"none","enc":"A256GCM"}`), "unexpected key algorithm"},
		"alg dir":                {withHeader(token, `{"alg":"dir","enc":"A256GCM"}`), "unexpected key algorithm"},
		"alg RSA-OAEP":           {by(jose.RSA_OAEP, jose.A256GCM), "unexpected key algorithm"},
		"alg RSA1_5":             {by(jose.RSA1_5, jose.A256GCM), "unexpected key algorithm"},
		"enc A256CBC-HS512":      {by(jose.RSA_OAEP_256, jose.A256CBC_HS512), "unexpected content encryption"},
		"enc missing":            {withHeader(token, `{"alg":"RSA-OAEP-256"}`), "enc"},
		"compressed":             {bomb, "zip"},
		"zip that is no string":  {withHeader(token, `{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":7}`), "zip"},
		"critical extension":     {critical, "crit"},
		"header changed":         {withHeader(token, `{"alg":"RSA-OAEP-256","enc":"A256GCM"}`), "cryptographic"},
		"other enc":              {withHeader(token, `{"alg":"RSA-OAEP-256","enc":"A128GCM"}`), "cryptographic"},
		"key changed":            {changed(1), "cryptographic"},
		"key missing":            {without(1), "cryptographic"},
		"IV changed":             {changed(2), "cryptographic"},
		"IV missing":             {without(2), "cryptographic"},
		"ciphertext changed":     {changed(3), "cryptographic"},
		"ciphertext missing":     {without(3), "cryptographic"},
		"tag changed":            {changed(4), "cryptographic"},
		"tag cut":                {token[:len(token)-8], "cryptographic"},
		"tag missing":            {without(4), "cryptographic"},
		"deeply nested header":   {withHeader(token, `{"a":`+strings.Repeat("[", 1<<20)), "longer than"},
		"long algorithm quoted":  {withHeader(token, `{"alg":"`+strings.Repeat("A", 4000)+`","enc":"A256GCM"}`), "unexpected key algorithm"},
		"control chars in alg":   {withHeader(token, `{"alg":"\u0007\u202e\n","enc":"A256GCM"}`), "unexpected key algorithm"},
		"CBC without ciphertext": {withHeader(without(3), `{"alg":"RSA-OAEP-256","enc":"A128CBC-HS256"}`), "cryptographic"},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := with(other(), ours()).Decrypt(envelope(c.token))
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

// TestKeys: where our keys are at fault, the error says what to set and is not ErrMalformed.
func TestKeys(t *testing.T) {
	const setting = "cms.decryption.key-files"
	list := vectors(t)
	named, unnamed := list[0].JWE, list[1].JWE
	hostile := `{"kid":"\n\u001b[2J` + strings.Repeat("é", 2000) + `","alg":"RSA-OAEP-256","enc":"A256GCM"}`
	for name, c := range map[string]struct {
		keys    []*rsa.PrivateKey
		token   string
		message string
	}{
		"no keys":         {nil, named, "there is no key"},
		"another key":     {[]*rsa.PrivateKey{other()}, named, keyID(&ours().PublicKey)},
		"no kid":          {[]*rsa.PrivateKey{other()}, unnamed, "kid: none"},
		"hostile kid":     {[]*rsa.PrivateKey{other()}, withHeader(named, hostile), `\n\x1b[2J`},
		"kid a number":    {[]*rsa.PrivateKey{other()}, withHeader(named, `{"kid":7,"alg":"RSA-OAEP-256","enc":"A256GCM"}`), ""},
		"key of 4096 bit": {[]*rsa.PrivateKey{other()}, strings.Replace(unnamed, ".", "."+strings.Repeat("A", 344), 1), "no key opens"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := with(c.keys...).Decrypt(envelope(c.token))
			if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Fatalf("got %v", err)
			}
			if malformed := errors.Is(err, ErrMalformed); malformed == strings.Contains(err.Error(), setting) {
				t.Errorf("malformed: %v: %v", malformed, err)
			}
			if name != "kid a number" && errors.Is(err, ErrMalformed) {
				t.Errorf("the body is blamed: %v", err)
			}
			checkText(t, err)
		})
	}
}

// TestKeysAreAskedFor: keys that change are used from the next answer on, and plain answers do not ask for them.
func TestKeysAreAskedFor(t *testing.T) {
	v := vectors(t)[0]
	keys, asked := []*rsa.PrivateKey{other()}, 0
	d := New([]string{"encryptedData"}, func() []*rsa.PrivateKey { asked++; return keys })
	if _, err := d.Decrypt([]byte(`{"contractBalances":[]}`)); err != nil || asked != 0 {
		t.Errorf("a plain answer asked %d times: %v", asked, err)
	}
	if _, err := d.Decrypt(envelope(v.JWE)); err == nil {
		t.Error("the wrong key opened the answer")
	}
	keys = append(keys, ours())
	if plain, err := d.Decrypt(envelope(v.JWE)); err != nil || string(plain) != v.Plain {
		t.Errorf("got %q, %v", plain, err)
	}
}

// TestKeyID compares with openssl: pkey -in key.pem -pubout -outform DER | sha256sum is the kid of the first vector.
func TestKeyID(t *testing.T) {
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(vectors(t)[0].JWE, ".")[0])
	if err != nil || !bytes.Contains(header, []byte(`"kid":"`+keyID(&ours().PublicKey)+`"`)) {
		t.Errorf("the kid is not in %s (%v)", header, err)
	}
}

// TestRoundTrip: any plaintext comes out byte for byte; any change of one byte of the JWE is noticed.
func TestRoundTrip(t *testing.T) {
	d := with(ours())
	encs := []jose.ContentEncryption{jose.A128GCM, jose.A192GCM, jose.A256GCM, jose.A128CBC_HS256}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "plain")
		encrypter, err := jose.NewEncrypter(rapid.SampledFrom(encs).Draw(t, "enc"),
			jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &ours().PublicKey, KeyID: keyID(&ours().PublicKey)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		object, err := encrypter.Encrypt(want)
		if err != nil {
			t.Fatal(err)
		}
		token, _ := object.CompactSerialize()
		got, err := d.Decrypt(envelope(token))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x, %v, want %x", got, err, want)
		}
		damaged := []byte(token)
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		damaged[at] = rapid.SampledFrom([]byte("Ab-_.9")).Filter(func(b byte) bool { return b != token[at] }).Draw(t, "byte")
		got, err = d.Decrypt(envelope(string(damaged)))
		if err == nil && !bytes.Equal(got, want) { // equal: the last character of a part has bits that mean nothing
			t.Fatalf("damage at %d went unnoticed: %x", at, got)
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(envelope(v.JWE))
	}
	f.Add([]byte(`{"encryptedValue":"e30.e30.e30.e30.e30"}`))
	f.Add([]byte(`{"a":1,"encryptedData":null}`))
	f.Add(envelope(withHeader(vectors(f)[0].JWE, `{"alg":"RSA-OAEP-256","enc":"A256GCM","x5c":["AA"],"jwk":{"kty":"RSA"},"p2c":1}`)))
	d := with(other(), ours())
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		plain, err := d.Decrypt(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			checkText(t, err)
			if malformed := errors.Is(err, ErrMalformed); plain != nil || malformed == strings.Contains(err.Error(), "cms.decryption") {
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

func BenchmarkDecrypt(b *testing.B) {
	encryptedBody := envelope(vectors(b)[0].JWE)
	for name, body := range map[string][]byte{
		"encrypted": encryptedBody,
		"plain":     []byte(`{"contractBalances":[{"balanceCode":"AVAILABLE","balanceId":89516416,"balanceValue":9811.31}]}`),
	} {
		b.Run(name, func(b *testing.B) {
			d := with(ours())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decrypt(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
