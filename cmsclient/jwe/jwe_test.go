package jwe

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// own is testdata/key.pem, other a key that the vectors know nothing of.
var (
	own = sync.OnceValue(func() *rsa.PrivateKey {
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
func encrypted(
	t testing.TB, alg jose.KeyAlgorithm, enc jose.ContentEncryption, plain string, opts *jose.EncrypterOptions,
) string {
	t.Helper()
	encrypter, err := jose.NewEncrypter(enc, jose.Recipient{Algorithm: alg, Key: &own().PublicKey}, opts)
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

// TestVectors: JWEs of an independent implementation, under every set of keys that holds the right one.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			for _, keys := range [][]*rsa.PrivateKey{{own()}, {other(), own()}, {own(), other()}} {
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
		"default field": `{"encryptedData":"` + token + `"}`,
		"other field":   `{"encryptedValue":"` + token + `"}`,
		"blanks":        " {\r\n\t\"encryptedData\" : \"" + token + "\" } \n",
		"among others": `{"a":{"encryptedData":1},"b":[{"encryptedData":"x"}],"encryptedData":"` + token +
			`","c":null}`,
		"no string first":    `{"encryptedData":null,"encryptedValue":"` + token + `"}`,
		"the first of two":   `{"encryptedValue":"` + token + `","encryptedData":"rubbish"}`,
		"escaped characters": `{"encryptedData":"\u0065` + token[1:] + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := with(own()).Decrypt([]byte(body))
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
			for _, d := range []*Decrypter{with(), with(own())} {
				plain, err := d.Decrypt([]byte(body))
				if err != nil || string(plain) != body {
					t.Errorf("got %q, %v", plain, err)
				}
			}
		})
	}
	body := []byte(`{"contractBalances":[]}`)
	if plain, _ := with(own()).Decrypt(body); &plain[0] != &body[0] {
		t.Error("the body was copied")
	}
	if plain, err := New(nil, nil).Decrypt(envelope(token)); err != nil || string(plain) != string(envelope(token)) {
		t.Errorf("without fields: %q, %v", plain, err)
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
	keys = append(keys, own())
	if plain, err := d.Decrypt(envelope(v.JWE)); err != nil || string(plain) != v.Plain {
		t.Errorf("got %q, %v", plain, err)
	}
}

// TestKeyID compares with openssl: pkey -in key.pem -pubout -outform DER | sha256sum is the kid of the first vector.
func TestKeyID(t *testing.T) {
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(vectors(t)[0].JWE, ".")[0])
	if err != nil || !bytes.Contains(header, []byte(`"kid":"`+keyID(&own().PublicKey)+`"`)) {
		t.Errorf("the kid is not in %s (%v)", header, err)
	}
}

// TestRoundTrip: any plaintext comes out byte for byte; any change of one byte of the JWE is noticed.
func TestRoundTrip(t *testing.T) {
	d := with(own())
	encs := []jose.ContentEncryption{jose.A128GCM, jose.A192GCM, jose.A256GCM, jose.A128CBC_HS256}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "plain")
		encrypter, err := jose.NewEncrypter(rapid.SampledFrom(encs).Draw(t, "enc"),
			jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &own().PublicKey, KeyID: keyID(&own().PublicKey)}, nil)
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

func BenchmarkDecrypt(b *testing.B) {
	encryptedBody := envelope(vectors(b)[0].JWE)
	for name, body := range map[string][]byte{
		"encrypted": encryptedBody,
		"plain":     []byte(`{"contractBalances":[{"balanceCode":"AVAILABLE","balanceId":89516416,"balanceValue":9811.31}]}`),
	} {
		b.Run(name, func(b *testing.B) {
			d := with(own())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decrypt(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
