package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// envSnippets names a folder with the programs of docs/snippets.md and what they need, for the test of others' clients
// (make snippets): lib (jars), venv (Python) and node_modules.
const envSnippets = "BALANCEQ_TEST_SNIPPETS"

// replyTopic is the one that the instances allow.
const replyTopic = "statements.replies"

// snippetTimeout bounds one program; all of them run at the same time, and Java's are compiled first.
const snippetTimeout = 3 * time.Minute

// others is what the clients of others need: a broker with the topics of the documents, and a CMS.
type others struct {
	*rig
	dir string
}

func newOthers(t *testing.T) *others {
	t.Helper()
	dir := os.Getenv(envSnippets)
	if dir == "" {
		t.Skip("make snippets runs it")
	}
	r := newRig(t, 1, cmssim.Config{})
	r.requests, r.results, r.deadletters = "balance.requests", "balance.results", "balance.deadletters"
	create := launch(t, "topics", "create", "--kafka.brokers="+r.broker.Brokers()[0], "--partitions=6",
		"--results.reply-topics="+replyTopic, "--results.publish-failures=true")
	if code := create.wait(waitTimeout).ExitCode(); code != 0 {
		t.Fatalf("making the topics: exit code %d", code)
	}
	return &others{r, dir}
}

func (o *others) serve(flags ...string) *instance {
	o.t.Helper()
	return o.StartReady(append(flags, "--results.publish-failures=true", "--results.reply-topics="+replyTopic)...)
}

// run runs a program of others and returns what it printed, and its exit code.
func (o *others) run(args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(o.t.Context(), snippetTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "BROKERS="+o.broker.Brokers()[0])
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		o.t.Errorf("%v: %v", args, err)
		return "", -1
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 && errors.Len() > 0 {
		o.t.Logf("%v (exit code %d): %s", args, code, errors.String())
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func java(args ...string) []string {
	return append([]string{"java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp",
		"lib/*"}, args...)
}

// Others' clients: the SDKs of CloudEvents; the programs of docs/snippets.md, as they are there; and Spring's
// ReplyingKafkaTemplate, which knows nothing of balanceq, whichever way outcomes are delivered. The results topic has
// one event for each request then.
func TestClientsOfOthers(t *testing.T) {
	o := newOthers(t)
	in := o.serve()
	asked := o.cloudEvents()
	began := time.Now()
	asked += o.snippets()
	t.Logf("the snippets took %.1f s", time.Since(began).Seconds())
	for i, delivery := range []string{"at-least-once", "exactly-once"} {
		if i > 0 {
			in = o.serve("--delivery=" + delivery)
		}
		began := time.Now()
		asked += o.spring(delivery, 500_000+10_000*i)
		t.Logf("%s: Spring took %.1f s", delivery, time.Since(began).Seconds())
		in.Stop()
		if n := o.events(); n != asked {
			t.Errorf("%s: %d events in the results topic, want one for each of %d requests", delivery, n, asked)
		}
	}
}

// snippets has each program get an answer with all of its 22 digits, and a refusal, and returns how many requests that
// were.
func (o *others) snippets() (asked int) {
	const contract, unknown = 9990001, 4040001
	var balances strings.Builder
	longest := 0
	for _, b := range cmssim.Balances(contract, "AVAILABLE", "BLOCKED") {
		fmt.Fprintln(&balances, b.Code, b.Value, b.Currency)
		longest = max(longest, len(strings.Trim(strings.ReplaceAll(b.Value, ".", ""), "-")))
	}
	if longest < 22 {
		o.t.Fatalf("the simulator's longest amount has %d digits", longest)
	}
	var running sync.WaitGroup
	for name, program := range map[string][]string{
		"Java": java("Ask.java"), "Spring": java("AskWithSpring.java"), "Python": {"venv/bin/python", "ask.py"},
		"Node": {"node", "ask.mjs"}, "shell": {"bash", "ask.sh"},
	} {
		for contract, want := range map[int64]struct {
			out  string
			code int
		}{contract: {balances.String(), 0}, unknown: {"refused: contract-not-found\n", 1}} {
			asked++
			running.Go(func() {
				out, code := o.run(append(program, strconv.FormatInt(contract, 10))...)
				if out != want.out || code != want.code {
					o.t.Errorf("%s printed %q and ended with %d, want %q and %d", name, out, code, want.out, want.code)
				}
			})
		}
	}
	running.Wait()
	return asked
}

// spring has two instances ask, which share the results topic, or have a partition of a reply topic each, and returns
// how many requests that were.
func (o *others) spring(delivery string, first int) (asked int) {
	callers, err := filepath.Abs("testdata/spring/Callers.java")
	if err != nil {
		o.t.Fatal(err)
	}
	const calls, ways = 1000, 2
	out, code := o.run(java(callers, replyTopic, strconv.Itoa(calls), strconv.Itoa(first))...)
	if n := strings.Count(out, "\n"); n != ways || code != 0 {
		o.t.Errorf("%s: %d lines, exit code %d", delivery, n, code)
	}
	for line := range strings.Lines(out) {
		var got struct {
			Way                                            string
			Calls, Answered, Refused, Identical, Misplaced int
			Wrong                                          []string
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			o.t.Errorf("%s: %v in %q", delivery, err, line)
		}
		o.t.Logf("%s: %s", delivery, strings.TrimSpace(line))
		if got.Answered != calls*9/10 || got.Refused != calls/10 || got.Identical != calls || got.Misplaced != 0 {
			o.t.Errorf("%s: of %d calls: %+v", delivery, calls, got)
		}
	}
	return ways * calls
}

// events counts the results, each of which has an id of its own.
func (o *others) events() int {
	o.t.Helper()
	seen := map[string]bool{}
	all := o.broker.ReadAll(o.t, o.results)
	for _, m := range all {
		seen[headersOf(m)["ce_id"]] = true
	}
	if len(seen) != len(all) {
		o.t.Errorf("%d results have %d ids", len(all), len(seen))
	}
	return len(all)
}
