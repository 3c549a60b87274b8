package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const password = "correct horse õ"

// pair is a key with a certificate that it has signed itself.
type pair struct {
	private crypto.Signer
	cert    *x509.Certificate
}

// made are expensive; all tests share them.
var made = sync.OnceValues(func() (m struct{ own, other, small, ec, ed pair }, err error) {
	newRSA := func(bits int) crypto.Signer {
		key, e := rsa.GenerateKey(rand.Reader, bits)
		if e != nil {
			err = e
		}
		return key
	}
	m.own.private, m.other.private, m.small.private = newRSA(2048), newRSA(2048), newRSA(1024)
	if m.ec.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return m, err
	}
	if _, m.ed.private, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return m, err
	}
	for _, p := range []*pair{&m.own, &m.other, &m.small, &m.ec, &m.ed} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
			NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, p.private.Public(), p.private)
		if err != nil {
			return m, err
		}
		if p.cert, err = x509.ParseCertificate(der); err != nil {
			return m, err
		}
	}
	return m, err
})

func own(t testing.TB) pair   { return all(t)["own"] }
func other(t testing.TB) pair { return all(t)["other"] }

func all(t testing.TB) map[string]pair {
	t.Helper()
	m, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]pair{"own": m.own, "other": m.other, "small": m.small, "ec": m.ec, "ed": m.ed}
}

func pkcs8(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pkcs1(t testing.TB, p pair) []byte {
	t.Helper()
	key, ok := p.private.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("not RSA")
	}
	return x509.MarshalPKCS1PrivateKey(key)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func certificate(p pair) []byte { return block("CERTIFICATE", p.cert.Raw) }

func p12(t testing.TB, enc *pkcs12.Encoder, p pair, chain ...*x509.Certificate) []byte {
	t.Helper()
	secret := password
	if enc == pkcs12.Passwordless {
		secret = ""
	}
	data, err := enc.Encode(p.private, p.cert, chain, secret)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func join(parts ...[]byte) (joined []byte) {
	for _, part := range parts {
		joined = append(joined, part...)
	}
	return joined
}
