package cli

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// Whatever is wrong is told apart, with what to do about it; what builds on it is left out, and everything else is
// checked.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	unused := unusedAddress(t)
	plain := plainAddress(t)
	good := w.files.at("decryption.pem")
	unverified := func(s *cmssim.Config) { s.Verify, s.Encrypt = nil, nil }
	tests := map[string]struct {
		sim    func(*cmssim.Config)
		fault  *cmssim.Fault
		set    []string // key and value in turn
		path   string   // after the right one
		env    string
		args   []string
		check  string
		status string // of the check; the others must be ok, or skipped where this one failed
		detail []string
		fix    []string
		skips  int
	}{
		"no CMS": {set: []string{"cms.url", ""}, check: "configuration", status: "fail",
			detail: []string{"cms.url: is not set"}, fix: []string{"BALANCEQ_CMS_URL"}, skips: 5},
		"a value": {set: []string{"cms.timeout", "soon"}, check: "configuration", status: "fail",
			detail: []string{`cms.timeout: "soon"`}, fix: []string{"write for example"}, skips: 1},
		"two values": {set: []string{"cms.timeout", "soon", "log.level", "louder"}, check: "configuration", status: "fail",
			detail: []string{"cms.timeout", "\nlog.level"}, fix: []string{"\n"}, skips: 1},
		"brokers": {set: []string{"kafka.brokers", "here"}, check: "configuration", status: "fail",
			detail: []string{"kafka.brokers: "}, fix: []string{"9092"}, skips: 6},
		"a topic twice": {set: []string{"topics.results", "again", "topics.deadletters", "again"}, check: "configuration",
			status: "fail", detail: []string{"is also topics.results"}, fix: []string{"its own topic"}, skips: 3},
		"a file that is not there": {args: []string{"--config=" + w.files.at("none.yaml")}, check: "configuration",
			status: "fail", detail: []string{"none.yaml"}, fix: []string{"check --config"}, skips: 18},
		"password in the proxy": {set: []string{"cms.proxy", "http://joe:" + saslPassword + "@127.0.0.1:1"},
			check: "configuration", status: "fail", detail: []string{"cms.proxy"}, fix: []string{"HTTPS_PROXY"}, skips: 5},
		"a pair": {set: []string{"cms.timeout", "30s", "cms.breaker.window", "10s", "shutdown.timeout", "60s"},
			check: "configuration", status: "fail", detail: []string{"cms.breaker.window"}, fix: []string{"cms.timeout"},
			skips: 1},
		"warning": {set: []string{"shutdown.timeout", "1s"}, check: "configuration", status: "warn",
			detail: []string{"keys set", "\nshutdown.timeout: 1s is below cms.timeout"}, fix: []string{"raise it"}},

		"consumer key cut short": {env: "BALANCEQ_CMS_AUTH_CONSUMER_KEY=" + consumerKey[:96],
			sim: func(s *cmssim.Config) { s.Verify.ConsumerKey = consumerKey[:96] }, check: "configuration", status: "warn",
			detail: []string{"\ncms.auth.consumer-key: is not of the usual shape"}, fix: []string{"copy it again"}},

		"no key file": {set: []string{"cms.auth.key-file", w.files.at("none.p12")}, check: "signing key", status: "fail",
			detail: []string{"cms.auth.key-file", "none.p12", "no such file"}, fix: []string{"cms.auth.key-file", "exists"},
			skips: 1},
		"rubbish": {set: []string{"cms.auth.key-file", w.files.at("rubbish.p12")}, check: "signing key", status: "fail",
			detail: []string{"rubbish.p12: this is no key file"}, fix: []string{"PKCS#12", "cms.auth.key-file"}, skips: 1},
		"wrong password": {env: "BALANCEQ_CMS_AUTH_KEY_PASSWORD=" + otherPassword, check: "signing key", status: "fail",
			detail: []string{"signing.p12: the password does not open"},
			fix:    []string{"check the password", "cms.auth.key-password"},
			skips:  1},
		"not RSA": {set: []string{"cms.auth.key-file", w.files.at("ec.pem")}, check: "signing key", status: "fail",
			detail: []string{"not an RSA key"}, fix: []string{"RSA key of at least 2048 bits"}, skips: 1},
		"key expired": {set: []string{"cms.auth.key-file", w.files.at("expired.p12")}, check: "signing key", status: "fail",
			detail: []string{"certificate expired ", "(3 days ago)"}, fix: []string{"create a new key", "cms.auth.key-file"},
			skips: 1},
		"key expires soon": {set: []string{"cms.auth.key-file", w.files.at("soon.p12")}, check: "signing key", status: "warn",
			detail: []string{"certificate expires ", "(in 12 days)"}, fix: []string{"create a new key"}},
		"expiry unknown": {set: []string{"cms.auth.key-file", w.files.at("bare.pem")}, check: "signing key", status: "warn",
			detail: []string{"bare.pem: RSA 2048", "it is not known when it expires"}, fix: []string{"cms.auth.key-expires"}},
		"expired by the setting": {set: []string{"cms.auth.key-file", w.files.at("bare.pem"), "cms.auth.key-expires",
			"2020-02-29"},
			check: "signing key", status: "fail", detail: []string{"key expired 2020-02-29"}, fix: []string{"create a new key"},
			skips: 1},
		"another's key": {set: []string{"cms.auth.key-file", w.files.at("stranger.p12")}, check: "balance", status: "fail",
			detail: []string{"401", "AUTHENTICATION_FAILED", "Gateway", "X-MC-Correlation-ID 0."},
			fix:    []string{"cms.auth.key-file", "cms.auth.consumer-key"}},
		"another consumer key": {sim: func(s *cmssim.Config) { s.Verify.ConsumerKey = strings.Repeat("x", 97) },
			check: "balance", status: "fail",
			detail: []string{"AUTHENTICATION_FAILED"}, fix: []string{"cms.auth.consumer-key"}},

		"decryption key missing": {set: []string{"cms.decryption.key-files", good + "," + w.files.at("none.pem")},
			check: "decryption keys", status: "fail", detail: []string{"decryption.pem: RSA 2048", "none.pem"},
			fix: []string{"cms.decryption.key-files"}, skips: 1},
		"decryption key expired": {set: []string{"cms.decryption.key-files", w.files.at("decryption-expired.pem")},
			check: "decryption keys", status: "fail", detail: []string{"certificate expired ", "(1 day ago)"},
			fix: []string{"create a new key"}, skips: 1},
		"old decryption key": {set: []string{"cms.decryption.key-files", w.files.at("decryption-expired.pem") + "," + good},
			check: "decryption keys", status: "warn",
			detail: []string{"decryption-expired.pem: RSA 2048, certificate expired ", "\ndecryption.pem"},
			fix:    []string{"remove it"}},
		"another's decryption key": {set: []string{"cms.decryption.key-files", w.files.at("decryption-wrong.pem")},
			check: "balance", status: "fail", detail: []string{"undecryptable"}, fix: []string{"cms.decryption.key-files"}},

		"client certificate missing": {set: []string{"cms.tls.cert-file", w.files.at("none.pem")},
			check: "client certificate", status: "fail",
			detail: []string{"cms.tls.cert-file", "none.pem"}, fix: []string{"exists"}, skips: 3},
		"client certificate's key": {set: []string{"cms.tls.key-file", w.files.at("client-unknown-key.pem")},
			check: "client certificate", status: "fail", detail: []string{"private key does not match"},
			fix: []string{"one certificate and its key"}, skips: 3},
		"client certificate expired": {set: []string{"cms.tls.cert-file", w.files.at("client-expired.pem"),
			"cms.tls.key-file", w.files.at("client-expired-key.pem")}, check: "client certificate", status: "fail",
			detail: []string{`"balanceq" expired `, "(1 day ago)"}, fix: []string{"get a new certificate"}, skips: 3},

		"no Kafka": {set: []string{"kafka.brokers", unused}, check: "Kafka", status: "fail",
			detail: []string{unused, "refused"}, fix: []string{"kafka.brokers"}, skips: 5},
		"no topics": {set: []string{"topics.results", "not-there", "topics.deadletters", "nor-there"},
			check: "topics", status: "fail",
			detail: []string{"topic not-there does not exist", "\ntopic nor-there"}, fix: []string{"balanceq topics create"},
			skips: 2},
		"topic too small": {set: []string{"topics.deadletters", w.topics.Broker.Topic(t, 1, "max.message.bytes=1000000")},
			check: "topics", status: "warn", detail: []string{"would not fit"}, fix: []string{"max.message.bytes"}},

		// DNS is not asked for names below onion (RFC 7686).
		"unknown host": {set: []string{"cms.url", "https://cms.onion/x"}, check: "DNS", status: "fail",
			detail: []string{"cms.onion", "no such host"}, fix: []string{"cms.url", "DNS"}, skips: 4},
		"wrong port": {set: []string{"cms.url", "https://" + unused + "/x"}, check: "TCP", status: "fail",
			detail: []string{"refused"}, fix: []string{"cms.url", "firewalls"}, skips: 3},
		"proxy down": {set: []string{"cms.proxy", "http://" + unused}, check: "TCP", status: "fail",
			detail: []string{"proxy 127.0.0.1", "refused"}, fix: []string{"cms.proxy"}, skips: 3},

		"untrusted": {set: []string{"cms.tls.ca-file", ""}, check: "TLS", status: "fail",
			detail: []string{`certificate "cms.test", issued by "test authority"`, "unknown authority"},
			fix:    []string{"cms.tls.ca-file"}, skips: 2},
		"no authorities": {set: []string{"cms.tls.ca-file", w.files.at("none.pem")}, check: "authorities", status: "fail",
			detail: []string{"cms.tls.ca-file", "none.pem"}, fix: []string{"exists"}, skips: 3},
		"rubbish for authorities": {set: []string{"cms.tls.ca-file", w.files.at("rubbish.p12")}, check: "authorities",
			status: "fail", detail: []string{"cms.tls.ca-file: rubbish.p12 holds no PEM certificate"},
			fix: []string{"give the authority's"}, skips: 3},
		"authorities expired": {set: []string{"cms.tls.ca-file", w.files.at("client-expired.pem")}, check: "authorities",
			status: "fail", detail: []string{"cms.tls.ca-file: client-expired.pem", "expired"},
			fix: []string{"the authority's new certificate"}, skips: 3},

		"no authorities for Kafka": {set: []string{"kafka.tls.enabled", "true", "kafka.tls.ca-file", w.files.at("none.pem")},
			check: "Kafka files", status: "fail", detail: []string{"kafka.tls.ca-file", "none.pem"}, fix: []string{"exists"},
			skips: 6},
		"certificate for Kafka expired": {set: []string{"kafka.tls.enabled", "true", "kafka.tls.cert-file",
			w.files.at("client-expired.pem"), "kafka.tls.key-file", w.files.at("client-expired-key.pem")},
			check: "Kafka files", status: "fail", detail: []string{`kafka.tls.cert-file: "balanceq" expired`},
			fix: []string{"get a new certificate"}, skips: 6},
		"token for Kafka expired": {set: []string{"kafka.sasl.mechanism", "oauthbearer", "kafka.sasl.oauth.token-file",
			w.files.at("old.jwt")}, check: "Kafka files", status: "fail",
			detail: []string{"kafka.sasl.oauth.token-file: old.jwt: a token that expired"}, fix: []string{"writes the file"},
			skips: 6},
		"no token for Kafka": {set: []string{"kafka.sasl.mechanism", "oauthbearer", "kafka.sasl.oauth.token-file",
			w.files.at("none.jwt")}, check: "Kafka files", status: "fail",
			detail: []string{"kafka.sasl.oauth.token-file", "none.jwt"}, fix: []string{"exists"}, skips: 6},

		"no token for admins": {set: []string{"http.admin-token-file", w.files.at("none.txt")}, check: "admin access",
			status: "fail", detail: []string{"http.admin-token-file", "none.txt"}, fix: []string{"exists"}},
		"a short token for admins": {set: []string{"http.admin-token-file", w.files.at("short.txt")}, check: "admin access",
			status: "fail", detail: []string{"http.admin-token-file", "fewer than 16 characters"}, fix: []string{"openssl"}},
		"admin's certificate and key": {set: []string{"http.admin-tls.cert-file", w.files.at("client.pem"),
			"http.admin-tls.key-file", w.files.at("client-unknown-key.pem")}, check: "admin access", status: "fail",
			detail: []string{"http.admin-tls.cert-file", "private key does not match"}},
		"admin's certificate expired": {set: []string{"http.admin-tls.cert-file", w.files.at("client-expired.pem"),
			"http.admin-tls.key-file", w.files.at("client-expired-key.pem")}, check: "admin access", status: "fail",
			detail: []string{`http.admin-tls.cert-file: "balanceq" expired`}, fix: []string{"get a new certificate"}},
		"another host's certificate": {
			sim:   func(s *cmssim.Config) { s.TLS.Certificates = []tls.Certificate{w.files.elsewhere} },
			check: "TLS", status: "fail", detail: []string{`"other.test"`, "127.0.0.1"},
			fix: []string{"the host of cms.url"}, skips: 2},
		"server expired": {sim: func(s *cmssim.Config) { s.TLS.Certificates = []tls.Certificate{w.files.stale} },
			check: "TLS", status: "fail", detail: []string{"expired"}, fix: []string{"clock", "renew"}, skips: 2},
		"no client certificate": {set: []string{"cms.tls.cert-file", "", "cms.tls.key-file", ""}, check: "TLS",
			status: "fail",
			detail: []string{"asks for a client certificate, and none is set"}, fix: []string{"set cms.tls.cert-file"},
			skips: 2},
		"unknown client certificate": {set: []string{"cms.tls.cert-file", w.files.at("client-unknown.pem"),
			"cms.tls.key-file", w.files.at("client-unknown-key.pem")}, check: "TLS", status: "fail",
			detail: []string{"client certificate is refused"}, fix: []string{"cms.tls.cert-file"}, skips: 2},
		"client certificate wanted": {sim: func(s *cmssim.Config) { s.TLS.ClientAuth = tls.RequestClientCert },
			set: []string{"cms.tls.cert-file", "", "cms.tls.key-file", ""}, check: "TLS", status: "ok",
			detail: []string{"asks for a client certificate, and none is set"}},
		"https to http": {sim: func(s *cmssim.Config) { s.TLS = nil }, set: []string{"cms.url", "https://" + plain + "/x"},
			check: "TLS", status: "fail", detail: []string{"does not speak TLS"}, fix: []string{"http://"}, skips: 2},
		"proxy refuses": {set: []string{"cms.proxy", "http://" + plain}, check: "TLS", status: "fail",
			detail: []string{"by way of proxy 127.0.0.1: Not Found"}, fix: []string{"proxy"}, skips: 2},

		"clock a little ahead": {sim: func(s *cmssim.Config) { s.ClockOffset = -20 * time.Second }, check: "clock",
			status: "warn",
			detail: []string{"ahead of the CMS"}, fix: []string{"NTP"}},
		"clock behind": {sim: func(s *cmssim.Config) { s.ClockOffset = 2 * time.Minute }, check: "clock", status: "fail",
			detail: []string{"behind the CMS: signatures may be refused"}, fix: []string{"NTP"}},

		"wrong path": {path: "/elsewhere", check: "balance", status: "fail",
			detail: []string{"404", "Gateway"}, fix: []string{"path of the CMS's address", "cms.url"}},
		"no such contract": {args: []string{"--contract=40412345"}, check: "balance", status: "ok",
			detail: []string{"the CMS itself answers", "404 CONTRACT_DOES_NOT_EXIST"}},
		"rejected": {fault: &cmssim.Fault{Status: 400, Source: "MASTERCARD PROCESSING", ReasonCode: "REQUEST_VALIDATION"},
			check: "balance", status: "ok", detail: []string{"the CMS itself answers", "400 REQUEST_VALIDATION"}},
		"operation disabled": {fault: &cmssim.Fault{Status: 403, Source: "MASTERCARD PROCESSING",
			ReasonCode: "OPERATION_DENIED"},
			check: "balance", status: "fail", detail: []string{"403 OPERATION_DENIED"}, fix: []string{"getContractBalances"}},
		"CMS fails": {fault: &cmssim.Fault{Status: 503}, check: "balance", status: "fail",
			detail: []string{"503", "X-MC-Correlation-ID 0."}, fix: []string{"try again", "correlation ids"}},
		"throttled": {fault: &cmssim.Fault{Status: 429}, check: "balance", status: "fail", detail: []string{"429"},
			fix: []string{"cms.rate"}},
		"no balances": {sim: unverified, fault: &cmssim.Fault{Effect: cmssim.EffectGarbage}, check: "balance", status: "fail",
			detail: []string{"undecodable"}, fix: []string{"cms.url"}},
		"no answer": {fault: &cmssim.Fault{Effect: cmssim.EffectHang}, set: []string{"cms.timeout", "300ms"},
			check: "balance", status: "fail",
			detail: []string{"within 300ms"}, fix: []string{"try again"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := w.open(t, test.sim)
			c.set("cms.url", c.sim.URL()+test.path)
			if test.fault != nil {
				test.fault.Match = cmssim.Match{Contracts: []int64{70001}} // not what looks at TLS and the clock
				if test.fault.Effect == "" {
					test.fault.Effect = cmssim.EffectStatus
				}
				c.sim.Simulator().AddFault(*test.fault)
			}
			c.set(test.set...)
			c.env = append(c.env, test.env) // the last one of a name counts
			e := c.asJSON(test.args...)

			got := e.find(t, test.check)
			if got.Status != test.status {
				t.Errorf("%s is %s, want %s", test.check, got.Status, test.status)
			}
			clitest.WantText(t, "the detail", got.Detail, test.detail...)
			clitest.WantText(t, "the fix", got.Fix, test.fix...)
			var bad []string
			if test.status != "ok" {
				bad = []string{test.check}
			}
			if all := append(e.withStatus("fail"), e.withStatus("warn")...); !slices.Equal(all, bad) {
				t.Errorf("%v are not ok, want %v", all, bad)
			}
			if skipped := e.withStatus("skip"); len(skipped) != test.skips {
				t.Errorf("%d checks are skipped, want %d: %v", len(skipped), test.skips, skipped)
			}
			if len(e.checks) != len(allChecks) {
				t.Errorf("%d checks, want %d", len(e.checks), len(allChecks))
			}
			if want := map[bool]int{true: command.ExitFailed, false: command.ExitDone}[test.status == "fail"]; e.code != want {
				t.Errorf("exit code %d, want %d", e.code, want)
			}
			if said := strings.Contains(e.err, "1 of 19 checks failed"); said != (test.status == "fail") {
				t.Errorf("the error is %q", e.err)
			}
			if t.Failed() {
				t.Logf("the output:\n%s", e.out)
			}
		})
	}
}
