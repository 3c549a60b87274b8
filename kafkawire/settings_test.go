package kafkawire

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func TestSecureConnections(t *testing.T) {
	t.Parallel()
	authority := kafkatest.NewAuthority(t)
	by := func(a *kafkatest.Authority, name string) tls.Certificate {
		files := a.Files(t, name, time.Now().Add(time.Hour))
		cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(authority.PEM()))
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "u", "right"), kfake.Superuser("SCRAM-SHA-256", "u", "right"),
		kfake.Superuser("SCRAM-SHA-512", "u", "right"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{by(authority, "kafka.test")}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "kafka.test",
		Certificates: []tls.Certificate{by(authority, "u")}}
	call := func(mechanism, password string, cfg *tls.Config) error {
		t.Helper()
		m, err := SASL(mechanism, "u", given(password))
		if err != nil {
			t.Fatal(err)
		}
		s := Settings{Brokers: cluster.ListenAddrs(), SASL: m}
		if cfg != nil {
			s.TLS = func() *tls.Config { return cfg }
		}
		c := NewClient(s)
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
	if err := call("plain", "right", nil); err == nil || !strings.Contains(err.Error(), "its listener may speak TLS") {
		t.Errorf("without TLS: error %v", err)
	}
	without := cfg.Clone()
	without.Certificates = nil
	if err := call("plain", "right", without); err == nil || !strings.Contains(err.Error(), "asks for a certificate") {
		t.Errorf("without a certificate: error %v", err)
	}
	unknown := cfg.Clone()
	unknown.Certificates = []tls.Certificate{by(kafkatest.NewAuthority(t), "u")}
	if err := call("plain", "right", unknown); err == nil || !strings.Contains(err.Error(), "refuses the certificate") {
		t.Errorf("with another authority's certificate: error %v", err)
	}
	if err := call("plain", "right", &tls.Config{MinVersion: tls.VersionTLS12}); err == nil ||
		!strings.Contains(err.Error(), "certificate") {
		t.Errorf("with the system's authorities: error %v", err)
	}
}

func given(password string) func() string { return func() string { return password } }

func TestSettingsErrors(t *testing.T) {
	t.Parallel()
	if _, err := SASL("kerberos", "u", given("p")); err == nil || !strings.Contains(err.Error(), "SASL: the mechanism") {
		t.Errorf("unknown mechanism: error %v", err)
	}
	for _, none := range []string{"", "none"} {
		if m, err := SASL(none, "u", given("p")); m != nil || err != nil {
			t.Errorf("%q: %v, error %v", none, m, err)
		}
	}
}
