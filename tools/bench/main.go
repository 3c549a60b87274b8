// Command bench measures balanceq as a whole process: it starts a simulator, makes topics, preloads or paces requests,
// runs the program beside it and reads the results topic with a client library of another make.
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
	"syscall"
)

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, o, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
