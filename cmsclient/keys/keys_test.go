package keys

import (
	"crypto/x509"
	"encoding/asn1"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

func TestParse(t *testing.T) {
	own, other := own(t), other(t)
	key8, key1 := block("PRIVATE KEY", pkcs8(t, own.private)), block("RSA PRIVATE KEY", pkcs1(t, own))
	tests := map[string]struct {
		data     []byte
		password string
		cert     bool
	}{
		"PKCS#12 modern":               {p12(t, pkcs12.Modern2023, own), password, true},
		"PKCS#12 PBMAC1":               {p12(t, pkcs12.Modern2026, own), password, true},
		"PKCS#12 3DES":                 {p12(t, pkcs12.LegacyDES, own), password, true},
		"PKCS#12 RC2":                  {p12(t, pkcs12.LegacyRC2, own), password, true},
		"PKCS#12 without password":     {p12(t, pkcs12.Passwordless, own), "", true},
		"PKCS#12 with chain":           {p12(t, pkcs12.Modern2023, own, other.cert), password, true},
		"PKCS#12, chain first":         {p12(t, pkcs12.LegacyDES, pair{own.private, other.cert}, own.cert), password, true},
		"PKCS#8":                       {pkcs8(t, own.private), "ignored", false},
		"PEM PKCS#8":                   {key8, "ignored", false},
		"PEM PKCS#1":                   {key1, "", false},
		"PEM, certificate second":      {join(key8, certificate(own)), "", true},
		"PEM, certificate first":       {join(certificate(own), key1), "", true},
		"PEM, chain first":             {join(certificate(other), certificate(own), key1), "", true},
		"PEM with text and other kind": {join([]byte("Bag Attributes\n"), block("X509 CRL", []byte("x")), key8), "", false},
		"PEM, CRLF": {[]byte(strings.ReplaceAll(string(join(key8, certificate(own))), "\n", "\r\n")), "",
			true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := Parse(test.data, test.password)
			if err != nil {
				t.Fatal(err)
			}
			if !key.Private.Equal(own.private) {
				t.Error("this is another key")
			}
			if test.cert != (key.Certificate != nil) || test.cert && !key.Certificate.Equal(own.cert) {
				t.Errorf("certificate %v", key.Certificate)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	pairs := all(t)
	own, other := pairs["own"], pairs["other"]
	key8, modern := block("PRIVATE KEY", pkcs8(t, own.private)), p12(t, pkcs12.Modern2023, own)
	encrypted := []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n" +
		"-----END RSA PRIVATE KEY-----\n")
	const wrongPassword, noKeyFile, incomplete = "check the password", "no key file", "damaged or incomplete"
	tests := map[string]struct {
		data     []byte
		password string
		want     string
	}{
		"nothing":                      {nil, "", noKeyFile},
		"text":                         {[]byte("hello"), "", noKeyFile},
		"an HTML page":                 {[]byte("<html><body>404</body></html>"), "", noKeyFile},
		"a DER certificate":            {own.cert.Raw, "", noKeyFile},
		"BER of unknown length":        {[]byte{0x30, 0x80, 2, 1, 3, 0, 0}, "", noKeyFile},
		"PKCS#12, wrong password":      {modern, "wrong", wrongPassword},
		"PKCS#12, no password":         {modern, "", wrongPassword},
		"PKCS#12, line break":          {modern, password + "\n", wrongPassword},
		"PKCS#12 RC2, wrong password":  {p12(t, pkcs12.LegacyRC2, own), "wrong", wrongPassword},
		"PKCS#12, half":                {modern[:len(modern)/2], password, noKeyFile},
		"PKCS#12, twice":               {join(modern, modern), password, noKeyFile},
		"PKCS#12, certificates only":   {trustStore(t, own), password, "must hold one private key"},
		"PKCS#12, foreign certificate": {p12(t, pkcs12.LegacyDES, pair{own.private, other.cert}), password, "another key"},
		"PKCS#12, EC":                  {p12(t, pkcs12.Modern2023, pairs["ec"]), password, "not an RSA key"},
		"PKCS#12, 1024 bits":           {p12(t, pkcs12.Modern2023, pairs["small"]), password, "1024 bits"},
		"PKCS#8, EC":                   {pkcs8(t, pairs["ec"].private), "", "not an RSA key"},
		"PKCS#8, Ed25519":              {pkcs8(t, pairs["ed"].private), "", "not an RSA key"},
		"PKCS#8, 1024 bits":            {pkcs8(t, pairs["small"].private), "", "1024 bits"},
		"PKCS#8, twice":                {join(pkcs8(t, own.private), pkcs8(t, own.private)), "", noKeyFile},
		"PKCS#1 in DER":                {pkcs1(t, own), "", "openssl pkey"},
		"PEM, 1024 bits":               {block("RSA PRIVATE KEY", pkcs1(t, pairs["small"])), "", "1024 bits"},
		"PEM, EC":                      {block("EC PRIVATE KEY", []byte("x")), "", "not an RSA key"},
		"PEM of OpenSSH":               {block("OPENSSH PRIVATE KEY", []byte("x")), "", "not an RSA key"},
		"PEM, encrypted PKCS#8":        {block("ENCRYPTED PRIVATE KEY", []byte("x")), "", "is encrypted"},
		"PEM, encrypted PKCS#1":        {encrypted, "", "is encrypted"},
		"PEM, two keys":                {join(key8, key8), "", "several private keys"},
		"PEM, certificate only":        {certificate(own), "", "no private key"},
		"PEM, foreign certificate":     {join(key8, certificate(other)), "", "another key"},
		"PEM, unreadable key":          {block("PRIVATE KEY", []byte("x")), "", "cannot be read"},
		"PEM, unreadable certificate":  {join(key8, block("CERTIFICATE", []byte("x"))), "", "certificate cannot be read"},
		"PEM, half a key":              {key8[:len(key8)/2], "", incomplete},
		"PEM, half a certificate":      {join(key8, certificate(own)[:200]), "", incomplete},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := Parse(test.data, test.password)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if key != (Key{}) {
				t.Error("a key in spite of the error")
			}
			if test.password != "" && strings.Contains(err.Error(), test.password) {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

// TestParseOpenSSL reads what another program wrote, where it is installed.
func TestParseOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir, own := t.TempDir(), own(t)
	pemFile := filepath.Join(dir, "key.pem")
	write(t, pemFile, join(block("PRIVATE KEY", pkcs8(t, own.private)), certificate(own)))
	for name, test := range map[string]struct {
		args []string
		want string // in the error; empty for none
	}{
		"PKCS#12":       {[]string{"pkcs12", "-export", "-in", pemFile, "-passout", "pass:" + password}, ""},
		"PKCS#12, 3DES": {[]string{"pkcs12", "-export", "-descert", "-in", pemFile, "-passout", "pass:" + password}, ""},
		"PKCS#12 without certificate": {
			[]string{"pkcs12", "-export", "-nocerts", "-in", pemFile, "-passout", "pass:" + password}, "its certificate"},
		"PKCS#1":           {[]string{"rsa", "-traditional", "-in", pemFile}, ""},
		"encrypted PKCS#8": {[]string{"pkey", "-aes256", "-passout", "pass:x", "-in", pemFile}, "encrypted"},
		"encrypted PKCS#1": {[]string{"rsa", "-traditional", "-aes256", "-passout", "pass:x", "-in", pemFile}, "encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			command := exec.CommandContext(t.Context(), openssl, append(test.args, "-out", out)...)
			if text, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			key, err := Parse(data, password)
			switch {
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one with %q", err, test.want)
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want == "" && !key.Private.Equal(own.private):
				t.Error("this is another key")
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	own, other := own(f), other(f)
	key8 := block("PRIVATE KEY", pkcs8(f, own.private))
	few := pkcs12.Modern2023.WithIterations(1) // else it is mostly key derivation
	passwordless := p12(f, pkcs12.Passwordless, own, other.cert)
	for _, data := range [][]byte{
		nil, []byte("-----BEGIN "), key8, join(key8, certificate(own)), join(certificate(other), key8),
		block("RSA PRIVATE KEY", pkcs1(f, own)), pkcs8(f, own.private), pkcs8(f, all(f)["ec"].private),
		p12(f, few, own), p12(f, pkcs12.LegacyRC2.WithIterations(1), own), passwordless,
		passwordless[:len(passwordless)-1], {0x30, 0x80, 2, 1, 3, 0, 0},
	} {
		f.Add(data, password)
		f.Add(data, "")
	}
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		if slow(data) {
			return
		}
		key, err := Parse(data, password)
		switch {
		case err != nil:
			if key != (Key{}) {
				t.Error("a key in spite of the error")
			}
		case key.Private.N.BitLen() < 2048 || key.Private.Validate() != nil:
			t.Error("this is no key to sign with")
		case key.Certificate != nil && !key.Private.PublicKey.Equal(key.Certificate.PublicKey):
			t.Error("the certificate is another key's")
		}
	})
}

// slow finds PKCS#12 whose writer asks for very many rounds of key derivation, which is no mistake of the reader.
func slow(data []byte) bool {
	var pfx struct {
		Version  int
		AuthSafe asn1.RawValue
		MacData  struct {
			Mac, Salt  asn1.RawValue
			Iterations int `asn1:"optional,default:1"`
		} `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(data, &pfx)
	return err == nil && pfx.MacData.Iterations > 10_000
}

func trustStore(t testing.TB, p pair) []byte {
	t.Helper()
	data, err := pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{p.cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
