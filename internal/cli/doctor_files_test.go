package cli

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// doctorFiles are keys and certificates, good and bad ones, in a folder.
type doctorFiles struct {
	dir                 string
	signing, decryption *rsa.PrivateKey
	server, stale       tls.Certificate // stale has expired
	elsewhere           tls.Certificate // of another host
	clients             *x509.CertPool
	secrets             []string
}

func (f *doctorFiles) at(name string) string { return filepath.Join(f.dir, name) }

// doctorKeys are made once: RSA keys take their time.
var doctorKeys = sync.OnceValues(func() (made [3]*rsa.PrivateKey, err error) {
	for i := range made {
		if made[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return made, err
		}
	}
	return made, nil
})

// mint makes certificates and files, and remembers what went wrong.
type mint struct {
	t     *testing.T
	files *doctorFiles
	ca    tls.Certificate // nil Leaf: the next certificate signs itself
}

func (m *mint) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// certificate is good until left from now.
func (m *mint) certificate(name string, key crypto.Signer, left time.Duration, addresses ...net.IP) tls.Certificate {
	m.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-1000 * 24 * time.Hour), NotAfter: time.Now().Add(left), IPAddresses: addresses,
		BasicConstraintsValid: true, IsCA: m.ca.Leaf == nil,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := m.ca.Leaf, m.ca.PrivateKey
	if parent == nil {
		parent, signer = template, crypto.PrivateKey(key)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	m.check(err)
	leaf, err := x509.ParseCertificate(der)
	m.check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (m *mint) ecdsa() *ecdsa.PrivateKey {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.check(err)
	return key
}

// Write writes the parts as PEM.
func (m *mint) Write(name string, parts ...any) {
	m.t.Helper()
	var text []byte
	for _, part := range parts {
		block := &pem.Block{Type: "CERTIFICATE"}
		if cert, ok := part.(tls.Certificate); ok {
			block.Bytes = cert.Certificate[0]
		} else {
			var err error
			block.Type = "PRIVATE KEY"
			block.Bytes, err = x509.MarshalPKCS8PrivateKey(part)
			m.check(err)
		}
		text = append(text, pem.EncodeToMemory(block)...)
	}
	m.check(os.WriteFile(m.files.at(name), text, 0o600))
}

func (m *mint) writeP12(name string, cert tls.Certificate) {
	m.t.Helper()
	data, err := pkcs12.Modern.Encode(cert.PrivateKey, cert.Leaf, nil, keyPassword)
	m.check(err)
	m.check(os.WriteFile(m.files.at(name), data, 0o600))
}

const day = 24 * time.Hour

// newDoctorFiles makes the files for one test and its subtests.
func newDoctorFiles(t *testing.T) *doctorFiles {
	t.Helper()
	made, err := doctorKeys()
	if err != nil {
		t.Fatal(err)
	}
	f := &doctorFiles{dir: t.TempDir(), signing: made[0], decryption: made[1], clients: x509.NewCertPool()}
	m := &mint{t: t, files: f}
	good, loopback := 160*day+time.Hour, net.IPv4(127, 0, 0, 1)

	m.writeP12("signing.p12", m.certificate("project", f.signing, good))
	m.writeP12("expired.p12", m.certificate("project", f.signing, -3*day-time.Hour))
	m.writeP12("soon.p12", m.certificate("project", f.signing, 12*day+time.Hour))
	m.writeP12("stranger.p12", m.certificate("project", made[2], good))
	m.Write("bare.pem", f.signing)
	m.Write("ec.pem", m.ecdsa())
	m.check(os.WriteFile(f.at("rubbish.p12"), []byte("not a key at all"), 0o600))
	m.Write("decryption.pem", f.decryption, m.certificate("mastercard encryption", f.decryption, good))
	m.Write("decryption-expired.pem", made[2], m.certificate("mastercard encryption", made[2], -day-time.Hour))
	m.Write("decryption-wrong.pem", made[2], m.certificate("mastercard encryption", made[2], good))

	m.check(os.WriteFile(f.at("short.txt"), []byte("0123456789\n"), 0o600))
	jwt := base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1700000000}`))
	m.check(os.WriteFile(f.at("old.jwt"), []byte("e30."+jwt+".c2ln\n"), 0o600))

	m.ca = m.certificate("test authority", m.ecdsa(), good)
	m.Write("ca.pem", m.ca)
	f.clients.AddCert(m.ca.Leaf)
	f.server = m.certificate("cms.test", m.ecdsa(), good, loopback)
	f.stale = m.certificate("cms.test", m.ecdsa(), -day, loopback)
	f.elsewhere = m.certificate("other.test", m.ecdsa(), good)
	for name, left := range map[string]time.Duration{"client": good, "client-expired": -day - time.Hour} {
		key := m.ecdsa()
		m.Write(name+".pem", m.certificate("balanceq", key, left))
		m.Write(name+"-key.pem", key)
	}
	m.ca = tls.Certificate{}
	key := m.ecdsa()
	m.Write("client-unknown.pem", m.certificate("unknown", key, good))
	m.Write("client-unknown-key.pem", key)

	f.secrets = []string{consumerKey, strings.Split(consumerKey, "!")[0], strings.Split(consumerKey, "!")[1],
		keyPassword, otherPassword, saslPassword}
	for _, key := range made {
		f.secrets = append(f.secrets, key.D.String(), base64.StdEncoding.EncodeToString(key.D.Bytes())[:40])
	}
	return f
}
