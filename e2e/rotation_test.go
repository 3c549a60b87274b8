package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/rights"
)

// A secret that is exchanged in its file is used from then on, without a restart: the broker, or the authorization
// server, takes no other any more.
func TestSecretsExchanged(t *testing.T) {
	kafkatest.OnlyOnce(t, "when a file is read")
	t.Parallel()
	const another = "guarded-0816"
	for name, test := range map[string]struct {
		mechanism string
		by        kafkatest.Listener
		exchange  func(*guardedRig)
	}{
		"password": {"SCRAM-SHA-512", kafkatest.Login, func(r *guardedRig) {
			r.guard.SetPassword(r.t, r.user, another)
			kafkatest.Write(r.t, r.secret, another)
		}},
		"client secret": {"OAUTHBEARER", kafkatest.Login, func(r *guardedRig) {
			r.tokens.Secret.Store(another)
			kafkatest.Write(r.t, r.secret, another)
		}},
		// Connections by a certificate do not end with it. That of another user shows which one is in use.
		"certificate": {"mTLS", kafkatest.MutualTLS, func(r *guardedRig) {
			former := r.user
			r.user = "next-" + former
			r.allow("at-least-once", rights.Run)
			r.guard.CA.Renew(r.t, r.certs, r.user, inMonths())
			for _, right := range rights.For(r.config("at-least-once"), rights.Run) {
				r.guard.Disallow(r.t, former, acl(right))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const tokenLife = 3 * time.Second
			r := newGuardedRig(t, 2, tokenLife)
			connection := r.reach(test.mechanism, test.by)
			r.allow("at-least-once", rights.Run)
			in := launch(t, r.as(connection, "run")...).await()
			in.eventually("the instance is ready", in.Ready)
			r.Send(asks(10, 10, 40_000)...)
			r.AwaitCommitted()
			test.exchange(r)
			r.sendFor(2*max(tokenLife, kafkatest.LoginLifetime), 20) // until no login by the former one lasts
			r.AwaitCommitted()
			in.Stop()
			l := r.Ledger()
			l.WantNothingLost()
			l.WantNoDeadLetters()
		})
	}
}

// While the authorization server is away the last token serves on, and the instance says so before that has expired.
// Then requests wait, and go on when there are tokens again.
func TestTokenServerAway(t *testing.T) {
	kafkatest.OnlyOnce(t, "when a token is fetched")
	t.Parallel()
	r := newGuardedRig(t, 2, 8*time.Second)
	connection := r.reach("OAUTHBEARER", kafkatest.Login)
	r.allow("at-least-once", rights.Run)
	in := launch(t, r.as(connection, "run")...).await()
	in.eventually("the instance is ready", in.Ready)
	says := func(words string) bool {
		_, body := in.get("/readyz")
		return strings.Contains(string(body), words)
	}
	r.tokens.Down.Store(true)
	in.eventually("/readyz says that no token can be had, and until when there is one", func() bool {
		r.Send(asks(5, 5, 40_000)...)
		return says(`"tokenFailing":"fetching a token for Kafka: the authorization server answers HTTP 503; the last one expires `)
	})
	in.eventually("the metric says so, too", func() bool {
		m := in.Metrics()
		return m["balanceq_kafka_token_failing"] == 1 && m["balanceq_kafka_token_expiry_timestamp_seconds"] > 0
	})
	refuses(t, nil, r.as(connection, "doctor", "--no-call"), "FAIL  Kafka", "the authorization server answers HTTP 503",
		"check kafka.sasl.oauth")
	in.eventually("the last token has expired", func() bool {
		return in.Metrics()["balanceq_kafka_token_expiry_timestamp_seconds"] < float64(time.Now().Unix())
	})
	r.Send(asks(20, 5, 50_000)...)
	r.tokens.Down.Store(false)
	r.AwaitCommitted()
	in.eventually("/readyz says no longer that tokens fail", func() bool { return in.Ready() && !says("tokenFailing") })
	in.Stop()
	l := r.Ledger()
	l.WantNothingLost()
	l.WantNoDeadLetters()
}
