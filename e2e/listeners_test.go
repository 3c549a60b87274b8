package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A listener that is not what the settings say ends a connection without a word, or with a code that does not say much.
// doctor and run say which it is, and what to set; run waits for a cluster first.
func TestListenersOfAnotherKind(t *testing.T) {
	t.Parallel()
	r := newGuardedRig(t, 1, time.Hour)
	plain := []string{"--kafka.brokers=" + r.guard.Brokers()[0]}
	at := func(l kafkatest.Listener) []string { return []string{"--kafka.brokers=" + r.guard.Address(l)} }
	encrypted := []string{"--kafka.tls.enabled", "--kafka.tls.ca-file=" + r.certs.CA,
		"--kafka.tls.server-name=" + kafkatest.ServerName}
	login := []string{"--kafka.sasl.mechanism=scram-sha-512", "--kafka.sasl.username=" + r.user,
		"--kafka.sasl.password-file=" + r.secret}
	showing := func(f kafkatest.Files) []string {
		return []string{"--kafka.tls.cert-file=" + f.Cert, "--kafka.tls.key-file=" + f.Key}
	}
	without := func(flags []string, i int) []string { return slices.Delete(slices.Clone(flags), i, i+1) }
	r.guard.SetPassword(t, r.user, "another")
	token := filepath.Join(t.TempDir(), "token")
	kafkatest.Write(t, token, kafkatest.NewIssuer().Token(r.user, time.Hour))
	cases := map[string]struct {
		connection []string
		want       []string
	}{
		"plain text to TLS": {at(kafkatest.OnlyTLS), []string{"listener", "TLS", "kafka.tls"}},
		"TLS to plain text": {slices.Concat(plain, encrypted), []string{"the listener does not speak TLS",
			"kafka.tls.enabled"}},
		"a login is missing": {at(kafkatest.Login), []string{
			"the listener asks for a login ([", "kafka.sasl.mechanism"}},
		"a login is missing over TLS": {slices.Concat(at(kafkatest.LoginTLS), encrypted), []string{
			"the listener asks for a login ([", "kafka.sasl.mechanism"}},
		"no login is wanted": {slices.Concat(plain, login), []string{"the listener asks for no login",
			"kafka.sasl.mechanism"}},
		"wrong mechanism": {slices.Concat(at(kafkatest.Login), login[1:], []string{"--kafka.sasl.mechanism=scram-sha-256"}),
			[]string{"the listener takes no SCRAM-SHA-256 but [", "kafka.sasl.mechanism"}},
		"wrong password": {slices.Concat(at(kafkatest.Login), login), []string{"SASL Authentication Failed",
			"invalid credentials", "the user and password"}},
		"token of another issuer": {slices.Concat(at(kafkatest.Login), []string{"--kafka.sasl.mechanism=oauthbearer",
			"--kafka.sasl.oauth.token-file=" + token}), []string{"SASL Authentication Failed", "the token"}},
		"name mismatch": {slices.Concat(at(kafkatest.OnlyTLS), without(encrypted, 2)), []string{
			"x509: cannot validate certificate for 127.0.0.1", "kafka.tls.server-name"}},
		"unknown authority": {slices.Concat(at(kafkatest.OnlyTLS), without(encrypted, 1)), []string{
			"x509: certificate signed by unknown authority", "kafka.tls.ca-file"}},
		"expired certificate of the broker": {slices.Concat(at(kafkatest.Expired), encrypted), []string{
			"x509: certificate has expired", "clock", "new certificate"}},
		"no certificate of the client": {slices.Concat(at(kafkatest.MutualTLS), encrypted), []string{
			"asks for a certificate of the client", "kafka.tls.cert-file"}},
		"certificate of the client by another authority": {slices.Concat(at(kafkatest.MutualTLS), encrypted,
			showing(kafkatest.NewAuthority(t).Files(t, r.user, inMonths()))), []string{
			"the broker refuses the certificate of this client", "kafka.tls.cert-file"}},
	}
	t.Run("expired certificate of the client", func(t *testing.T) { // of which doctor knows without asking
		t.Parallel()
		expired := slices.Concat(at(kafkatest.MutualTLS), encrypted,
			showing(r.guard.CA.Files(t, r.user, time.Now().Add(-time.Hour))))
		refuses(t, nil, r.as(expired, "doctor", "--no-call"), "FAIL  Kafka files", "expired")
		in := launch(t, r.as(expired, "run")...)
		in.saysInTime("the broker refuses the certificate of this client", "has not expired")
		in.Kill()
	})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, nil, r.as(c.connection, "doctor", "--no-call"), append(c.want, "FAIL  Kafka", "fix: ")...)
			in := launch(t, r.as(c.connection, "run")...)
			in.saysInTime(c.want...)
			in.Kill()
		})
	}
}

// saysInTime waits until the program has said these words, whether it goes on or ends.
func (in *instance) saysInTime(want ...string) {
	in.t.Helper()
	for _, words := range want {
		kafkatest.Eventually(in.t, waitTimeout, "it says "+words,
			func() bool { return strings.Contains(in.output.String(), words) })
	}
}
