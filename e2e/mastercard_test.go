package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// Every form in which a key may be given, and both signatures: the CMS accepts the calls, and what it encrypts is read,
// digit by digit, errors included.
func TestMastercard(t *testing.T) {
	kafkatest.OnlyOnce(t, "keys, tokens and signatures")
	t.Parallel()
	const published = "../cmsclient/oauth1/testdata/test_key_container.p12"
	forms := map[string]struct {
		start  func(s *mastercardRig) *instance
		verify func(t *testing.T) *cmssim.Verify // nil: our own key
		expiry func(days float64) bool           // of the signing key; nil: not known
	}{
		"PKCS12 and secrets from the environment": {
			start: func(s *mastercardRig) *instance {
				return launchIn(s.t, []string{envConsumerKey + "=" + consumerKey, envPassword + "=Password1"},
					s.flags("--cms.auth.key-file="+published)...)
			},
			verify: func(t *testing.T) *cmssim.Verify {
				data, err := os.ReadFile(published)
				if err != nil {
					t.Fatal(err)
				}
				_, certificate, err := pkcs12.Decode(data, "Password1")
				if err != nil {
					t.Fatal(err)
				}
				return &cmssim.Verify{ConsumerKey: consumerKey, Key: rsaPublic(t, certificate.PublicKey)}
			},
			expiry: func(days float64) bool { return days < -1000 }, // 2019: whether it still counts is for the CMS to say
		},
		"PKCS12 and secrets from files and RSA-PSS": {
			start: func(s *mastercardRig) *instance {
				return launchIn(s.t, nil, s.signed("--cms.auth.signature=rsa-pss")...)
			},
			expiry: func(days float64) bool { return days > 99 && days <= 100 },
		},
		"PEM": {
			start: func(s *mastercardRig) *instance {
				return launchIn(s.t, nil, s.flags("--cms.auth.key-file="+s.files.putPEM("signing.pem", s.files.signing),
					"--cms.auth.consumer-key-file="+s.files.put("consumer-key", []byte(consumerKey)))...)
			},
		},
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var verify *cmssim.Verify
			if form.verify != nil {
				verify = form.verify(t)
			}
			s := newMastercardRig(t, verify)
			s.Send(asks(100, 20, 31_000)...)
			s.Send(ask(999_123, cmssim.Codes...), ask(20_401, "AVAILABLE", "NO SUCH&CODE=%2C"))
			missing := s.Send(ask(40_431, "AVAILABLE"))[0]
			in := form.start(s).await()
			s.AwaitCommitted()

			l := s.Ledger() // compares every digit with the book, and wants both correlation ids in results
			l.WantExactlyOnce()
			d := l.Dead(missing)
			if d.Reason != schemas.ReasonContractNotFound || d.CMSReasonCode != "CONTRACT_DOES_NOT_EXIST" || len(l.dead) != 1 {
				t.Errorf("%d dead letters; that of the contract that does not exist: %+v", len(l.dead), d.DeadLetterInfo)
			}
			if headersOf(d.msg)[schemas.HeaderCMSCorrelationID] == "" {
				t.Error("the dead letter lacks X-MC-Correlation-ID")
			}
			stats := s.sim.Stats()
			for cause, n := range stats.RefusedSignatures {
				if n > 0 {
					t.Errorf("%d signatures were refused: %s", n, cause)
				}
			}
			if stats.Calls == 0 || len(in.Logs("halted")) > 0 {
				t.Errorf("%d calls, and the log says %v", stats.Calls, in.Logs("halted"))
			}
			days, known := in.daysLeft("signing")
			if known != (form.expiry != nil) || known && !form.expiry(days) {
				t.Errorf("the signing key expires in %v days (known: %v)", days, known)
			}
			in.Stop()
		})
	}
}

// daysLeft returns in how many days a key expires, and whether that is known.
func (in *instance) daysLeft(key string) (days float64, known bool) {
	at, known := in.Metrics()[`balanceq_key_expiry_timestamp_seconds{key="`+key+`"}`]
	return (at - float64(time.Now().Unix())) / (24 * 60 * 60), known
}

// mishap is something that no request can be blamed for, and its cure.
type mishap struct {
	happen func(s *mastercardRig)
	cure   func(s *mastercardRig)
	cause  string // part of what the log says
	fix    string // part of what the log and /readyz say
	key    string // the one that is exchanged; "": none
}

var mishaps = map[string]mishap{
	"another signing key": {
		happen: func(s *mastercardRig) { s.files.putP12("signing.p12", s.files.stranger, 50*day, signingPassword) },
		cure:   func(s *mastercardRig) { s.files.putP12("signing.p12", s.files.signing, 200*day, signingPassword) },
		cause:  "AUTHENTICATION_FAILED", fix: "check that the consumer key and the signing key belong together",
		key: "signing",
	},
	"answers for another key": {
		happen: func(s *mastercardRig) { s.files.putPEM("decryption.pem", s.files.stranger) },
		cure:   func(s *mastercardRig) { s.files.putPEM("decryption.pem", s.files.decryption) },
		cause:  "no key opens the encrypted answer", fix: "cms.decryption.key-files", key: "decryption",
	},
	"another client certificate": {
		happen: func(s *mastercardRig) {
			s.files.check(os.Rename(s.files.at("client"), s.files.at("right")))
			s.files.putClient("wrong", s.files.newAuthority())
			s.files.link("wrong", "client")
		},
		cure:  func(s *mastercardRig) { s.files.link("right", "client") },
		cause: "certificate", fix: "(cms.tls.cert-file", key: "client-certificate",
	},
	"no entitlement": {
		happen: func(s *mastercardRig) {
			s.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusNotFound,
				Source: "Gateway", ReasonCode: "NOT_FOUND"})
		},
		cure:  func(s *mastercardRig) { s.sim.ClearFaults() },
		cause: "NOT_FOUND from Gateway", fix: "is entitled to this API",
	},
	"operation denied": {
		happen: func(s *mastercardRig) {
			s.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusForbidden})
		},
		cure:  func(s *mastercardRig) { s.sim.ClearFaults() },
		cause: "OPERATION_DENIED", fix: "ask Mastercard to enable",
	},
}

// What people have to fix halts everything and blames no request; when it is fixed, the service goes on by itself.
func TestGoesOnWhenFixed(t *testing.T) {
	kafkatest.OnlyOnce(t, "keys, tokens and signatures")
	t.Parallel()
	for name, m := range mishaps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMastercardRig(t, nil)
			flags := s.signed("--cms.probe-interval=300ms", "--cms.max-attempts=2")
			m.happen(s)
			s.Send(asks(100, 20, 32_000)...)
			missing := s.Send(ask(40_432, "AVAILABLE"))[0]
			in := launchIn(t, nil, flags...).await()
			in.eventually("it is halted", func() bool {
				return in.Metrics()["balanceq_halted"] == 1 && in.Metrics()["balanceq_cms_in_flight"] == 0
			})
			calls := in.Metrics().sum("balanceq_cms_calls_total")
			in.eventually("it probes", func() bool { return in.Metrics().sum("balanceq_cms_calls_total") >= calls+2 })
			in.eventually("/readyz is 200", in.Ready)
			h, status := in.Health()
			if status != http.StatusOK || h.Waiting != "halted" || !strings.Contains(h.Halted, m.fix) || h.Breaker != "closed" {
				t.Errorf("/readyz is %d: %+v", status, h)
			}
			said := in.Logged("halted:")
			if len(said) != 1 || said[0].text("level") != "error" ||
				!strings.Contains(said[0].text("error"), m.cause) || !strings.Contains(said[0].text("error"), m.fix) {
				t.Errorf("the log says %v", said)
			}
			if n := s.written(s.deadletters) + s.written(s.results); n != 0 {
				t.Errorf("%d outcomes while halted", n)
			}

			fixed := time.Now()
			m.cure(s)
			s.AwaitCommitted()
			if took := time.Since(fixed); took > time.Minute {
				t.Errorf("it took %v to go on", took)
			}
			l := s.Ledger()
			l.WantExactlyOnce()
			if d := l.Dead(missing); d.Reason != schemas.ReasonContractNotFound || len(l.dead) != 1 {
				t.Errorf("%d dead letters; that of the contract that does not exist: %+v", len(l.dead), d.DeadLetterInfo)
			}
			m.wantFixed(s, in)
			in.Stop()
		})
	}
}

// wantFixed checks what is said afterwards.
func (m mishap) wantFixed(s *mastercardRig, in *instance) {
	s.t.Helper()
	in.eventually("it is not halted any more", func() bool {
		h, _ := in.Health()
		return h.Halted == "" && h.Waiting == ""
	})
	if again, errs := in.Logged("no longer halted"), in.Logs("halted:"); len(again) != 1 || len(errs) != 1 {
		s.t.Errorf("the log says %v and %v", errs, again)
	}
	in.wantInForce(m.key)
	days, _ := in.daysLeft("signing")
	want := 100.0
	if m.key == "signing" {
		want = 200
	}
	if days <= want-1 || days > want {
		s.t.Errorf("the signing key expires in %v days, want %v", days, want)
	}
}

// wantInForce wants the log to say that this one key was exchanged, or none for "", and that no key fails.
func (in *instance) wantInForce(key string) {
	in.t.Helper()
	const inForce = "a new key is in force"
	if key != "" {
		in.Logged(inForce)
	}
	var exchanged []string
	for _, line := range in.Logs(inForce) {
		exchanged = append(exchanged, line.text("key"))
	}
	if got := strings.Join(exchanged, ","); got != key {
		in.t.Errorf("the log says that %q was exchanged, want %q", got, key)
	}
	if failing := in.Metrics().sum("balanceq_key_failing"); failing != 0 {
		in.t.Errorf("balanceq_key_failing adds up to %v", failing)
	}
}

// A file that becomes rubbish while the service runs is said, and changes nothing else.
func TestRubbishInPlaceOfAKey(t *testing.T) {
	kafkatest.OnlyOnce(t, "keys, tokens and signatures")
	t.Parallel()
	s := newMastercardRig(t, nil)
	in := launchIn(t, nil, s.signed()...).await()
	s.Send(asks(20, 10, 33_000)...)
	s.AwaitCommitted()
	right, err := os.ReadFile(s.files.at("signing.p12"))
	s.files.check(err)
	s.files.put("signing.p12", right[:len(right)/2])
	in.eventually("the key fails", func() bool { return in.Metrics()[`balanceq_key_failing{key="signing"}`] == 1 })
	said := in.Logged("the one before stays in force")
	if len(said) != 1 || said[0].text("level") != "error" || said[0].text("key") != "signing" ||
		!strings.Contains(said[0].text("error"), "cms.auth.key-file (signing.p12)") {
		t.Errorf("the log says %v", said)
	}
	status, body := in.get("/readyz")
	if status != http.StatusOK || !strings.Contains(string(body), `"keysFailing":"cms.auth.key-file`) {
		t.Errorf("/readyz is %d: %s", status, body)
	}
	if failing := in.Metrics().sum("balanceq_key_failing"); failing != 1 {
		t.Errorf("balanceq_key_failing adds up to %v", failing)
	}
	s.Send(asks(100, 20, 33_000)...)
	s.AwaitCommitted()
	s.files.putP12("signing.p12", s.files.signing, 200*day, signingPassword)
	in.eventually("no key fails", func() bool { return in.Metrics().sum("balanceq_key_failing") == 0 })
	in.wantInForce("signing")
	s.Send(asks(20, 10, 33_000)...)
	s.AwaitCommitted()
	l := s.Ledger()
	l.WantExactlyOnce()
	l.WantNoDeadLetters()
	if said := in.Logs("halted"); len(said) > 0 {
		t.Errorf("the log says %v", said)
	}
	in.Stop()
}
