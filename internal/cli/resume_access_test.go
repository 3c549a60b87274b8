package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/telemetry"
)

// folder holds the files of a test.
type folder struct {
	t   *testing.T
	dir string
}

func (f folder) at(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name, text string) string {
	f.t.Helper()
	if err := os.WriteFile(f.at(name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return f.at(name)
}

func (f folder) read(name string) string {
	f.t.Helper()
	text, err := os.ReadFile(f.at(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// authority makes an authority, and writes its certificate to NAME.pem.
func (f folder) authority(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	f.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	key := f.sign(name, template, template, nil)
	return template, key
}

// sign writes NAME.pem and NAME-key.pem; by nil: the certificate signs itself.
func (f folder) sign(name string, template, parent *x509.Certificate, by *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		f.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	f.write(name+"-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return key
}

// leaf writes a certificate that an authority has signed, for a server at 127.0.0.1 or for a client.
func (f folder) leaf(name string, authority *x509.Certificate, by *ecdsa.PrivateKey) {
	f.t.Helper()
	f.sign(name, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, authority, by)
}

// serveAdmin serves what acts, as run does by this configuration, and looks after its files.
func serveAdmin(t *testing.T, cfg config.HTTP) (address string, keys *connect.Credentials) {
	t.Helper()
	keys = &connect.Credentials{}
	access, err := keys.Admin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	admin := telemetry.Admin{Token: access.Token, Resume: func(who string) telemetry.Resumption {
		return telemetry.Resumption{Instance: "i1", Resumed: strings.Contains(who, "@"), Was: "too many"}
	}}
	s, err := telemetry.Listen("127.0.0.1:0", admin.Handler(), access.TLS, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s.Addr(), keys
}

// resumeBy runs the command.
func resumeBy(args ...string) (code int, said string) {
	var out bytes.Buffer
	code = Execute(context.Background(), append([]string{"resume"}, args...), nil, &out, &out)
	return code, out.String()
}

func wantResume(t *testing.T, name string, code int, want string, args ...string) {
	t.Helper()
	if got, said := resumeBy(args...); got != code || !strings.Contains(said, want) || strings.Contains(said, "hunter2") {
		t.Errorf("%s: exit code %d, want %d and %q in: %s", name, got, code, want, said)
	}
}

// The command brings the token that the instance asks for, and a token that is rotated there is the old one no more.
func TestResumeByToken(t *testing.T) {
	f := folder{t, t.TempDir()}
	token := f.write("token", "hunter2-hunter2-hunter2\n")
	address, keys := serveAdmin(t, config.HTTP{AdminTokenFile: token})
	wantResume(t, "without", 1, "refuses: the token is missing or wrong", "--http.admin="+address)
	wantResume(t, "wrong", 1, "refuses: the token is missing or wrong", "--http.admin="+address,
		"--token-file="+f.write("other", "hunter2-hunter2-hunter3"))
	wantResume(t, "of the configuration", 0, "i1 (http://"+address+"): resumed", "--http.admin="+address,
		"--http.admin-token-file="+token)
	old := f.write("old", "hunter2-hunter2-hunter2")
	wantResume(t, "of the flag", 0, "resumed", "--service="+address, "--token-file="+old)

	f.write("token", "hunter2-rotated-hunter2\n")
	refresh(t, keys)
	wantResume(t, "the former one", 1, "refuses", "--service="+address, "--token-file="+old)
	wantResume(t, "the new one", 0, "resumed", "--service="+address, "--token-file="+token)

	// What cannot be a token leaves the one before in force, and says so.
	f.write("token", "short")
	refresh(t, keys)
	wantResume(t, "a bad file", 1, "refuses", "--service="+address, "--token-file="+token)
	if status := keys.Status(); len(status) != 1 || status[0].Name != "admin-token" || status[0].Failing == nil ||
		!strings.Contains(status[0].Failing.Error(), "fewer than 16 characters") {
		t.Errorf("%+v", status)
	}
}

// refresh has the files looked at once.
func refresh(t *testing.T, keys *connect.Credentials) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Watch looks before it waits
	keys.Watch(ctx, zerolog.Nop())
}

// Without a certificate of the operators' authority there is no connection, whatever comes with it.
func TestResumeByCertificate(t *testing.T) {
	f := folder{t, t.TempDir()}
	authority, key := f.authority("authority")
	f.leaf("server", authority, key)
	f.leaf("ann", authority, key)
	other, otherKey := f.authority("elsewhere")
	f.leaf("eve", other, otherKey)
	address, keys := serveAdmin(t, config.HTTP{AdminTLS: config.AdminTLS{
		CertFile: f.at("server.pem"), KeyFile: f.at("server-key.pem"), ClientCAFile: f.at("authority.pem")}})
	by := func(name string) []string {
		return []string{"--service=https://" + address, "--ca-file=" + f.at("authority.pem"),
			"--cert-file=" + f.at(name+".pem"), "--key-file=" + f.at(name+"-key.pem")}
	}
	wantResume(t, "ann", 0, "i1 (https://"+address+"): resumed", by("ann")...)
	wantResume(t, "eve", 1, "cannot be reached", by("eve")...)
	wantResume(t, "no certificate", 1, "certificate required", by("ann")[:2]...)
	wantResume(t, "plain HTTP", 1, "answers 400", "--service=http://"+address)
	wantResume(t, "an unknown server", 1, "certificate signed by unknown authority", by("ann")[0])
	wantResume(t, "by the configuration", 0, "resumed", append(by("ann")[1:], "--http.admin="+address,
		"--http.admin-tls.cert-file=x", "--http.admin-tls.key-file=x")...)

	// Operators have another authority from now on: ann's certificate is refused, eve's is not.
	trusted := f.write("trusted.pem", f.read("authority.pem")) // by the clients
	f.write("authority.pem", f.read("elsewhere.pem"))
	refresh(t, keys)
	after := func(name string) []string { return slices.Concat(by(name), []string{"--ca-file=" + trusted}) }
	wantResume(t, "ann, after the exchange", 1, "cannot be reached", after("ann")...)
	wantResume(t, "eve, after the exchange", 0, "resumed", after("eve")...)
}

// What a file of the admin server lacks is said at the start, by key, without a word of its content.
func TestAdminFiles(t *testing.T) {
	f := folder{t, t.TempDir()}
	authority, key := f.authority("authority")
	f.leaf("server", authority, key)
	server := config.AdminTLS{CertFile: f.at("server.pem"), KeyFile: f.at("server-key.pem")}
	for name, test := range map[string]struct {
		cfg  config.HTTP
		want string
	}{
		"no file":   {config.HTTP{AdminTokenFile: f.at("none")}, "http.admin-token-file: none: the file cannot be read"},
		"short":     {config.HTTP{AdminTokenFile: f.write("a", "hunter2")}, "openssl rand -hex 32"},
		"two words": {config.HTTP{AdminTokenFile: f.write("b", "hunter2 hunter2 hunter2")}, "contains a space"},
		"two lines": {config.HTTP{AdminTokenFile: f.write("c", "hunter2hunter2\nhunter2hunter2")}, "contains a space"},
		"another key": {config.HTTP{AdminTLS: config.AdminTLS{CertFile: server.CertFile,
			KeyFile: f.at("authority-key.pem")}}, "http.admin-tls.cert-file, http.admin-tls.key-file"},
		"no authority": {config.HTTP{AdminTLS: config.AdminTLS{CertFile: server.CertFile, KeyFile: server.KeyFile,
			ClientCAFile: f.write("d", "hunter2")}},
			"http.admin-tls.client-ca-file: d: the file holds no PEM certificate"},
	} {
		_, err := new(connect.Credentials).Admin(test.cfg)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
