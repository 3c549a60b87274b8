//go:build unix

package interrupt

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A second signal that comes at the very moment at which the program hears of the first one ends it.
func TestSecondSignal(t *testing.T) {
	const inChild = "BALANCEQ_TEST_INTERRUPTED"
	if os.Getenv(inChild) != "" {
		ctx := Context(syscall.SIGTERM)
		for range 2 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
		}
		<-time.After(time.Minute)
		return
	}
	for range 20 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondSignal$")
		child.Env = append(os.Environ(), inChild+"=1")
		exit, ok := errors.AsType[*exec.ExitError](child.Run())
		if !ok {
			t.Fatal("it was not ended by the second signal")
		}
		if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
			t.Fatalf("it ended with %v", exit)
		}
	}
}
