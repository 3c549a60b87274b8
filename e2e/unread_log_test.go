package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// Whatever takes the log may hang, or go away: requests are answered all the same.
func TestLogThatIsNotRead(t *testing.T) {
	kafkatest.OnlyOnce(t, "where the log goes")
	t.Parallel()
	for name, away := range map[string]bool{"hangs": false, "has gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{})
			r.Send(make([]kafka.Message, 1000)...) // each is a line, and so a pipe is full soon
			r.Send(asks(100, 10, 1000)...)
			path, err := program()
			if err != nil {
				t.Fatal(err)
			}
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			if away {
				_ = read.Close()
			}
			cmd := exec.CommandContext(t.Context(), path, r.flags()...) // at level debug
			cmd.Stderr, cmd.SysProcAttr = write, diesWithUs()
			cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BALANCEQ_") })
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = write.Close()
			r.AwaitCommitted()
			r.Ledger().WantExactlyOnce()
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
