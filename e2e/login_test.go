package e2e

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/rights"
)

// The long form of TestLoginsThatEnd, as docs/kafka-security.md has it.
var (
	loginsFor  = flag.Duration("logins", 12*time.Second, "how long TestLoginsThatEnd sends requests")
	loginsRate = flag.Int("logins.rate", 40, "how many a second")
)

// A user who is known by a certificate, a password or a token, with the rights that package rights lists and no others,
// is content with doctor, and has a request answered by run.
func TestMechanisms(t *testing.T) {
	t.Parallel()
	for _, mechanism := range mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			r := newGuardedRig(t, 1, time.Hour)
			connection := r.reach(mechanism, listener(mechanism))
			r.allow("at-least-once", rights.Run, rights.Request)
			if said := works(t, r.as(connection, "doctor", "--no-call")); strings.Contains(said, "warn ") {
				t.Errorf("doctor is not content: %s", said)
			}
			in := launch(t, r.as(connection, "run")...).await()
			in.eventually("the instance is ready", in.Ready)
			said := works(t, r.as(connection, "request", "--contract=70001", "--codes=AVAILABLE", "--wait"))
			if !strings.Contains(said, "1 answered") && !strings.Contains(said, "70001") {
				t.Errorf("request said %s", said)
			}
			in.Stop()
			in.wantNoWarning()
		})
	}
}

// Logins that brokers end, and tokens that expire, every few seconds: all requests are answered once, and nothing is
// said of it.
func TestLoginsThatEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mechanism, delivery string }{
		{"PLAIN", "at-least-once"}, {"SCRAM-SHA-512", "at-least-once"}, {"OAUTHBEARER", "at-least-once"},
		{"OAUTHBEARER", "exactly-once"},
	} {
		t.Run(c.mechanism+" "+c.delivery, func(t *testing.T) {
			t.Parallel()
			tokenLife := min(10*time.Second, *loginsFor/2)
			r := newGuardedRig(t, 4, tokenLife)
			connection := r.reach(c.mechanism, kafkatest.Login)
			r.allow(c.delivery, rights.Run)
			in := launch(t, r.as(connection, "run", "--delivery="+c.delivery)...).await()
			in.eventually("the instance is ready", in.Ready)
			r.sendFor(*loginsFor, *loginsRate)
			r.AwaitCommitted()
			in.Stop()
			l := r.Ledger()
			l.WantNothingLost()
			l.WantNoDeadLetters()
			l.WantExactlyOnce()
			in.wantNoWarning()
			t.Logf("%d requests in %v: 0 lost, 0 repeated, 0 dead letters, 0 warnings; %d tokens of %v", len(r.sent),
				*loginsFor, r.tokens.Asked.Load(), tokenLife)
			if c.mechanism == "OAUTHBEARER" && r.tokens.Asked.Load() < int64(*loginsFor/tokenLife) {
				t.Errorf("%d tokens were asked for", r.tokens.Asked.Load())
			}
		})
	}
}

// sendFor sends requests for that long, so many a second.
func (r *rig) sendFor(length time.Duration, rate int) {
	const steps = 4 // a second
	tick := time.NewTicker(time.Second / steps)
	defer tick.Stop()
	began := time.Now()
	for time.Since(began) < length {
		<-tick.C
		r.Send(asks(rate/steps, 200, 40_000)...)
	}
}

// wantNoWarning wants nothing at level warn or error since the instance is in the group: before that the brokers make
// their internal topics. That a broker which got no processor has answered late is shown and no failure.
func (in *instance) wantNoWarning() {
	in.t.Helper()
	joined := in.Logs("joined the consumer group")[0].time()
	for _, line := range in.Logs("") {
		switch level := line.text("level"); {
		case level != "warn" && level != "error" || !line.time().After(joined):
		case line.isOfLateAnswers():
			in.t.Logf("said %v", line)
		default:
			in.t.Errorf("said %v", line)
		}
	}
}

// isOfLateAnswers says that a broker has not answered in time, and nothing else. One that refuses a login or ends it
// says so, or closes the connection; it never lets a client wait.
func (l logLine) isOfLateAnswers() bool {
	for why := range strings.Lines(strings.ToLower(l.text("error"))) {
		late := strings.Contains(why, "i/o timeout") || strings.Contains(why, "deadline exceeded")
		login := strings.Contains(why, "sasl") || strings.Contains(why, "token") || strings.Contains(why, "authenti")
		if !late || login {
			return false
		}
	}
	return l.text("error") != ""
}

func TestIsOfLateAnswers(t *testing.T) {
	t.Parallel()
	for why, want := range map[string]bool{
		"": false, "read tcp 127.0.0.1:1->127.0.0.1:2: i/o timeout": true, "context deadline exceeded": true,
		"i/o timeout\ncontext deadline exceeded": true, "i/o timeout\nEOF": false, "EOF": false,
		"asking for a token: i/o timeout": false, "[58] SASL Authentication Failed": false,
	} {
		if got := (logLine{"error": why}).isOfLateAnswers(); got != want {
			t.Errorf("%q: %t", why, got)
		}
	}
}
