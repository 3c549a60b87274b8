package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const day = 24 * time.Hour

// rsaKeys are made once: they take their time.
var rsaKeys = sync.OnceValues(func() (made [3]*rsa.PrivateKey, err error) {
	for i := range made {
		if made[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return made, err
		}
	}
	return made, nil
})

// keyFiles is a folder of keys and certificates. What is put into it replaces what was there by a rename, so that no
// reader ever sees half a file.
type keyFiles struct {
	t                             *testing.T
	dir                           string
	signing, decryption, stranger *rsa.PrivateKey
	authority                     tls.Certificate // of the CMS and of its clients
}

func newKeyFiles(t *testing.T) *keyFiles {
	t.Helper()
	made, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	c := &keyFiles{t: t, dir: t.TempDir(), signing: made[0], decryption: made[1], stranger: made[2]}
	c.authority = c.newAuthority()
	return c
}

func (c *keyFiles) at(name string) string { return filepath.Join(c.dir, name) }

// check ends the test on an error.
func (c *keyFiles) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// put writes a file and returns its path.
func (c *keyFiles) put(name string, content []byte) string {
	c.t.Helper()
	path := c.at(name)
	c.check(os.MkdirAll(filepath.Dir(path), 0o700))
	c.check(os.WriteFile(path+".new", content, 0o600))
	c.check(os.Rename(path+".new", path))
	return path
}

// putP12 writes a key with a certificate of its own, good for so long, as PKCS#12.
func (c *keyFiles) putP12(name string, key *rsa.PrivateKey, left time.Duration, password string) string {
	c.t.Helper()
	cert := c.certificate(key, left, tls.Certificate{})
	data, err := pkcs12.Modern.Encode(key, cert.Leaf, nil, password)
	c.check(err)
	return c.put(name, data)
}

// putPEM writes keys and certificates as PEM.
func (c *keyFiles) putPEM(name string, parts ...any) string {
	c.t.Helper()
	var text []byte
	for _, part := range parts {
		block := &pem.Block{Type: "CERTIFICATE"}
		if cert, ok := part.(tls.Certificate); ok {
			block.Bytes = cert.Certificate[0]
		} else {
			var err error
			block.Type = "PRIVATE KEY"
			block.Bytes, err = x509.MarshalPKCS8PrivateKey(part)
			c.check(err)
		}
		text = append(text, pem.EncodeToMemory(block)...)
	}
	return c.put(name, text)
}

// putClient writes the certificate of a client, which the authority has signed, and its key.
func (c *keyFiles) putClient(folder string, authority tls.Certificate) {
	c.t.Helper()
	cert := c.certificate(c.ecdsa(), 300*day, authority)
	c.putPEM(folder+"/cert.pem", cert)
	c.putPEM(folder+"/key.pem", cert.PrivateKey)
}

// link lets name be another name of a folder, as Kubernetes does with a mounted secret.
func (c *keyFiles) link(folder, name string) {
	c.t.Helper()
	c.check(os.Symlink(folder, c.at(name+".new")))
	c.check(os.Rename(c.at(name+".new"), c.at(name)))
}

func (c *keyFiles) ecdsa() *ecdsa.PrivateKey {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c.check(err)
	return key
}

func (c *keyFiles) newAuthority() tls.Certificate {
	return c.certificate(c.ecdsa(), 300*day, tls.Certificate{})
}

// server is the certificate of a host, which their authority has signed.
func (c *keyFiles) server(addresses ...net.IP) tls.Certificate {
	c.t.Helper()
	return c.certificate(c.ecdsa(), 300*day, c.authority, addresses...)
}

// certificate is good until left from now. Without an issuer it signs itself, and may sign others.
func (c *keyFiles) certificate(
	key crypto.Signer, left time.Duration, issuer tls.Certificate, addresses ...net.IP,
) tls.Certificate {
	c.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "balanceq test"},
		NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(left), IPAddresses: addresses,
		BasicConstraintsValid: true, IsCA: issuer.Leaf == nil,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := issuer.Leaf, issuer.PrivateKey
	if parent == nil {
		parent, signer = template, crypto.PrivateKey(key)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	c.check(err)
	leaf, err := x509.ParseCertificate(der)
	c.check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// serverTLS are the settings of a server with this certificate, which knows only clients that their authority has
// for.
func (c *keyFiles) serverTLS(cert tls.Certificate) *tls.Config {
	clients := x509.NewCertPool()
	clients.AddCert(c.authority.Leaf)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
		ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func rsaPublic(t *testing.T, key any) *rsa.PublicKey {
	t.Helper()
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		t.Fatalf("a %T, want an RSA key", key)
	}
	return public
}
