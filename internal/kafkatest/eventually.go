package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// The pause between two looks grows from the first to the last.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// attemptTimeout bounds one look, so that a broker that does not answer costs one and not all of them.
const attemptTimeout = 10 * time.Second

// Eventually waits until cond is true, and fails the test with "what" if that takes longer than within. It calls cond
// on the test's own goroutine, at least once, and again and again with short pauses.
func Eventually(tb testing.TB, within time.Duration, what string, cond func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for pause := firstPause; !cond(); pause = min(2*pause, lastPause) {
		if !wait.Sleep(ctx, pause) {
			tb.Fatalf("not within %v: %s", within, what)
		}
	}
}

// final marks an error that waiting does not cure.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// poll calls try until it returns nil or a final error, and returns its last error if ctx ends before.
func poll(ctx context.Context, try func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := try(attempt)
		cancel()
		if _, end := errors.AsType[final](err); err == nil || end {
			return err
		}
		if !wait.Sleep(ctx, pause) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
