package kafkatest

import (
	"os"
	"testing"
)

// envAgain says that all tests have run on a broker of another version already.
const envAgain = "BALANCEQ_TEST_AGAIN"

// OnlyOnce is for a test that would find nothing new on a second version of the broker: it skips the test where
// BALANCEQ_TEST_AGAIN is set (make test-integration). Why says what the test is about instead, e.g. "what the command
// prints".
func OnlyOnce(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv(envAgain) != "" {
		tb.Skip("does not depend on the broker's version: " + why)
	}
}

// needsBroker skips the test in a run without brokers (go test -short, make test-unit).
func needsBroker(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs a broker")
	}
}
