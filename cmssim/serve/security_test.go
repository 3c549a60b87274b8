package serve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// files are the keys and certificates of a test, made once: slow ones to make.
type files struct {
	cert, key                       string // of one RSA key
	publicPKIX, publicPKCS1         string
	otherKey, ecKey, private, empty string
	broken, missing, short          string
}

var rsaKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i, bits := range []int{2048, 2048, 1024} {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, bits); err != nil {
			panic(err)
		}
	}
	return keys
})

func makeFiles(t *testing.T) files {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if kind == "" {
			text = der
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pkix := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	keys := rsaKeys()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &keys[0].PublicKey, keys[0])
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return files{
		cert:        write("cert.pem", "CERTIFICATE", certificate),
		key:         write("key.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(keys[0])),
		publicPKIX:  write("pkix.pem", "PUBLIC KEY", pkix(&keys[0].PublicKey)),
		publicPKCS1: write("pkcs1.pem", "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&keys[0].PublicKey)),
		otherKey:    write("other.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(keys[1])),
		ecKey:       write("ec.pem", "PUBLIC KEY", pkix(&ec.PublicKey)),
		private:     write("private.pem", "PRIVATE KEY", []byte("secret")),
		empty:       write("empty.pem", "", nil),
		broken:      write("broken.pem", "CERTIFICATE", []byte("x")),
		short:       write("short.pem", "PUBLIC KEY", pkix(&keys[2].PublicKey)),
		missing:     filepath.Join(dir, "missing.pem"),
	}
}

func TestPublicKey(t *testing.T) {
	f := makeFiles(t)
	for _, path := range []string{f.cert, f.publicPKIX, f.publicPKCS1} {
		if key, err := publicKey(path); err != nil || !key.Equal(&rsaKeys()[0].PublicKey) {
			t.Errorf("%s: %v", path, err)
		}
	}
	both := filepath.Join(t.TempDir(), "both.pem")
	private, _ := os.ReadFile(f.key)
	public, _ := os.ReadFile(f.cert)
	if err := os.WriteFile(both, append(private, public...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := publicKey(both); err != nil {
		t.Errorf("a certificate after its key: %v", err)
	}
}

// TestSecurityFlags: each mistake is reported with its flag, and with no content of a file.
func TestSecurityFlags(t *testing.T) {
	f := makeFiles(t)
	verify := func(key, file string, more ...string) []string {
		return append([]string{"--verify-consumer-key", key, "--verify-key-file", file}, more...)
	}
	encrypt := func(file string) []string { return []string{"--encrypt-key-file", file} }
	secure := func(cert, key string, more ...string) []string {
		return append([]string{"--tls-cert-file", cert, "--tls-key-file", key}, more...)
	}
	for name, c := range map[string]struct {
		args    []string
		code    int
		message string
	}{
		"consumer key alone": {[]string{"--verify-consumer-key", "k"}, exitUsage,
			"flag --verify-consumer-key needs --verify-key-file"},
		"verify key alone": {[]string{"--verify-key-file", f.cert}, exitUsage,
			"flag --verify-key-file needs --verify-consumer-key"},
		"empty verify key":   {verify("k", ""), exitUsage, "needs --verify-key-file"},
		"empty consumer key": {verify("", f.cert), exitUsage, "needs --verify-consumer-key"},
		"skew alone": {[]string{"--verify-max-skew", "1m"}, exitUsage,
			"flag --verify-max-skew needs --verify-key-file"},
		"skew negative":     {verify("k", f.cert, "--verify-max-skew", "-1m"), exitUsage, "flag --verify-max-skew"},
		"field alone":       {[]string{"--encrypt-field", "x"}, exitUsage, "flag --encrypt-field needs --encrypt-key-file"},
		"errors alone":      {[]string{"--encrypt-errors"}, exitUsage, "flag --encrypt-errors needs --encrypt-key-file"},
		"certificate alone": {[]string{"--tls-cert-file", f.cert}, exitUsage, "flag --tls-cert-file needs --tls-key-file"},
		"key alone":         {[]string{"--tls-key-file", f.key}, exitUsage, "flag --tls-key-file needs --tls-cert-file"},
		"authorities alone": {[]string{"--tls-client-ca-file", f.cert}, exitUsage,
			"flag --tls-client-ca-file needs --tls-cert-file"},
		"offset":              {[]string{"--clock-offset", "-25h"}, exitUsage, "flag --clock-offset"},
		"missing file":        {encrypt(f.missing), exitFailed, "flag --encrypt-key-file: open " + f.missing},
		"missing verify file": {verify("k", f.missing), exitFailed, "flag --verify-key-file: open " + f.missing},
		"private key":         {encrypt(f.private), exitFailed, "openssl pkey"},
		"no key":              {encrypt(f.empty), exitFailed, "holds no public key"},
		"elliptic curve":      {encrypt(f.ecKey), exitFailed, "not an RSA key"},
		"broken certificate":  {encrypt(f.broken), exitFailed, f.broken},
		"short key": {encrypt(f.short), exitUsage,
			"flag --encrypt-key-file: give an RSA public key of at least 2048 bits"},
		"key of another":      {secure(f.cert, f.otherKey), exitFailed, "flags --tls-cert-file and --tls-key-file"},
		"missing certificate": {secure(f.missing, f.key), exitFailed, f.missing},
		"missing authorities": {secure(f.cert, f.key, "--tls-client-ca-file", f.missing), exitFailed,
			"flag --tls-client-ca-file: open"},
		"no authorities": {secure(f.cert, f.key, "--tls-client-ca-file", f.empty), exitFailed, "holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for what should not start, but does
			defer cancel()
			code := Run(ctx, append([]string{"--listen", "127.0.0.1:0"}, c.args...), io.Discard, &stderr)
			if code != c.code || !strings.Contains(stderr.String(), c.message) || strings.Contains(stderr.String(), "secret") {
				t.Errorf("exit code %d, said %q", code, stderr.String())
			}
		})
	}
}

// TestRunSecured starts with all of it: https with client certificates, encrypted answers, signatures demanded.
func TestRunSecured(t *testing.T) {
	f := makeFiles(t)
	line, stop := started(t, "--listen", "127.0.0.1:0", "--tls-cert-file", f.cert, "--tls-key-file", f.key,
		"--tls-client-ca-file", f.cert, "--verify-consumer-key", "k", "--verify-key-file", f.publicPKIX,
		"--encrypt-key-file", f.publicPKCS1, "--encrypt-field", "sealed", "--encrypt-errors", "--clock-offset", "1h")
	defer func() {
		if code := stop(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	}()
	said := regexp.MustCompile(`cms\.url to (https://\S+) and try: curl --insecure --cert \S+ --key \S+ -d`).
		FindStringSubmatch(line)
	if said == nil {
		t.Fatalf("printed %q", line)
	}
	certificate, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{certificate},
		MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(certificate.Leaf)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Get(said[1] + "/contracts/70001/balances?balance_codes=AVAILABLE")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	date, _ := http.ParseTime(response.Header.Get("Date"))
	if response.StatusCode != 400 || !bytes.Contains(body, []byte("INVALID_AUTH_HEADER")) ||
		time.Until(date) < 59*time.Minute {
		t.Errorf("without a signature: %d %s at %v", response.StatusCode, body, date)
	}
	config.Certificates = nil
	if _, err := client.Get(said[1]); err == nil {
		t.Error("a client without a certificate was served")
	}
}

// TestRunEncrypted: answers are encrypted in the member asked for, without anything else being on.
func TestRunEncrypted(t *testing.T) {
	f := makeFiles(t)
	line, stop := started(t, "--listen", "127.0.0.1:0", "--encrypt-key-file", f.cert, "--encrypt-field", "sealed")
	defer stop()
	url := regexp.MustCompile(`http://\S+core`).FindString(line)
	if status, body := get(t, http.MethodGet, url+"/contracts/70001/balances?balance_codes=AVAILABLE",
		""); status != 200 ||
		!strings.HasPrefix(body, `{"sealed":"ey`) {
		t.Errorf("got %d %s", status, body)
	}
	const unknown = "/contracts/404/balances?balance_codes=AVAILABLE"
	if status, body := get(t, http.MethodGet, url+unknown, ""); status != 404 ||
		!strings.Contains(body, "CONTRACT_DOES_NOT_EXIST") {
		t.Errorf("got %d %s", status, body)
	}
	line, stopOther := started(t, "--listen", "127.0.0.1:0", "--encrypt-key-file", f.cert, "--encrypt-errors")
	defer stopOther()
	url = regexp.MustCompile(`http://\S+core`).FindString(line)
	if status, body := get(t, http.MethodGet, url+unknown, ""); status != 404 ||
		!strings.HasPrefix(body, `{"encryptedData":"ey`) {
		t.Errorf("errors too: %d %s", status, body)
	}
}
