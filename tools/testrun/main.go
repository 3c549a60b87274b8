// Command testrun runs go test with the given arguments. It says first which broker the tests will use and about how
// long that takes; then a line a package, as go test does, and everything that failed; and last what was skipped, and
// why.
//
//	go run ./tools/testrun [-unit] [-slowest N] -- GO-TEST-ARGUMENTS
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// usual is about how long all tests take on two cores.
var usual = map[string]string{
	kafkatest.KindEmbedded:  "about 3 minutes",
	kafkatest.KindContainer: "about 8 minutes",
	kafkatest.KindExternal:  "about 8 minutes, longer on a distant cluster",
}

func main() {
	unit := flag.Bool("unit", false, "run only what needs no broker (go test -short)")
	slowest := flag.Int("slowest", 0, "show the `N` tests that took longest")
	flag.Parse()
	if err := run(*unit, *slowest, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
}

func run(unit bool, slowest int, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if unit {
		_, _ = fmt.Fprintln(os.Stdout,
			"Tests that need no broker, about 30 seconds on two cores (building them comes on top)")
		args = append([]string{"-short"}, args...)
	} else {
		kind, broker, err := kafkatest.Describe(ctx)
		if err != nil {
			return err
		}
		took := usual[kind]
		if slices.Contains(args, "-race") {
			took += ", twice that under the race detector,"
		}
		_, _ = fmt.Fprintf(os.Stdout, "Broker: %s\nAll tests take %s on two cores (building them comes on top)\n",
			broker, took)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test passes it on, and tests clean up
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting go test: %w", err)
	}
	r := newReport(os.Stdout)
	if err := r.read(events); err != nil {
		return errors.Join(err, cmd.Wait())
	}
	r.end(slowest)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return nil
}
