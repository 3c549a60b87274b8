package cmsclient

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// gobreaker runs OnStateChange under its mutex; an observer that asks the client back must not meet it, wherever the
// change comes from: a call's end, Admit, the timer, or BreakerOpen itself.
func TestObserverMayCallTheClient(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, obs *recorder) {
		obs.onChange = func() {
			c.BreakerOpen()
			c.Waiting()
			c.Status()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if call, err := c.Admit(ctx); err == nil {
				call.Release()
			}
		}
		breakOpen(t, c, cms)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		cms.set(always(401, ""))
		_, _ = ask(t.Context(), c, 1)
		cms.set(always(200, goodBody))
		if _, err := askUntilAnswered(t.Context(), c, 1); err != nil {
			t.Error(err)
		}
		const want = "open half-open halted closed resumed"
		if got := obs.history(); got != want {
			t.Errorf("history %q, want %q", got, want)
		}
	})
}

func TestWaitingWhileHalfOpen(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		breakOpen(t, c, cms)
		cause, changed := c.Waiting()
		if cause != CauseBreaker {
			t.Fatalf("open: %q", cause)
		}
		start := time.Now()
		<-changed
		cause, _ = c.Waiting()
		if d := time.Since(start); cause != "" || d < 10*time.Second || d > 10010*time.Millisecond {
			t.Fatalf("half-open without anybody waiting: %q after %v", cause, d)
		}
		if c.BreakerOpen() {
			t.Error("half-open counts as open")
		}
		probe, err := c.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := c.Admit(ctx)
			gone <- err
		}()
		synctest.Wait()
		if cause, changed = c.Waiting(); cause != "" || c.Status().Cause != CauseBreaker {
			t.Errorf("half-open, one waits behind the probe: blocked %q, cause %q", cause, c.Status().Cause)
		}
		cancel()
		<-gone
		_, _ = probe.Get(t.Context(), query(1))
		<-changed
		if cause, _ = c.Waiting(); cause != CauseBreaker || !c.BreakerOpen() {
			t.Errorf("open again: %q", cause)
		}
	})
}
