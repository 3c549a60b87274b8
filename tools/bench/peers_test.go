package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

func TestParsePeers(t *testing.T) {
	o, err := parse([]string{"--peers=franz-pool,balanceq", "--scenarios=rate-2000"}, io.Discard)
	if err != nil || len(o.peers) != 2 || o.peers[1].name != self || len(o.scenarios) != 1 || o.scenarios[0].rate != 2000 {
		t.Errorf("%+v %v", o, err)
	}
	if o, err := parse([]string{"--peers=all"}, io.Discard); err != nil || len(o.peers) != len(contenders) ||
		len(o.scenarios) != len(scenarios) {
		t.Errorf("%+v %v", o, err)
	}
	for _, args := range []string{"--peers=franz", "--peers=", "--peers=all --scenarios=batch"} {
		_, err := parse(strings.Fields(args), io.Discard)
		if args == "--peers=" { // is none, as without the flag
			if err != nil {
				t.Error(err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "is none of them") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// A run takes the same time for all: a slower one gets less to do, and nothing at a rate that is beyond it.
func TestScenarioSizes(t *testing.T) {
	all, err := choose("balanceq,kafka-go")
	if err != nil {
		t.Fatal(err)
	}
	fast, slow := all[0], all[1]
	batch, rate := scenarios[1], scenarios[3]
	o := options{seconds: 5 * time.Second}
	if n, m := batch.options(o, fast).n, batch.options(o, slow).n; n != 5*fast.at20 || m != 5*slow.at20 {
		t.Error(n, m)
	}
	if paced := rate.options(o, fast); paced.rate != 2000 || paced.duration != o.seconds || paced.latency != rate.latency {
		t.Errorf("%+v", paced)
	}
	if !rate.can(fast) || rate.can(slow) || !batch.can(slow) {
		t.Error("who can what")
	}
}

func contestOf() map[string]*contest {
	return map[string]*contest{
		"batch-0": {
			Began: time.Date(2026, 11, 29, 22, 0, 0, 0, time.UTC), Machine: "2 cores",
			Versions: map[string]string{self: "v1.2.3"}, Missing: map[string]string{"kafkajs": "no node"},
			Runs: map[string][]taken{
				self: {
					{PerSecond: 30_000, CPU: 30, PeakRSS: 60, Harness: 18}, {PerSecond: 33_000, CPU: 33, PeakRSS: 62, Harness: 19},
					{PerSecond: 40_000, CPU: 32, PeakRSS: 61, Harness: 20},
				},
				baseline: {
					{PerSecond: 20_000, CPU: 60, Disorder: 1000}, {PerSecond: 30_000, CPU: 55, Disorder: 1500, Repeated: 1},
					{PerSecond: 20_000, CPU: 50, Disorder: 1000, Lost: 2},
				},
			},
		},
		"rate-300": {Runs: map[string][]taken{self: {{P50: 21.5, P90: 22, P99: 25.25, Max: 31, CPU: 600, PeakRSS: 25}}}},
	}
}

func TestTables(t *testing.T) {
	text := tables(contestOf())
	for _, want := range []string{
		"2026-11-29 22:00 UTC, 2 cores; medians of 3 rounds, in brackets the range.",
		// 1.5, 1.1 and 2 times the rate, 0.5, 0.6 and 0.64 times the CPU
		"| balanceq | 33,000 (30,000–40,000) | 1.50 | 32.0 (30.0–33.0) µs | 0.60 | 61.0 MB | 0.00 s | 0, 0, 0 | " +
			"19.0 µs | 0.00 cores |",
		"| franz-pool | 20,000 (20,000–30,000) | 1.00 | 55.0 (50.0–60.0) µs | 1.00 | 0.00 MB | 0.00 s | 2, 1, 3500 |",
		"| kafkajs | not run here: no node |",
		"| balanceq | 21.5 ms | 22.0 ms | 25.2 (25.2–25.2) ms | 31.0 ms | 600 µs | 25.0 MB | 0, 0, 0 | 0.00 cores |",
		"in order by contract, at least once | v1.2.3 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Speed is a figure; what is lost, or of balanceq's repeated or out of order, is an error.
func TestBroken(t *testing.T) {
	o, kept := options{scenarios: scenarios[:1]}, contestOf()
	if err := o.broken(kept); err == nil || err.Error() !=
		"franz-pool, round 3 of batch-0: lost 2, repeated 0, out of order 1000, dead letters 0" {
		t.Error(err)
	}
	kept["batch-0"].Runs[baseline][2].Lost = 0
	if err := o.broken(kept); err != nil {
		t.Error(err)
	}
	kept["batch-0"].Runs[self][0].Disorder = 1
	if err := o.broken(kept); err == nil || !strings.Contains(err.Error(), "balanceq, round 1") {
		t.Error(err)
	}
}

// What is measured another time replaces its scenario in the report, and what is written by hand stays.
func TestReportIsMadeOfWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	o := options{scenarios: scenarios[2:3], kept: filepath.Join(dir, "runs.json"), report: filepath.Join(dir, "page.md")}
	if err := os.WriteFile(o.report, []byte("before\n"+reportBegin+"old\n"+reportEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := readKept(o.kept); err != nil || len(kept) != 0 {
		t.Fatal(kept, err)
	}
	if err := writeKept(o.kept, contestOf()); err != nil {
		t.Fatal(err)
	}
	kept, err := readKept(o.kept)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := o.publish(kept, &out); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(o.report)
	if want := "before\n" + reportBegin + tables(contestOf()) + reportEnd + "after\n"; err != nil || string(page) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, page, want)
	}
	if strings.Contains(out.String(), "33,000") || !strings.Contains(out.String(), "25.2 (25.2–25.2)") {
		t.Error("more than was measured now, or less:", out.String())
	}
	if err := os.WriteFile(o.report, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.publish(kept, io.Discard); err == nil || !strings.Contains(err.Error(), "has no part") {
		t.Error(err)
	}
}

// A contender that is not built, or whose interpreter is missing, is left out with the reason.
func TestMissingContender(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, of := range contenders {
		_, err := of.version(t.Context(), filepath.Join(t.TempDir(), "none"))
		if err == nil {
			t.Errorf("%s has a version", of.name)
		}
	}
	t.Setenv("PATH", "")
	i := slices.IndexFunc(contenders, func(of contender) bool { return of.script != "" })
	if _, err := contenders[i].command(""); err == nil || !strings.Contains(err.Error(), "node") {
		t.Error(err)
	}
}

func TestNoiseIsOthers(t *testing.T) {
	w, err := startWatch()
	if err != nil {
		t.Fatal(err)
	}
	w.began = w.began.Add(-time.Second)
	if noise, err := w.noise(time.Hour); err != nil || noise != 0 {
		t.Error("the program's own is counted: ", noise, err)
	}
	w.machine -= 2 * time.Second // that others have used
	if noise, err := w.noise(0); err != nil || noise < 1 {
		t.Error(noise, err)
	}
}

// A peer gets its configuration by the environment, and may end as it likes when its run is over.
func TestPeerInstance(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(peersBin, 0o700); err != nil {
		t.Fatal(err)
	}
	const script = "#!/bin/sh\ntrap '' TERM\necho \"$BENCH_GROUP $BENCH_IN_FLIGHT\" >told\nwhile :; do sleep 0.01; done\n"
	if err := os.WriteFile(filepath.Join(peersBin, baseline), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	g := newGroup(t)
	g.peer, g.inFlight = contender{name: baseline}, 7
	p, err := g.start()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !readable("told"); wait.Sleep(t.Context(), 5*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not begin")
		}
	}
	if told, _ := os.ReadFile("told"); string(told) != g.group()+" 7\n" {
		t.Errorf("%s", told)
	}
	if err := g.end(p); err != nil {
		t.Error(err)
	}
	<-p.exited
}

func readable(name string) bool {
	text, err := os.ReadFile(name)
	return err == nil && strings.HasSuffix(string(text), "\n")
}
