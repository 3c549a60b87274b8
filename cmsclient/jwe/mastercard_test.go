package jwe

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"os"
	"testing"
)

// The published vectors of Mastercard's own libraries (testdata/mastercard), in the envelope of its older products and
// in the libraries' default.
func TestMastercardVectors(t *testing.T) {
	der, err := os.ReadFile("testdata/mastercard/test_key_pkcs8-2048.der")
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", private)
	}
	text, err := os.ReadFile("testdata/mastercard/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors map[string]string
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) != 4 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	d := New([]string{"encryptedData", "encryptedValue"}, func() []*rsa.PrivateKey { return []*rsa.PrivateKey{key} })
	for name, token := range vectors {
		for _, field := range []string{"encryptedData", "encryptedValue"} {
			plain, err := d.Decrypt([]byte(`{"` + field + `":"` + token + `"}`))
			var got map[string]string
			if err != nil || json.Unmarshal(plain, &got) != nil || len(got) != 1 || got["foo"] != "bar" {
				t.Errorf("%s in %s: %q, %v", name, field, plain, err)
			}
		}
	}
}
