package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

const day = 24 * time.Hour

// NewAuthority makes one that no broker knows.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-2 * day), NotAfter: time.Now().Add(365 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)) // never fails
	return n
}

// PEM is its certificate.
func (a *Authority) PEM() string { return inPEM("CERTIFICATE", a.cert.Raw) }

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key string }

// issue makes a certificate for a name, of a server and a client, which has been good for two days.
func (a *Authority) issue(name string, notAfter time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * day), NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return pair{inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", private)}, err
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Files are the names of PEM files of a client.
type Files struct{ CA, Cert, Key string }

// Files writes the authority's certificate and one of a client's into files of a new folder.
func (a *Authority) Files(t testing.TB, client string, notAfter time.Time) Files {
	t.Helper()
	dir := t.TempDir()
	f := Files{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	Write(t, f.CA, a.PEM())
	a.Renew(t, f, client, notAfter)
	return f
}

// Renew puts another certificate of a client into its files.
func (a *Authority) Renew(t testing.TB, f Files, client string, notAfter time.Time) {
	t.Helper()
	p, err := a.issue(client, notAfter)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, f.Key, p.key)
	Write(t, f.Cert, p.cert)
}

// Write puts text into a file, as one step: there is never half of it.
func Write(t testing.TB, file, text string) {
	t.Helper()
	err := os.WriteFile(file+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		t.Error(err)
	}
}
