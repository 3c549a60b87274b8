package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
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
	simulator bool
	traced    float64 // share of the requests that are sampled; below 0: none has a trace context
	receiver  bool    // of traces
	outage    time.Duration
	killAfter time.Duration
	instances string
	busy      int
	stall     string   // only this one; "": all
	flags     []string // of the program, besides this process's
	keepLogs  bool
	peers     []contender // to be compared, in rounds
	peer      contender   // of this measurement; the zero value is balanceq as the other flags say
	scenarios []scenario
	seconds   time.Duration
	kept      string
	report    string
	profile   string // file for a CPU profile of this process
	asking    string // the same of the process that asks
}

const (
	modeBatch     = "batch"
	modeRate      = "rate"
	modeKill      = "kill"
	modeOutage    = "outage"
	modeGroup     = "group"
	modeLetters   = "deadletters"
	modeIdle      = "idle"
	modeScale     = "scale"
	modeStalls    = "stalls"
	modeTransport = "transport"
	modeStart     = "start"
	modeAsk       = "ask"

	atLeastOnce = "at-least-once"
	exactlyOnce = "exactly-once"
	both        = "both"

	static  = "static"
	dynamic = "dynamic"
)

var allModes = []string{modeBatch, modeRate, modeKill, modeOutage, modeGroup, modeLetters, modeIdle, modeScale,
	modeStalls, modeTransport, modeStart, modeAsk}

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
		strings.Join(allModes, ", ")+"; several, separated by commas, are measured one after the other")
	flags.StringVar(&o.delivery, "delivery", atLeastOnce,
		"at-least-once, exactly-once, or both in turn and compared (batch, rate)")
	flags.IntVar(&o.rounds, "rounds", 3,
		"how often both are measured, after a round that does not count (--delivery both); how often to measure (stalls, "+
			"start)")
	flags.StringVar(&o.binary, "binary", "bin/balanceq", "program to measure")
	flags.StringVar(&o.brokers, "brokers", "", "cluster to use; empty: an embedded broker")
	flags.StringVar(&o.kafka, "kafka", "", "image of Kafka to start a broker of in a container")
	flags.IntVar(&o.n, "n", 100_000,
		"requests to preload (batch, kill, outage), calls (transport), dead letters (deadletters)")
	flags.IntVar(&o.rate, "rate", 300, fmt.Sprintf("requests a second (rate, ask, group: %d)", groupRate))
	flags.DurationVar(&o.duration, "duration", 20*time.Second, "how long to pace (rate, ask), to look (idle, scale)")
	flags.IntVar(&o.busy, "busy", 0, "partitions that get --rate requests a second together; 0: none (idle)")
	flags.DurationVar(&o.latency, "latency", 20*time.Millisecond,
		fmt.Sprintf("latency of the CMS (group: %v)", groupLatency))
	flags.IntVar(&o.contracts, "contracts", 1000, "contracts that requests are spread over")
	flags.IntVar(&o.refused, "refused", 0,
		"one contract in so many is answered with a gateway's 404; 0: none (batch, rate)")
	flags.BoolVar(&o.random, "random", false,
		"pick contracts at random instead of in turn, so that requests for one contract come close together")
	flags.BoolVar(&o.hot, "hot", false, "90 % of the requests are for 1 % of the contracts")
	flags.BoolVar(&o.sign, "sign", false, "sign the calls with a key of 2048 bits made for this run")
	flags.BoolVar(&o.simulator, "simulator", false,
		"call cms-sim's simulator where the stub, which costs less, would do")
	o.tracing(flags)
	flags.StringVar(&o.stall, "stall", "", "only the stall of this name (stalls)")
	flags.DurationVar(&o.outage, "outage", time.Minute, "how long the CMS is down while all requests wait (outage)")
	flags.IntVar(&o.parts, "partitions", 12, "partitions of each topic")
	flags.IntVar(&o.inFlight, "in-flight", 256, "cms.max-in-flight")
	flags.BoolVar(&o.coalesce, "coalesce", false, "cms.coalesce")
	flags.DurationVar(&o.killAfter, "kill-after", 4*time.Second, "kill -9 this long after the first result (kill)")
	flags.StringVar(&o.instances, "instances", dynamic,
		"members of the group: static (each with its kafka.instance-id) or dynamic (group)")
	flags.BoolVar(&o.keepLogs, "logs", false, "show the program's log")
	o.profiling(flags)
	flags.Func("flag", "further flag of the program, `key=value`; may be given several times", func(s string) error {
		o.flags = append(o.flags, "--"+strings.TrimLeft(s, "-"))
		return nil
	})
	peers := flags.String("peers", "",
		"compare these in rounds, by turns: all, or names separated by commas (tools/bench/peers)")
	compared := flags.String("scenarios", "batch-0,batch-20,rate-300,rate-2000", "what they are compared in (--peers)")
	flags.DurationVar(&o.seconds, "seconds", 5*time.Second, "what a run takes, about (--peers)")
	flags.StringVar(&o.kept, "kept", filepath.Join(peersBin, "runs.json"),
		"`file` that keeps the runs of each scenario for the report (--peers)")
	flags.StringVar(&o.report, "report", "",
		"`file` whose generated part is made of the kept runs of all scenarios (--peers)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if err := o.compare(*peers, *compared); err != nil {
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

func (o *options) profiling(flags *flag.FlagSet) {
	flags.StringVar(&o.profile, "harness-profile", "",
		"`file` for a CPU profile of broker, CMS and reader, all in this process")
	flags.StringVar(&o.asking, "asking-profile", "", "`file` for a CPU profile of the process that asks (ask)")
}

// compare reads what contenders are to be compared in.
func (o *options) compare(peers, compared string) (err error) {
	if peers == "" {
		return nil
	}
	if o.peers, err = choose(peers); err != nil {
		return err
	}
	o.scenarios, err = chooseScenarios(compared)
	return err
}

func (o options) check() error {
	for _, mode := range o.modes {
		switch {
		case !slices.Contains(allModes, mode):
			return fmt.Errorf("--mode: %q is none of %s", mode, strings.Join(allModes, ", "))
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
	case o.traced > 1:
		return errors.New("--traced: is a share: at most 1")
	case o.busy < 0 || o.busy > o.parts:
		return errors.New("--busy: must be from 0 to --partitions")
	case o.refused < 0 || o.refused > o.contracts:
		return errors.New("--refused: must be from 0 to --contracts")
	case min(o.rounds, o.n, o.rate, o.contracts, o.parts, o.inFlight) < 1:
		return errors.New("--rounds, --n, --rate, --contracts, --partitions, --in-flight: must be >0")
	}
	return nil
}
