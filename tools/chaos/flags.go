package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/config"
)

// options are the flags.
type options struct {
	short       bool
	records     int
	workers     int
	duration    time.Duration
	drain       time.Duration
	mode        string
	protocol    string
	start       string
	faults      []string
	seed        uint64
	nodes       int
	brokers     string
	replication int
	image       string
	binary      string
	simulator   string
	contracts   int
	parts       int
	runAhead    int
	extra       string
	table       string
	keepLogs    bool
}

// The delivery modes.
const (
	atLeastOnce = "at-least-once"
	exactlyOnce = "exactly-once"
	bothModes   = "both"
)

// protocols are what kafka.group-protocol may be: workers that refuse it would end at once, and the run would say so
// minutes later.
var protocols = []string{config.GroupAuto, config.GroupClassic, config.GroupConsumer}

// Where a group without offsets starts (kafka.start).
const (
	startEarliest = "earliest"
	startLatest   = "latest"
)

// The sizes of the two forms.
const (
	longRecords   = 200_000
	longDuration  = 200 * time.Second
	shortRecords  = 10_000
	shortDuration = 50 * time.Second
	shortLimit    = 6 * time.Minute // for both modes
)

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := flags.String("faults", "all", "faults to inject, separated by commas; all, or none")
	flags.BoolVar(&o.short, "short", false,
		"the form for CI: less, in both modes unless --mode says which, and at most 6 minutes")
	flags.IntVar(&o.records, "records", longRecords,
		"requests to publish, at least: it goes on for as long as there are faults")
	flags.IntVar(&o.workers, "workers", 3, "instances of balanceq; half of them are static members")
	flags.DurationVar(&o.duration, "duration", longDuration, "time for which faults are planned, and for so many requests")
	flags.DurationVar(&o.drain, "drain", 2*time.Minute,
		"time that everything may take to be answered after the last fault")
	flags.StringVar(&o.mode, "mode", atLeastOnce,
		"the workers' --delivery: at-least-once or exactly-once; or both, one after the other")
	flags.StringVar(&o.protocol, "group-protocol", "classic", "the workers' --kafka.group-protocol")
	flags.StringVar(&o.start, "start", startEarliest, "the workers' --kafka.start: earliest or latest; with latest, no "+
		"topic is made again: the group's offsets go with it, and what a first start then skips is not lost")
	flags.Uint64Var(&o.seed, "seed", 0, "of the schedule; 0 draws one")
	flags.IntVar(&o.nodes, "nodes", 1, "brokers to start: 1, or 3 with as many replicas, of which one at a time fails")
	flags.StringVar(&o.brokers, "brokers", "", "cluster to use; empty: containers")
	flags.IntVar(&o.replication, "replication", 1, "replicas of each topic (--brokers)")
	flags.StringVar(&o.image, "image", os.Getenv("BALANCEQ_TEST_KAFKA_IMAGE"), "Kafka's image; empty: apache/kafka:4.3.1")
	flags.StringVar(&o.binary, "binary", "bin/balanceq", "program to try")
	flags.StringVar(&o.simulator, "simulator", "bin/cms-sim", "simulator of the CMS")
	flags.IntVar(&o.contracts, "contracts", 500, "contracts that requests are spread over")
	flags.IntVar(&o.parts, "partitions", 12, "partitions of each topic")
	flags.IntVar(&o.runAhead, "run-ahead", 256,
		"consumer.run-ahead of the workers, on which the bound of repetitions rests")
	flags.StringVar(&o.extra, "flags", "", "further flags for the workers, separated by spaces")
	flags.StringVar(&o.table, "append", "", "file to which the row of the table is added")
	flags.BoolVar(&o.keepLogs, "logs", false, "keep the logs even if every promise was kept")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.short {
		o.shorten(given)
	}
	for o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000)
	}
	if o.image == "" {
		o.image = "apache/kafka:4.3.1"
	}
	if o.faults, err = chooseFaults(*list); err != nil {
		return o, err
	}
	// a cluster that was given is not to be harmed, and its brokers would name themselves, not the proxy
	if o.brokers != "" {
		o.faults = slices.DeleteFunc(o.faults, func(name string) bool {
			return slices.ContainsFunc(faults, func(f fault) bool { return f.name == name && f.lane == ofKafka })
		})
	}
	if o.start == startLatest {
		o.faults = slices.DeleteFunc(o.faults, func(name string) bool { return name == recreate })
	}
	if o.nodes > 1 { // the other replicas have what one lost
		o.faults = slices.DeleteFunc(o.faults, func(name string) bool { return name == truncate })
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: there are only flags", flags.Arg(0))
	}
	return o, o.check()
}

// shorten makes it the short form, as far as flags do not say otherwise.
func (o *options) shorten(given map[string]bool) {
	if !given["records"] {
		o.records = shortRecords
	}
	if !given["duration"] {
		o.duration = shortDuration
	}
	if !given["mode"] {
		o.mode = bothModes
	}
}

func (o *options) check() error {
	switch {
	case !slices.Contains([]string{atLeastOnce, exactlyOnce, bothModes}, o.mode):
		return fmt.Errorf("--mode: %q is none of %s, %s, %s", o.mode, atLeastOnce, exactlyOnce, bothModes)
	case !slices.Contains(protocols, o.protocol):
		return fmt.Errorf("--group-protocol: %q is none of %s", o.protocol, strings.Join(protocols, ", "))
	case o.start != startEarliest && o.start != startLatest:
		return fmt.Errorf("--start: %q is none of %s, %s", o.start, startEarliest, startLatest)
	case o.nodes != 1 && o.nodes != 3:
		return fmt.Errorf("--nodes: %d brokers; start 1, or 3: with 2, none may fail", o.nodes)
	case min(o.records, o.workers, o.contracts, o.parts, o.runAhead, o.replication) < 1 || o.duration <= 0 || o.drain <= 0:
		return errors.New(
			"--records, --workers, --contracts, --partitions, --run-ahead, --replication, --duration and --drain " +
				"have to be positive")
	}
	return nil
}
