package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	modes     []string
	delivery  string
	rounds    int
	binary    string
	brokers   string
	kafka     string
	n         int
	rate      int
	duration  time.Duration
	latency   time.Duration
	contracts int
	refused   int // one contract in so many is refused; 0: none
	parts     int
	inFlight  int
	coalesce  bool
	random    bool
	hot       bool
	sign      bool
	outage    time.Duration
	killAfter time.Duration
	instances string
	flags     []string // of the program, besides this process's
	keepLogs  bool
}

const (
	modeBatch   = "batch"
	modeRate    = "rate"
	modeKill    = "kill"
	modeOutage  = "outage"
	modeGroup   = "group"
	modeLetters = "deadletters"

	atLeastOnce = "at-least-once"
	exactlyOnce = "exactly-once"
	both        = "both"

	static  = "static"
	dynamic = "dynamic"
)

// What is usual where a group is measured: a fast CMS and steady traffic in each partition, so that a pause is the
// group's.
const (
	groupRate    = 480
	groupLatency = time.Millisecond
)

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	modes := flags.String("mode", modeBatch,
		"batch, rate, kill, outage, group or deadletters; several, separated by commas, are measured one after the other")
	flags.StringVar(&o.delivery, "delivery", atLeastOnce,
		"at-least-once, exactly-once, or both in turn and compared (batch, rate)")
	flags.IntVar(&o.rounds, "rounds", 3,
		"how often both are measured, after a round that does not count (--delivery both)")
	flags.StringVar(&o.binary, "binary", "bin/balanceq", "program to measure")
	flags.StringVar(&o.brokers, "brokers", "", "cluster to use; empty: an embedded broker")
	flags.StringVar(&o.kafka, "kafka", "", "image of Kafka to start a broker of in a container")
	flags.IntVar(&o.n, "n", 100_000, "requests to preload (batch, kill, outage), dead letters (deadletters)")
	flags.IntVar(&o.rate, "rate", 300, fmt.Sprintf("requests a second (rate, group: %d)", groupRate))
	flags.DurationVar(&o.duration, "duration", 20*time.Second, "how long to pace (rate)")
	flags.DurationVar(&o.latency, "latency", 20*time.Millisecond,
		fmt.Sprintf("latency of the CMS (group: %v)", groupLatency))
	flags.IntVar(&o.contracts, "contracts", 1000, "contracts that requests are spread over")
	flags.IntVar(&o.refused, "refused", 0,
		"one contract in so many is answered with a gateway's 404; 0: none (batch, rate)")
	flags.BoolVar(&o.random, "random", false,
		"pick contracts at random instead of in turn, so that requests for one contract come close together")
	flags.BoolVar(&o.hot, "hot", false, "90 % of the requests are for 1 % of the contracts")
	flags.BoolVar(&o.sign, "sign", false, "sign the calls with a key of 2048 bits made for this run")
	flags.DurationVar(&o.outage, "outage", time.Minute, "how long the CMS is down while all requests wait (outage)")
	flags.IntVar(&o.parts, "partitions", 12, "partitions of each topic")
	flags.IntVar(&o.inFlight, "in-flight", 256, "cms.max-in-flight")
	flags.BoolVar(&o.coalesce, "coalesce", false, "cms.coalesce")
	flags.DurationVar(&o.killAfter, "kill-after", 4*time.Second, "kill -9 this long after the first result (kill)")
	flags.StringVar(&o.instances, "instances", dynamic,
		"members of the group: static (each with its kafka.instance-id) or dynamic (group)")
	flags.BoolVar(&o.keepLogs, "logs", false, "show the program's log")
	flags.Func("flag", "further flag of the program, `key=value`; may be given several times", func(s string) error {
		o.flags = append(o.flags, "--"+strings.TrimLeft(s, "-"))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.modes = strings.Split(*modes, ",")
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if slices.Contains(o.modes, modeGroup) && !given["rate"] {
		o.rate = groupRate
	}
	if slices.Contains(o.modes, modeGroup) && !given["latency"] {
		o.latency = groupLatency
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: there are only flags", flags.Arg(0))
	}
	return o, o.check()
}

func (o options) check() error {
	for _, mode := range o.modes {
		switch {
		case !slices.Contains([]string{modeBatch, modeRate, modeKill, modeOutage, modeGroup, modeLetters}, mode):
			return fmt.Errorf("--mode: %q is neither batch, rate, kill, outage, group nor deadletters", mode)
		case mode == modeGroup && len(o.modes) > 1:
			return errors.New("--mode: group is measured alone, at a rate and a latency of its own")
		case o.delivery == both && mode != modeBatch && mode != modeRate:
			return fmt.Errorf("--delivery both: only batch and rate are compared, not %s", mode)
		}
	}
	switch {
	case !slices.Contains([]string{atLeastOnce, exactlyOnce, both}, o.delivery):
		return fmt.Errorf("--delivery: %q is neither %s, %s nor %s", o.delivery, atLeastOnce, exactlyOnce, both)
	case o.instances != static && o.instances != dynamic:
		return fmt.Errorf("--instances: %q is neither %s nor %s", o.instances, static, dynamic)
	case o.kafka != "" && o.brokers != "":
		return errors.New("--kafka and --brokers: give one of them")
	case o.refused < 0 || o.refused > o.contracts:
		return errors.New("--refused: must be from 0 to --contracts")
	case min(o.rounds, o.n, o.rate, o.contracts, o.parts, o.inFlight) < 1:
		return errors.New("--rounds, --n, --rate, --contracts, --partitions, --in-flight: must be >0")
	}
	return nil
}
