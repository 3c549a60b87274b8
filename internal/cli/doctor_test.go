package cli

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

var allChecks = []string{"configuration", "open files", "signing key", "decryption keys", "authorities",
	"client certificate", "Kafka files", "admin access", "Kafka", "brokers", "topics", "order", "replies", "group",
	"DNS", "TCP", "TLS", "clock", "balance"}

// Where all is well, doctor says so of everything, and makes one call.
func TestDoctorFindsNothing(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, nil)
	e := c.asJSON("--contract=71234", "--codes=AVAILABLE,BLOCKED")
	if e.code != command.ExitDone || e.err != "" {
		t.Errorf("exit code %d\n%s", e.code, e.err)
	}
	var names []string
	for _, one := range e.checks {
		names = append(names, one.Name)
		if one.Status != "ok" || one.Detail == "" || one.Fix != "" {
			t.Errorf("%+v", one)
		}
	}
	if !slices.Equal(names, allChecks) {
		t.Errorf("checks %v, want %v", names, allChecks)
	}
	for name, want := range map[string][]string{
		"configuration":      {"16 keys set (environment, flags)"},
		"signing key":        {"signing.p12: RSA 2048, certificate expires ", "(in 160 days)"},
		"decryption keys":    {"decryption.pem: RSA 2048, certificate expires "},
		"authorities":        {`ca.pem: "test authority" expires `},
		"client certificate": {`"balanceq" expires `},
		"Kafka":              {c.Broker.Brokers()[0] + " answers"},
		"brokers":            {"1 broker; group protocols: classic"},
		"group":              {"balanceq: joins as classic, no member is in it"},
		"topics":             {c.Requests, c.Results, c.Dead},
		"order":              {"0 requests of 0 contracts"},
		"DNS":                {"127.0.0.1"},
		"TLS":                {"TLS 1.3", `"cms.test" expires `},
		"clock":              {"within a second"},
		"balance":            {"2 of 2 balances of contract 71234\nin ", " ms, Correlation-Id ", "X-MC-Correlation-ID 0."},
	} {
		clitest.WantText(t, name, e.find(t, name).Detail, want...)
	}
	calls := c.sim.Simulator().Calls(71234)
	if len(calls) != 1 || !slices.Equal(calls[0].Codes, []string{"AVAILABLE", "BLOCKED"}) {
		t.Errorf("calls %+v", calls)
	} else {
		clitest.WantText(t, "balance", e.find(t, "balance").Detail, "Correlation-Id "+calls[0].CorrelationID)
	}

	text := c.examine(t.Context(), "--no-call")
	lines := strings.Split(strings.TrimSuffix(text.out, "\n"), "\n")
	if text.code != command.ExitDone || len(lines) != len(allChecks) ||
		lines[len(lines)-1] != "nothing failed" || strings.Contains(text.out, "balance  ") {
		t.Errorf("exit code %d\n%s%s", text.code, text.out, text.err)
	}
	clitest.WantText(t, "the text", text.out, "ok    configuration        16 keys set",
		"\nok    clock                within a second")
	if all := c.sim.Simulator().CallsByContract(); len(all) != 1 || all[71234] != 1 {
		t.Errorf("calls by contract %v", all)
	}
}

// A CMS without keys, certificates and TLS is checked as far as there is something to check.
func TestDoctorOfPlainCMS(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, func(s *cmssim.Config) { *s = cmssim.Config{} })
	c.set("cms.auth.method", "", "cms.auth.key-file", "", "cms.decryption.key-files", "",
		"cms.tls.ca-file", "", "cms.tls.cert-file", "", "cms.tls.key-file", "")
	c.env = nil
	e := c.asJSON()
	if e.code != command.ExitDone || len(e.withStatus("ok")) != len(allChecks) {
		t.Errorf("exit code %d\n%s%s", e.code, e.out, e.err)
	}
	for _, name := range []string{"signing key", "decryption keys", "authorities", "client certificate", "TLS"} {
		clitest.WantText(t, name, e.find(t, name).Detail, "not used: cms.")
	}
	for _, name := range []string{"Kafka files", "admin access"} {
		clitest.WantText(t, name, e.find(t, name).Detail, "not used: ")
	}
}

// One call is one call, also where run would make a second one.
func TestDoctorDoesNotHedge(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, func(s *cmssim.Config) { s.Latency = 300 * time.Millisecond })
	c.set("cms.hedge-after", "10ms")
	if e := c.asJSON(); e.code != command.ExitDone {
		t.Errorf("exit code %d\n%s%s", e.code, e.out, e.err)
	}
	if n := c.sim.Simulator().CallsByContract()[70001]; n != 1 {
		t.Errorf("%d calls", n)
	}
}

// Through a proxy, name and connection are the proxy's; TLS, clock and call are the CMS's all the same.
func TestDoctorThroughProxy(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, nil)
	proxy := newConnectProxy(t)
	c.set("cms.proxy", "http://"+proxy.address)
	e := c.asJSON()
	if e.code != command.ExitDone || len(e.withStatus("ok")) != len(allChecks) {
		t.Errorf("exit code %d\n%s%s", e.code, e.out, e.err)
	}
	clitest.WantText(t, "DNS", e.find(t, "DNS").Detail, "proxy 127.0.0.1")
	clitest.WantText(t, "TCP", e.find(t, "TCP").Detail, "proxy 127.0.0.1: connected to "+proxy.address)
	clitest.WantText(t, "TLS", e.find(t, "TLS").Detail, `"cms.test"`)
	if n := proxy.tunnels.Load(); n != 3 { // TLS, clock, balance
		t.Errorf("%d tunnels, want 3", n)
	}
	c.set("cms.tls.ca-file", "")
	e = c.asJSON()
	if got := e.find(t, "TLS"); e.code != command.ExitFailed || got.Status != "fail" ||
		!strings.Contains(got.Detail, "unknown authority") {
		t.Errorf("exit code %d, %+v", e.code, got)
	}
}

func TestDoctorUsage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, nil)
	for name, test := range map[string]struct{ arg, want string }{
		"contract":       {"--contract=0", "--contract: is 0"},
		"contract's id":  {"--contract=x", "--contract: "},
		"codes":          {"--codes=" + strings.Repeat("x", 33), "--codes: has 33 characters"},
		"output":         {"--output=xml", `--output: "xml" is not known; write text or json`},
		"argument":       {"now", `unexpected argument "now"`},
		"flag":           {"--cms.timout=1s", "did you mean --cms.timeout?"},
		"secret by flag": {"--cms.auth.consumer-key=" + consumerKey, "BALANCEQ_CMS_AUTH_CONSUMER_KEY"},
	} {
		e := c.examine(t.Context(), test.arg)
		if e.code != command.ExitUsage || e.out != "" {
			t.Errorf("%s: exit code %d, output %q", name, e.code, e.out)
		}
		clitest.WantText(t, name, e.err, test.want)
	}
	if all := c.sim.Simulator().Stats().Connections; all != 0 {
		t.Errorf("%d connections", all)
	}
}

// Ctrl-C ends it within a check, and what was interrupted is not said to have failed.
func TestDoctorIsInterrupted(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, nil)
	c.sim.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectHang, Match: cmssim.Match{Contracts: []int64{70001}}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan *examination, 1)
	go func() { ended <- c.examine(ctx, "--cms.timeout=1m", "--cms.breaker.window=2m") }()
	kafkatest.Eventually(t, time.Minute, "the call is made",
		func() bool { return c.sim.Simulator().CallsByContract()[70001] == 1 })
	cancel()
	e := <-ended
	if e.code != command.ExitInterrupted || e.err != "" || strings.Contains(e.out, "FAIL") ||
		strings.Contains(e.out, "\nok    balance") || !strings.Contains(e.out, "\nok    clock") {
		t.Errorf("exit code %d\n%s%s", e.code, e.out, e.err)
	}
}

// The gateway repeats what was signed, with the consumer key and the address; the brokers' and the keys' passwords are
// in use; a proxy sees the login. None of it may come out, in neither format. (Every other run of doctor in these tests
// is looked at in the same way, by examine.)
func TestDoctorKeepsSecrets(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, func(s *cmssim.Config) { s.ClockOffset = 20 * time.Minute }) // too far for any signature
	for name, set := range map[string][]string{
		"refused":         nil,
		"wrong key":       {"cms.auth.key-file", w.files.at("stranger.p12")},
		"wrong password":  {"cms.decryption.key-files", w.files.at("signing.p12")}, // which another password opens
		"login to Kafka":  {"kafka.sasl.mechanism", "plain", "kafka.sasl.username", "joe"},
		"login by SCRAM":  {"kafka.sasl.mechanism", "scram-sha-512", "kafka.sasl.username", "joe"},
		"address":         {"cms.url", "https://joe:" + saslPassword + "@127.0.0.1/x"},
		"query":           {"cms.url", "https://127.0.0.1/x?key=" + consumerKey},
		"bad address":     {"cms.url", "https://joe:" + saslPassword + "%zz@127.0.0.1/x"},
		"bad proxy":       {"cms.proxy", "http://joe:" + saslPassword + "%zz@127.0.0.1:1"},
		"brokers":         {"kafka.brokers", "joe:" + saslPassword + "@127.0.0.1:9092"},
		"key for a file":  {"cms.auth.key-file", w.files.at("rubbish.p12")},
		"key for another": {"cms.tls.ca-file", w.files.at("bare.pem")},
	} {
		t.Run(name, func(t *testing.T) {
			sub := w.open(t, nil)
			sub.set("cms.url", c.sim.URL())
			sub.set(set...)
			sub.env = append(sub.env, "BALANCEQ_KAFKA_SASL_PASSWORD="+saslPassword)
			for _, format := range []string{"text", "json"} {
				if e := sub.examine(t.Context(), "--output="+format); e.code != command.ExitFailed {
					t.Errorf("exit code %d\n%s%s", e.code, e.out, e.err)
				}
			}
		})
	}
	if got := c.sim.Simulator().Stats().RefusedSignatures; got["timestamp"] == 0 || got["signature"] == 0 {
		t.Errorf("what was signed was not repeated: %v", got)
	}
}
