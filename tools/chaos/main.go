// Command chaos runs workers of balanceq against a real Kafka and a simulated CMS, does to all three what may happen to
// them, and then holds what is in Kafka against what balanceq promises.
//
//	go run ./tools/chaos --short
//	go run ./tools/chaos --mode exactly-once --nodes 3 --seed 7
//
// The workers, the simulator and Kafka are processes of their own; Kafka is in containers (BALANCEQ_TEST_KAFKA_IMAGE)
// or, with --brokers, somebody's cluster. The schedule of faults follows from --seed; when each takes effect does not,
// of course. It ends with 0 if every promise was kept, 1 if not or if it could not be found out, 2 for wrong flags.
//
// docs/RELIABILITY.md says what is checked. The oracle (evaluate) is a function of a history and knows no process and
// no Kafka; it shares no code with the program, and what is lost, repeated and out of order it asks of internal/oracle,
// as the tests do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "chaos:", err)
		return 2
	}
	if o.short {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, shortLimit)
		defer cancel()
	}
	modes := []string{o.mode}
	if o.mode == bothModes {
		modes = []string{atLeastOnce, exactlyOnce}
	}
	code := 0
	for _, o.mode = range modes {
		kept, err := perform(ctx, o, stdout, stderr)
		if err != nil {
			_, _ = fmt.Fprintln(stderr, "chaos:", err)
		}
		if err != nil || !kept {
			code = 1
		}
	}
	return code
}
