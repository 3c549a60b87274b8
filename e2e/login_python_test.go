package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/rights"
)

// envLibrdkafka names a Python that has confluent-kafka, for the test that needs one: make login.
const envLibrdkafka = "BALANCEQ_TEST_LIBRDKAFKA"

// The very token by which run reads and writes is taken from another client library, too: what it publishes is
// answered, and it reads the result.
func TestTokenOfAnotherClient(t *testing.T) {
	python := os.Getenv(envLibrdkafka)
	if python == "" {
		t.Skip("make login runs it")
	}
	t.Parallel()
	r := newGuardedRig(t, 1, time.Hour)
	file := filepath.Join(t.TempDir(), "token")
	kafkatest.Write(t, file, r.guard.Tokens.Token(r.user, time.Hour))
	connection := append(r.reach("TLS", kafkatest.LoginTLS), "--kafka.sasl.mechanism=oauthbearer",
		"--kafka.sasl.oauth.token-file="+file)
	r.allow("at-least-once", rights.Run, rights.Request)
	in := launch(t, r.as(connection, "run")...).await()
	cmd := exec.CommandContext(t.Context(), python, "testdata/librdkafka.py", r.guard.Address(kafkatest.LoginTLS),
		r.certs.CA, file, r.requests, r.results, r.group)
	cmd.Stdin, cmd.Stderr = strings.NewReader(`{"contractId":"70001","balanceCodes":["AVAILABLE"]}`), os.Stderr
	result, err := cmd.Output()
	if err != nil || !strings.Contains(string(result), `"AVAILABLE"`) {
		t.Errorf("librdkafka got %q, %v", result, err)
	}
	in.Stop()
	in.wantNoWarning()
}
