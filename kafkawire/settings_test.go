package kafkawire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// selfSigned makes a certificate for 127.0.0.1 and returns it together with the names of its PEM files.
func selfSigned(t *testing.T) (tls.Certificate, TLSFiles) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cert := write("cert.pem", "CERTIFICATE", der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		TLSFiles{CA: cert, Cert: cert, Key: write("key.pem", "PRIVATE KEY", private)}
}

func TestSecureConnections(t *testing.T) {
	t.Parallel()
	cert, files := selfSigned(t)
	pool := x509.NewCertPool()
	pool.AddCert(parse(t, cert))
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "u", "right"), kfake.Superuser("SCRAM-SHA-256", "u", "right"),
		kfake.Superuser("SCRAM-SHA-512", "u", "right"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	cfg, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	call := func(mechanism, password string, cfg *tls.Config) error {
		t.Helper()
		m, err := SASL(mechanism, "u", password)
		if err != nil {
			t.Fatal(err)
		}
		c := NewClient(Settings{Brokers: cluster.ListenAddrs(), TLS: cfg, SASL: m})
		defer c.Close()
		_, err = c.NewProducerID(deadline(t))
		return err
	}
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		if err := call(mechanism, "right", cfg); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		err := call(mechanism, "wrong", cfg)
		// kfake just hangs up; Kafka answers SASL_AUTHENTICATION_FAILED
		if err == nil || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s with a wrong password: error %v, want one that does not show it", mechanism, err)
		}
	}
	if err := call("plain", "right", nil); err == nil {
		t.Error("without TLS: no error")
	}
	if err := call("plain", "right", &tls.Config{MinVersion: tls.VersionTLS12}); err == nil ||
		!strings.Contains(err.Error(), "certificate") {
		t.Errorf("with the system's authorities: error %v", err)
	}
}

func parse(t *testing.T, c tls.Certificate) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestSettingsErrors(t *testing.T) {
	t.Parallel()
	_, files := selfSigned(t)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, c := range map[string]struct {
		files TLSFiles
		want  string
	}{
		"no CA file":      {TLSFiles{CA: missing}, "TLSFiles.CA"},
		"CA is a key":     {TLSFiles{CA: files.Key}, "no PEM certificate"},
		"no certificate":  {TLSFiles{Cert: missing, Key: files.Key}, "TLSFiles.Cert"},
		"no key":          {TLSFiles{Cert: files.Cert, Key: missing}, "TLSFiles.Cert"},
		"key without its": {TLSFiles{Key: files.Key}, "TLSFiles.Cert"},
	} {
		if _, err := c.files.Load(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if cfg, err := (TLSFiles{}).Load(); err != nil || cfg.RootCAs != nil || cfg.MinVersion != tls.VersionTLS12 {
		t.Errorf("no files: %+v, error %v, want the system's authorities", cfg, err)
	}
	if _, err := SASL("kerberos", "u", "p"); err == nil || !strings.Contains(err.Error(), "SASL: the mechanism") {
		t.Errorf("unknown mechanism: error %v", err)
	}
	for _, none := range []string{"", "none"} {
		if m, err := SASL(none, "u", "p"); m != nil || err != nil {
			t.Errorf("%q: %v, error %v", none, m, err)
		}
	}
}
