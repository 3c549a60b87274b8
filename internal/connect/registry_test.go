package connect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/registry"
)

// guarded is a registry with all kinds of logins.
type guarded struct {
	url   string
	own   *kafkatest.Authority
	files kafkatest.Files // of a client that it knows
}

// newGuarded makes a registry that lets in who allowed does. It speaks HTTPS, and asks for a certificate if mutual.
func newGuarded(t *testing.T, mutual bool, allowed func(*http.Request) bool) guarded {
	t.Helper()
	g := guarded{own: kafkatest.NewAuthority(t)}
	g.files = g.own.Files(t, "balanceq", inADay())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("not you: " + r.Header.Get("Authorization")))
			return
		}
		_, _ = w.Write([]byte(`[1]`))
	}))
	files := g.own.Files(t, "localhost", inADay())
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	// Version 1.2 tells of a certificate that is not taken before anything else; 1.3 while it reads the answer.
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair},
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	if mutual {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(g.own.PEM()))
		server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, pool
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	g.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return g
}

func inADay() time.Time { return time.Now().Add(24 * time.Hour) }

// ask returns the error of asking it, and no more than what any registry may say of itself.
func (g guarded) ask(t *testing.T, cfg config.Registry) error {
	t.Helper()
	c := new(Credentials)
	client, err := c.Registry(cfg, []string{g.url}, "test")
	if err == nil {
		_, err = client.Has(t.Context(), []string{"s"})
	}
	return err
}

// Each login is what the registry sees, wrong ones are refused, and no error repeats a secret.
func TestRegistryLogins(t *testing.T) {
	const secret, token = "hunter2", "aaa.bbb.ccc"
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		kafkatest.Write(t, path, text)
		return path
	}
	anybody := func(*http.Request) bool { return true }
	basic := func(r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		return ok && user == "balanceq" && password == secret
	}
	bearer := func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+token }
	named := func(r *http.Request) bool { return r.TLS.PeerCertificates[0].Subject.CommonName == "balanceq" }
	const (
		denied      = "answers HTTP 401"
		certificate = "remote error: tls: "
		unknown     = "certificate signed by unknown authority"
	)
	for name, test := range map[string]struct {
		mutual  bool
		allowed func(*http.Request) bool
		login   config.Registry
		forged  bool   // the certificate is another authority's
		foreign bool   // the registry's certificate is another authority's
		want    string // in the error; "": there is none
	}{
		"none":                    {allowed: anybody},
		"none where one is asked": {allowed: basic, want: denied},
		"a password": {allowed: basic, login: config.Registry{Username: "balanceq",
			PasswordFile: file("password", secret+"\n")}},
		"a wrong password": {allowed: basic, login: config.Registry{Username: "balanceq",
			PasswordFile: file("wrong", "hunter2-wrong")}, want: denied},
		"no password in its file": {allowed: basic, login: config.Registry{Username: "balanceq",
			PasswordFile: file("empty", "\n")}, want: "schema-registry.password-file: empty: the file is empty"},
		"a token": {allowed: bearer, login: config.Registry{TokenFile: file("token", token+"\n")}},
		"a wrong token": {allowed: bearer, want: denied,
			login: config.Registry{TokenFile: file("old", "aaa.bbb.ccc.hunter2")}},
		"rubbish for a token": {allowed: bearer, login: config.Registry{TokenFile: file("two", secret+" "+secret)},
			want: "schema-registry.token-file: two: the file holds no token"},
		"a certificate": {mutual: true, allowed: named,
			login: config.Registry{TLSFiles: config.TLSFiles{CertFile: "own", KeyFile: "own"}}},
		"a certificate and a password": {mutual: true, allowed: func(r *http.Request) bool { return named(r) && basic(r) },
			login: config.Registry{TLSFiles: config.TLSFiles{CertFile: "own", KeyFile: "own"}, Username: "balanceq",
				PasswordFile: file("both", secret)}},
		"no certificate": {mutual: true, allowed: named, want: certificate},
		"another authority's certificate": {mutual: true, allowed: named, forged: true, want: certificate,
			login: config.Registry{TLSFiles: config.TLSFiles{CertFile: "own", KeyFile: "own"}}},
		"a certificate that is none": {mutual: true, allowed: named,
			login: config.Registry{TLSFiles: config.TLSFiles{CertFile: file("cert", secret), KeyFile: file("key", secret)}},
			want:  "schema-registry.cert-file, schema-registry.key-file: cert, key: "},
		"a registry that is not known": {allowed: anybody, foreign: true, want: unknown},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, test.mutual, test.allowed)
			login := test.login
			login.CAFile = g.files.CA
			if test.foreign {
				login.CAFile = kafkatest.NewAuthority(t).Files(t, "x", inADay()).CA
			}
			if login.CertFile == "own" {
				files := g.files
				if test.forged {
					files = kafkatest.NewAuthority(t).Files(t, "balanceq", inADay())
				}
				login.CertFile, login.KeyFile = files.Cert, files.Key
			}
			err := g.ask(t, login)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v\nwant %s", err, test.want)
			case err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), token)):
				t.Errorf("repeats a secret: %v", err)
			}
			if said, is := errors.AsType[*registry.Error](err); is && said.Certificate() != (test.want == certificate) {
				t.Errorf("blames our certificate: %v, of %v", said.Certificate(), err)
			}
		})
	}
}

// A certificate that is renewed, and a password, are those of the next look-up, without a restart; and what looks after
// them knows when the certificate is over.
func TestRegistryFilesAreReadAgain(t *testing.T) {
	g := newGuarded(t, true, func(r *http.Request) bool {
		_, password, _ := r.BasicAuth()
		return r.TLS.PeerCertificates[0].Subject.CommonName == password
	})
	password := filepath.Join(t.TempDir(), "password")
	kafkatest.Write(t, password, "balanceq")
	cfg := config.Registry{Username: "balanceq", PasswordFile: password,
		TLSFiles: config.TLSFiles{CAFile: g.files.CA, CertFile: g.files.Cert, KeyFile: g.files.Key}}
	c := new(Credentials)
	client, err := c.Registry(cfg, []string{g.url}, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"balanceq", "renewed"} {
		g.own.Renew(t, g.files, name, inADay())
		kafkatest.Write(t, password, name)
		if has, err := client.Has(t.Context(), []string{"s"}); !has || err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	expires := make(map[string]bool)
	for _, key := range c.Status() {
		expires[key.Name] = !key.Expires.IsZero()
	}
	if len(expires) != 3 || !expires["registry-certificate"] || expires["registry-ca"] || expires["registry-password"] {
		t.Errorf("%v", expires)
	}
}
