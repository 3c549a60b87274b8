// Command bench measures balanceq as a whole process: it starts a simulator, makes topics, preloads or paces requests, runs
// the program beside it and reads the results topic with a client library of another make.
//
//	go run ./internal/bench --brokers 127.0.0.1:9092 --mode batch --latency 20ms
//
// Without --brokers it starts an embedded broker in its own process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"balanceq/cmssim"

	"github.com/twmb/franz-go/pkg/kfake"
)

// options are the flags.
type options struct {
	mode      string
	binary    string
	brokers   string
	n         int
	rate      int
	duration  time.Duration
	latency   time.Duration
	contracts int
	parts     int
	inFlight  int
	coalesce  bool
	random    bool
	hot       bool
	sign      bool
	outage    time.Duration
	killAfter time.Duration
	extra     string
	keepLogs  bool
}

func main() {
	var o options
	flag.StringVar(&o.mode, "mode", "batch", "batch, rate, kill or outage")
	flag.StringVar(&o.binary, "binary", "bin/balanceq", "program to measure")
	flag.StringVar(&o.brokers, "brokers", "", "cluster to use; empty: an embedded broker")
	flag.IntVar(&o.n, "n", 100_000, "requests to preload (batch, kill)")
	flag.IntVar(&o.rate, "rate", 300, "requests a second (rate)")
	flag.DurationVar(&o.duration, "duration", 20*time.Second, "how long to pace (rate)")
	flag.DurationVar(&o.latency, "latency", 20*time.Millisecond, "latency of the CMS")
	flag.IntVar(&o.contracts, "contracts", 1000, "contracts that requests are spread over")
	flag.BoolVar(&o.random, "random", false, "pick contracts at random instead of in turn, so that requests for one contract come close together")
	flag.BoolVar(&o.hot, "hot", false, "90 % of the requests are for 1 % of the contracts")
	flag.BoolVar(&o.sign, "sign", false, "sign the calls with a key of 2048 bits made for this run")
	flag.DurationVar(&o.outage, "outage", time.Minute, "how long the CMS is down while all requests wait (outage)")
	flag.IntVar(&o.parts, "partitions", 12, "partitions of each topic")
	flag.IntVar(&o.inFlight, "in-flight", 256, "cms.max-in-flight")
	flag.BoolVar(&o.coalesce, "coalesce", false, "cms.coalesce")
	flag.DurationVar(&o.killAfter, "kill-after", 4*time.Second, "kill -9 this long after the first result (kill)")
	flag.StringVar(&o.extra, "flags", "", "further flags for the program, separated by spaces")
	flag.BoolVar(&o.keepLogs, "logs", false, "show the program's log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.brokers == "" {
		broker, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return fmt.Errorf("starting the embedded broker: %w", err)
		}
		defer broker.Close()
		o.brokers = broker.ListenAddrs()[0]
	}
	sim, err := cmssim.Listen("127.0.0.1:0", cmssim.Config{Latency: o.latency})
	if err != nil {
		return err
	}
	defer func() { _ = sim.Close() }() // the process ends anyway
	b, err := newBench(ctx, o, sim)
	if err != nil {
		return err
	}
	defer b.close()
	switch o.mode {
	case "batch":
		return b.batch(ctx)
	case "rate":
		return b.pace(ctx)
	case "kill":
		return b.kill(ctx)
	case "outage":
		return b.down(ctx)
	}
	return errors.New("--mode: batch, rate, kill or outage")
}
