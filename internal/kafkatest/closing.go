package kafkatest

import (
	"context"
	"testing"
	"time"
)

// Deadline is a context for what a test waits for. It ends so much later, or with the test.
func Deadline(tb testing.TB, within time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	tb.Cleanup(cancel)
	return ctx
}

// Closing closes a client with the test.
func Closing[C interface{ Close() }](tb testing.TB, client C) C {
	tb.Helper()
	tb.Cleanup(client.Close)
	return client
}
