package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A token serves all logins until 70 % of its life is over. While the next one cannot be had it serves on, and the
// server is asked again every five seconds, until it has expired; why is known.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var failing error
		tokens := &tokens{fetch: func(context.Context) (*oauth2.Token, error) {
			if asked++; failing != nil {
				return nil, failing
			}
			return &oauth2.Token{AccessToken: string(rune('a' + asked - 1)), Expiry: time.Now().Add(100 * time.Second)}, nil
		}}
		want := func(token string, requests int) {
			t.Helper()
			got, err := tokens.token(t.Context())
			if got != token || asked != requests || (err != nil) != (token == "") {
				t.Errorf("token %q, error %v, %d requests; want %q and %d", got, err, asked, token, requests)
			}
			if told := tokens.status().Failing; (told != nil) != (failing != nil && asked > 2) {
				t.Errorf("failing: %v", told)
			}
		}
		if s := tokens.status(); !s.Expires.IsZero() || s.Failing != nil {
			t.Errorf("before any: %+v", s)
		}
		want("a", 1)
		if left := time.Until(tokens.status().Expires); left != 100*time.Second {
			t.Errorf("expires in %v", left)
		}
		<-time.After(69 * time.Second)
		want("a", 1)
		<-time.After(time.Second)
		want("b", 2)
		failing = errors.New("away")
		<-time.After(70 * time.Second)
		want("b", 3)
		<-time.After(4 * time.Second)
		want("b", 3)
		<-time.After(time.Second)
		want("b", 4)
		<-time.After(25 * time.Second)
		want("", 5)
		failing = nil
		want("f", 6)
	})
}

// The server is asked by client credentials, with the secret as its file has it then, and what it answers in a form of
// its own is not repeated.
func TestClientCredentials(t *testing.T) {
	const revealing = "the secret is s-2"
	var secrets []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		secrets = append(secrets, secret)
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka" {
			t.Errorf("asked with %v", r.Form)
		}
		if len(secrets) == 2 {
			http.Error(w, revealing, http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"t-1","token_type":"bearer"}`)) // no life is given: for one login
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "secret")
	kafkatest.Write(t, file, "s-1\n")
	c := &Credentials{}
	m, err := c.bearer(config.OAuth{TokenURL: server.URL, ClientID: "balanceq", ClientSecretFile: file,
		Scopes: []string{"kafka"}, Extensions: []string{"logicalCluster=lkc-1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, first, err := m.Start(t.Context()); string(first) != "n,,\x01auth=Bearer t-1\x01logicalCluster=lkc-1\x01\x01" {
		t.Errorf("began with %q, %v", first, err)
	}
	kafkatest.Write(t, file, "s-2\n")
	_, _, err = m.Start(t.Context())
	if err == nil || strings.Contains(err.Error(), "s-2") || !strings.Contains(err.Error(), "HTTP 403") {
		t.Errorf("refused: %v", err)
	}
	if token, used := c.Token(); !used || token.Failing == nil {
		t.Errorf("a failing token: %+v", token)
	}
	if last := secrets[len(secrets)-1]; secrets[0] != "s-1" || last != "s-2" {
		t.Errorf("the secrets were %v", secrets)
	}
}

// A token endpoint of an attacker, or a misled one: the secret goes nowhere else, and what it answers neither fills the
// log nor becomes more than a token.
func TestHostileTokenEndpoint(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	token := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": text, "expires_in": 3600})
		}
	}
	answers := map[string]struct {
		http.HandlerFunc
		says string
	}{
		"more than a token": {token("t\x01auth=Bearer other\x01"), "has characters that no token has"},
		"two lines":         {token("t\r\nX: y"), "has characters that no token has"},
		"a long error": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "\x1b[2J" + strings.Repeat("a", 1000)})
		}, `answers "\x1b[2Jaaa`},
		"no end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for err := error(nil); err == nil; {
				_, err = w.Write(bytes.Repeat([]byte(" "), 1<<16))
			}
		}, "cannot parse json"},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		answers[fmt.Sprint(status)] = struct {
			http.HandlerFunc
			says string
		}{func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) },
			fmt.Sprintf("answers HTTP %d", status)}
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			m, err := (&Credentials{}).bearer(config.OAuth{TokenURL: server.URL + "/tenant", ClientID: "balanceq",
				ClientSecret: config.NewSecret("s-1")})
			if err != nil {
				t.Fatal(err)
			}
			_, first, err := m.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), answer.says) || len(err.Error()) > 300 ||
				strings.Contains(err.Error(), "tenant") || first != nil {
				t.Errorf("%q, error %v", first, err)
			}
		})
	}
	if asked.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// A file is read for each login. While what it holds is no token the last one serves on.
func TestTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	_, err := (&Credentials{}).bearer(config.OAuth{TokenFile: file})
	if err == nil || !strings.Contains(err.Error(), "kafka.sasl.oauth.token-file (token): the file cannot be read") {
		t.Errorf("without a file: %v", err)
	}
	const jwt = "e30.eyJleHAiOjE3NjcxNzE2MDB9.c2ln" // {"exp":1767171600}
	kafkatest.Write(t, file, "t-1\n")
	c := &Credentials{}
	m, err := c.bearer(config.OAuth{TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text, want string
		failing    bool
		expires    int64 // 0: not known
	}{
		{"t-1\n", "t-1", false, 0}, {"", "t-1", true, 0}, {"a b", "t-1", true, 0}, {jwt, jwt, false, 1767171600},
		{"a.b.c", "a.b.c", false, 0},
	} {
		kafkatest.Write(t, file, step.text)
		if got, err := m.Token(t.Context()); got != step.want || err != nil {
			t.Errorf("%q: %q, %v, want %q", step.text, got, err, step.want)
		}
		token, _ := c.Token()
		if (token.Failing != nil) != step.failing || token.Expires.IsZero() != (step.expires == 0) ||
			step.expires != 0 && token.Expires.Unix() != step.expires {
			t.Errorf("%q: %+v", step.text, token)
		}
	}
}

// Certificates and passwords are those of their files when a connection is made, and looked after like all keys.
func TestKafkaFiles(t *testing.T) {
	authority := kafkatest.NewAuthority(t)
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	files := authority.Files(t, "balanceq", expires)
	password := filepath.Join(t.TempDir(), "password")
	kafkatest.Write(t, password, "p-1\n")
	var cfg config.Config
	cfg.Kafka.TLS = config.TLS{Enabled: true, ServerName: "brokers.internal",
		TLSFiles: config.TLSFiles{CAFile: files.CA, CertFile: files.Cert, KeyFile: files.Key}}
	cfg.Kafka.SASL = config.SASL{Mechanism: config.SASLPlain, Username: "u", PasswordFile: password}
	c := &Credentials{}
	s, err := c.Kafka(cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := s.TLS()
	if first.ServerName != "brokers.internal" || first.RootCAs == nil || len(first.Certificates) != 1 {
		t.Errorf("TLS: %+v", first)
	}
	for _, key := range c.Status() {
		if key.Failing != nil || key.Name == "kafka-certificate" && !key.Expires.Equal(expires) {
			t.Errorf("%+v", key)
		}
	}
	authority.Renew(t, files, "balanceq", expires.Add(time.Hour))
	kafkatest.Write(t, password, "p-2")
	if again := s.TLS(); again.Certificates[0].Leaf.Equal(first.Certificates[0].Leaf) {
		t.Error("the certificate is still the first one")
	}
	if _, said, err := s.SASL.Start(t.Context()); string(said) != "\x00u\x00p-2" || err != nil {
		t.Errorf("logs in by %q, %v", said, err)
	}
	kafkatest.Write(t, files.CA, "nothing")
	if s.TLS().RootCAs == nil {
		t.Error("a file that holds nothing is trusted")
	}
	if c.Status()[0].Failing == nil {
		t.Error("nothing is said of it")
	}
	for field, change := range map[string]func(*config.Config){
		"kafka.tls.ca-file:":       func(c *config.Config) { c.Kafka.TLS.CAFile = "missing" },
		"kafka.tls.cert-file":      func(c *config.Config) { c.Kafka.TLS.KeyFile = files.Cert },
		"kafka.sasl.password-file": func(c *config.Config) { c.Kafka.SASL.PasswordFile = "missing" },
	} {
		wrong := cfg
		wrong.Kafka.TLS.CAFile = files.Cert // any certificate
		change(&wrong)
		if _, err := Kafka(wrong); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
