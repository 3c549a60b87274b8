package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// contender is a program that does the job: balanceq, or a peer (peers/), which is configured by the environment.
type contender struct {
	name string
	what string // it is
	// library is what its version is told of: a Go module, or a package that npm has installed.
	library string
	script  string // of node; "": a program of Go
	// What it does in a second on two cores, to the order of magnitude: so many requests are preloaded that a run takes
	// the seconds that it is to take. The slow ones take one record of a partition at a time.
	at0, at20 int
}

const (
	self     = "balanceq"
	baseline = "franz-pool" // what ratios are against: the fastest peer
	peersBin = "bin/peers"
	peersDir = "tools/bench/peers"
)

var contenders = []contender{
	{self, "256 calls in flight, in order by contract, at least once", "", "", 32_000, 11_500},
	{baseline, "a pool of 256 workers, **no order**", "github.com/twmb/franz-go", "", 24_000, 9_500},
	{"franz-partition", "a worker a partition", "github.com/twmb/franz-go", "", 12_000, 550},
	{"kafka-go", "a reader a partition, `FetchMessage`, `WriteMessages`, `CommitMessages`",
		"github.com/segmentio/kafka-go", "", 6_000, 550},
	{"watermill", "a router with a handler, watermill-kafka",
		"github.com/ThreeDotsLabs/watermill-kafka/v3", "", 7_000, 550},
	{"kafkajs", "`eachBatch` and undici, 21 records of a partition at once, results in order", "kafkajs",
		"kafkajs/main.js", 11_000, 7_500},
}

// choose finds contenders by name: all, or several separated by commas.
func choose(names string) ([]contender, error) {
	if names == "all" {
		return contenders, nil
	}
	var chosen []contender
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(contenders, func(c contender) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--peers: %q is none of them; all is every one", name)
		}
		chosen = append(chosen, contenders[i])
	}
	return chosen, nil
}

// command is what starts it, without its configuration.
func (c contender) command(binary string) ([]string, error) {
	switch {
	case c.name == self:
		return []string{binary}, nil
	case c.script == "":
		return []string{filepath.Join(peersBin, c.name)}, nil
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.installed()); err != nil {
		return nil, fmt.Errorf("%w; npm ci in %s installs it", err, filepath.Dir(filepath.Join(peersDir, c.script)))
	}
	return []string{node, filepath.Join(peersDir, c.script)}, nil
}

// installed is where npm keeps what it knows of the library.
func (c contender) installed() string {
	return filepath.Join(peersDir, filepath.Dir(c.script), "node_modules", c.library, "package.json")
}

// version is the library's; balanceq says it itself.
func (c contender) version(ctx context.Context, binary string) (string, error) {
	command, err := c.command(binary)
	if err != nil {
		return "", err
	}
	switch {
	case c.name == self:
		said, err := exec.CommandContext(ctx, command[0], "version").Output()
		return strings.TrimPrefix(strings.TrimSpace(string(said)), self+" "), err
	case c.script != "":
		text, err := os.ReadFile(c.installed())
		if err != nil {
			return "", err
		}
		var pkg struct{ Version string }
		return pkg.Version, json.Unmarshal(text, &pkg)
	}
	info, err := buildinfo.ReadFile(command[0])
	if err != nil {
		return "", err
	}
	for _, dep := range info.Deps {
		if dep.Path == c.library {
			return dep.Version, nil
		}
	}
	return "", fmt.Errorf("%s is made without %s", command[0], c.library)
}

// environment configures a peer.
func (b *bench) environment() []string {
	return []string{
		"BENCH_BROKERS=" + b.brokers, "BENCH_GROUP=" + b.group(), "BENCH_REQUESTS=" + b.topic("requests"),
		"BENCH_RESULTS=" + b.topic("results"), "BENCH_DEADLETTERS=" + b.topic("deadletters"),
		"BENCH_CMS_URL=" + b.cms.URL(), fmt.Sprintf("BENCH_IN_FLIGHT=%d", b.inFlight),
	}
}

// scenario is what contenders are compared in.
type scenario struct {
	name, title string
	mode        string
	latency     time.Duration
	rate        int
}

var scenarios = []scenario{
	{"batch-0", "As fast as it goes, CMS at 0 ms: what a record costs", modeBatch, 0, 0},
	{"batch-20", "As fast as it goes, CMS at 20 ms: 256 calls at once would be 12,800/s", modeBatch,
		20 * time.Millisecond, 0},
	{"rate-300", "300 requests a second, CMS at 20 ms", modeRate, 20 * time.Millisecond, 300},
	{"rate-2000", "2,000 requests a second, CMS at 20 ms", modeRate, 20 * time.Millisecond, 2000},
}

// chooseScenarios finds them by name.
func chooseScenarios(names string) ([]scenario, error) {
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--scenarios: %q is none of them", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

// can says whether a contender gets through a scenario at all: those that take one record of a partition at a time
// answer no 2,000 a second of 20 ms each.
func (s scenario) can(c contender) bool { return s.rate < c.at20 }

// options are those of one run of some seconds.
func (s scenario) options(o options, c contender) options {
	o.latency, o.peer, o.delivery = s.latency, c, atLeastOnce
	if s.rate > 0 {
		o.rate, o.duration = s.rate, o.seconds
		return o
	}
	perSecond := c.at20
	if s.latency == 0 {
		perSecond = c.at0
	}
	o.n = max(1, int(float64(perSecond)*o.seconds.Seconds()))
	return o
}
