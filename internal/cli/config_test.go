package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
)

// config check looks at the files that are named and connects to nothing: what it says names the key.
func TestConfigCheckLooksAtFiles(t *testing.T) {
	t.Parallel()
	f := newDoctorFiles(t)
	env := []string{"BALANCEQ_CMS_AUTH_CONSUMER_KEY=" + consumerKey, "BALANCEQ_CMS_AUTH_KEY_PASSWORD=" + keyPassword}
	signed := []string{"--cms.auth.method=oauth1", "--cms.auth.key-file=" + f.at("signing.p12")}
	for name, test := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"good":    {signed, command.ExitDone, []string{"the configuration is good"}},
		"nothing": {nil, command.ExitDone, []string{"the configuration is good"}},
		"expires soon": {[]string{"--cms.auth.method=oauth1", "--cms.auth.key-file=" + f.at("soon.p12")}, command.ExitDone,
			[]string{"warning: ", "soon.p12", "(in 12 days)", "the configuration is good"}},
		"several": {[]string{"--cms.auth.method=oauth1", "--cms.auth.key-file=" + f.at("none.p12"),
			"--cms.tls.cert-file=" + f.at("client.pem"), "--cms.tls.key-file=" + f.at("client-unknown-key.pem"),
			"--kafka.tls.enabled", "--kafka.tls.ca-file=" + f.at("rubbish.p12"), "--http.admin-token-file=" + f.at("short.txt"),
		}, command.ExitUsage, []string{"cms.auth.key-file: ", "cms.tls.cert-file and cms.tls.key-file: ",
			"kafka.tls.ca-file: rubbish.p12 holds no PEM certificate; give the authority's", "http.admin-token-file: "}},
		"wrong password": {[]string{"--cms.decryption.key-files=" + f.at("signing.p12")}, command.ExitUsage,
			[]string{"signing.p12: ", "cms.decryption.key-password"}},
		"a value": {[]string{"--cms.timeout=soon"}, command.ExitUsage, []string{"cms.timeout: "}},
	} {
		var out, errOut bytes.Buffer
		args := append([]string{"config", "check", "--cms.url=https://cms.invalid", "--kafka.brokers=kafka.invalid:9092"},
			test.args...)
		code := Execute(t.Context(), args, env, &out, &errOut)
		if code != test.code || strings.Contains(out.String(), "good") != (code == command.ExitDone) {
			t.Errorf("%s: exit code %d, want %d", name, code, test.code)
		}
		clitest.WantText(t, name, errOut.String()+out.String(), test.says...)
	}
}
