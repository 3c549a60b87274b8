// Command bench measures balanceq as a whole process: it starts a stub of the CMS, makes topics, preloads or paces
// requests, runs the program beside it and reads the results topic with a client library of another make.
//
//	go run ./tools/bench --brokers 127.0.0.1:9092 --mode batch --latency 20ms
//	go run ./tools/bench --kafka apache/kafka:4.3.1 --mode batch,rate --delivery both
//	go run ./tools/bench --kafka apache/kafka:4.3.1 --mode group --instances static --flag kafka.session-timeout=6s
//
// --kafka starts a broker in a container; without it and without --brokers, there is an embedded broker in its own
// process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

func main() {
	err := command(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == callsCommand {
		return calls(ctx, args[1:], os.Stdout)
	}
	if len(args) > 0 && args[0] == asksCommand {
		return askAll(ctx, args[1:], os.Stdout)
	}
	o, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	return profiled(o.profile, func() error { return run(ctx, o, os.Stdout) })
}

// profiled runs f and writes a CPU profile of it, if there is a name for one.
func profiled(name string, f func() error) error {
	if name == "" {
		return f()
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}
