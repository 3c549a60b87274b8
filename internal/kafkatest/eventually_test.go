package kafkatest

import (
	"fmt"
	"testing"
	"time"
)

// failing records that a test would have failed, and ends its goroutine as Fatal does.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

func TestEventuallyFails(t *testing.T) {
	t.Parallel()
	tb := &failing{TB: t}
	looks := 0
	func() {
		defer func() { _ = recover() }()
		Eventually(tb, 50*time.Millisecond, "pigs fly", func() bool { looks++; return false })
	}()
	if tb.message != "not within 50ms: pigs fly" || looks < 2 {
		t.Errorf("message %q after %d looks", tb.message, looks)
	}
	Eventually(t, 0, "it is true at once", func() bool { return true })
}
