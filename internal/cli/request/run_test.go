package request

import (
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/results"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

func TestRequestUsage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing": {nil, "nothing to publish: give --contract and --codes, or --file"},
		"contract and file": {[]string{"--contract", "1", "--file", "x.csv"},
			"--contract and --file: give one of them"},
		"no codes": {[]string{"--contract", "1"},
			"--codes: is missing; give the balance codes to ask for, for example --codes AVAILABLE,BLOCKED"},
		"wrong contract": {[]string{"--contract", "0", "--codes", "A"},
			"--contract: is 0; send a number or a string of digits"},
		"one of them wrong": {[]string{"--contract", "1,x", "--codes", "A"},
			`--contract: "x" has something other than digits`},
		"wrong code": {[]string{"--contract", "1", "--codes", strings.Repeat("x", 33)},
			"--codes: has 33 characters"},
		"wrong id": {[]string{"--contract", "1", "--codes", "A", "--id", "\x1b"},
			`--id: has a control character: "\x1b"; send it without`},
		"wrong deadline": {[]string{"--contract", "1", "--codes", "A", "--deadline", "soon"},
			`--deadline: "soon" is not an RFC 3339 time with a zone`},
		"one id for two": {[]string{"--contract", "1,2", "--codes", "A", "--id", "r"},
			"--id: is one id for 2 requests"},
		"codes with file": {[]string{"--file", "x.csv", "--codes", "A"}, "--codes: belongs to --contract"},
		"format without file": {[]string{"--contract", "1", "--codes", "A", "--format", "csv"},
			"--format: belongs to --file"},
		"skip-invalid without file": {[]string{"--contract", "1", "--codes", "A", "--skip-invalid"},
			"--skip-invalid: belongs to --file"},
		"unknown ending": {[]string{"--file", "x.txt"},
			`--format: the ending of "x.txt" does not tell the format; write csv or ndjson`},
		"unknown format": {[]string{"--file", "x.csv", "--format", "xml"},
			`--format: "xml" is not known; write csv or ndjson`},
		"standard input": {[]string{"--file", "-"}, "--format: is needed for standard input"},
		"no such file":   {[]string{"--file", "/nowhere/x.csv"}, "--file: open /nowhere/x.csv: no such file"},
		"rate": {[]string{"--file", "x.csv", "--rate", "-1"},
			"--rate: is not a number of requests per second"},
		"rate 0": {[]string{"--file", "x.csv", "--rate", "0"}, "--rate: 0 requests per second would never end"},
		"rate NaN": {[]string{"--file", "x.csv", "--rate", "NaN"},
			"--rate: is not a number of requests per second"},
		"output without wait": {[]string{"--file", "x.csv", "--output", "json"},
			"--timeout, --output and --fail-on-missing: are about the answers; add --wait"},
		"from-line without file": {[]string{"--contract", "1", "--codes", "A", "--from-line", "2"},
			"--from-line: belongs to --file"},
		"from no line": {[]string{"--file", "x.csv", "--from-line", "0"}, "--from-line: 0 is no line"},
		"dry run with wait": {[]string{"--file", "x.csv", "--dry-run", "--wait"},
			"--dry-run: publishes nothing; leave out --wait"},
		"fail-on-missing without wait": {[]string{"--file", "x.csv", "--fail-on-missing"},
			"--fail-on-missing: are about the answers; add --wait"},
		"unknown output": {[]string{"--file", "x.csv", "--wait", "--output", "xml"},
			`--output: "xml" is not known; write text or json`},
		"timeout":      {[]string{"--file", "x.csv", "--wait", "--timeout", "0s"}, "--timeout: must be more than 0"},
		"argument":     {[]string{"70001"}, `unexpected argument "70001"`},
		"unknown flag": {[]string{"--contracts", "1"}, "--contracts: unknown flag; did you mean --contract?"},
	}
	s := clitest.NewShell(t, Command)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.Run(command.ExitUsage, append([]string{"request"}, test.args...)...)
			clitest.WantText(t, "the error", c.Err.String(), test.want)
		})
	}
	if n := s.Count(s.Requests); n != 0 {
		t.Errorf("%d requests were published", n)
	}
}

func TestRequestPublishes(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	c := s.Run(command.ExitDone, "request", "--contract", "70001,2", "--contract", "3", "--codes", "AVAILABLE,BLOCKED")
	clitest.WantText(t, "the summary", c.Err.String(), "published 3 requests in ")
	ids := strings.Fields(strings.ReplaceAll(c.Out.String(), "request ", ""))
	if len(ids) != 3 {
		t.Fatalf("output %q, want the ids of three requests", &c.Out)
	}
	c = s.Run(command.ExitDone, "request", "--contract", "4", "--codes", "A", "--id", "r-1", "--deadline",
		"2026-01-31T12:00:00Z")
	clitest.WantText(t, "the summary", c.Err.String(), "published 1 request in ")
	want := map[string]string{
		"70001": `{"contractId":"70001","balanceCodes":["AVAILABLE","BLOCKED"],"requestId":"` + ids[0] + `"}`,
		"2":     `{"contractId":"2","balanceCodes":["AVAILABLE","BLOCKED"],"requestId":"` + ids[1] + `"}`,
		"3":     `{"contractId":"3","balanceCodes":["AVAILABLE","BLOCKED"],"requestId":"` + ids[2] + `"}`,
		"4":     `{"contractId":"4","balanceCodes":["A"],"requestId":"r-1","deadline":"2026-01-31T12:00:00Z"}`,
	}
	if got := s.Published(); !maps.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
}

func TestRequestFile(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	path := s.File("requests.csv", "contractId,balanceCodes\n1,A\n2,A\nx,A\n4,A\n5,\n")
	c := s.Run(command.ExitFailed, "request", "--file", path)
	clitest.WantText(t, "the error", c.Err.String(), "2 lines were not valid, so nothing was published",
		"balanceq: "+path+`: line 4, column contractId: "x" has something other than digits`,
		"line 6, column balanceCodes: is empty")
	if n := s.Count(s.Requests); n != 0 {
		t.Errorf("%d requests were published of a file that is not valid", n)
	}
	c = s.Run(command.ExitFailed, "request", "--file", path, "--skip-invalid")
	clitest.WantText(t, "the error", c.Err.String(), "published 3 requests in ",
		"balanceq: 2 lines were not valid and left out\n",
		"line 4, column contractId: ", "line 6, column balanceCodes: is empty")
	c = s.Run(command.ExitDone, "request", "--file", path, "--no-validate")
	clitest.WantText(t, "the summary", c.Err.String(), "published 5 requests in ")
}

func TestRequestDryRun(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	good := s.File("good.csv", "contractId,balanceCodes\n1,A\n2,A\n")
	bad := s.File("bad.ndjson", `{"contractId":"1","balanceCodes":["A"]}`+"\n{}\n")
	c := s.Run(command.ExitDone, "request", "--file", good, "--dry-run")
	clitest.WantText(t, "the output", c.Out.String(), "2 requests are valid; nothing was published\n")
	c = s.Run(command.ExitFailed, "request", "--file", bad, "--dry-run")
	clitest.WantText(t, "the output", c.Out.String(), "1 request is valid; nothing was published\n")
	clitest.WantText(t, "the error", c.Err.String(), "1 line is not valid\n", "bad.ndjson: line 2: ")
	c = s.Run(command.ExitDone, "request", "--contract=1,2", "--codes=A", "--dry-run")
	clitest.WantText(t, "the output", c.Out.String(), "2 requests are valid")
	if n := s.Count(s.Requests); n != 0 {
		t.Errorf("%d requests were published", n)
	}
}

// A file is published from a line on, and what is wrong before that line is not looked at.
func TestRequestFromLine(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	for name, text := range map[string]string{
		"requests.csv":    "contractId,balanceCodes\nx,A\n2,A,A\n4,A\n5,A\n",
		"requests.ndjson": "x\n{}\n\n" + `{"contractId":"4","balanceCodes":["A"]}` + "\n" + `{"contractId":"5","balanceCodes":["A"]}`,
	} {
		before := s.Count(s.Requests)
		c := s.Run(command.ExitDone, "request", "--file", s.File(name, text), "--from-line=4")
		clitest.WantText(t, "the summary", c.Err.String(), "published 2 requests in ")
		if n := s.Count(s.Requests) - before; n != 2 {
			t.Errorf("%s: %d requests were published", name, n)
		}
	}
}

func TestRequestSkipListIsBounded(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	c := s.Run(command.ExitFailed, "request", "--file", s.File("requests.ndjson", strings.Repeat("{}\n", 1000)),
		"--skip-invalid")
	clitest.WantText(t, "the error", c.Err.String(), "1000 lines were not valid", "line 20: ", "… and 980 more")
	if strings.Contains(c.Err.String(), "line 21: ") {
		t.Errorf("all lines are listed:\n%s", &c.Err)
	}
}

func TestRequestStandardInput(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	var errOut clitest.Output
	p := &command.Env{Out: &clitest.Output{}, Err: &errOut}
	root := command.Root(p, Command)
	line := `{"contractId":7, "balanceCodes":["A"]}`
	root.SetIn(strings.NewReader(line + "\n"))
	root.SetArgs(s.Args("request", "--file", "-", "--format", "ndjson"))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Published(); got["7"] != line {
		t.Errorf("published %v", got)
	}
}

// A message that the topic does not take would be tried for ever.
func TestRequestTooLargeForTopic(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Requests = s.Broker.Topic(t, 1, "max.message.bytes=2000")
	text := `{"contractId":1,"balanceCodes":["A"],"x":"` + strings.Repeat("y", 3000) + `"}` + "\n" +
		`{"contractId":1,"balanceCodes":["A"]}`
	c := s.Run(command.ExitFailed, "request", "--file", s.File("requests.ndjson", text), "--skip-invalid")
	clitest.WantText(t, "the error", c.Err.String(), "published 1 request in ", "takes messages of at most 2000")
}

func TestRequestRate(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	start := time.Now()
	s.Run(command.ExitDone, "request", "--contract", "1,2,3,4,5,6", "--codes", "A", "--rate", "20")
	if took := time.Since(start); took < 250*time.Millisecond {
		t.Errorf("6 requests at 20 per second took %v", took)
	}
}

func TestRequestInterrupted(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	c := s.Start("request", "--wait", "--contract", "1,2,3", "--codes", "A")
	kafkatest.Eventually(t, 30*time.Second, "all requests are published", func() bool { return s.Count(s.Requests) == 3 })
	c.Stop()
	c.Wait(t, command.ExitInterrupted)
	clitest.WantText(t, "the error", c.Err.String(), "published 3 requests in ",
		"3 requests were not answered yet; later answers are shown by: ")
}

// A read of standard input that blocks must not hold up Ctrl-C.
func TestRequestInterruptedWhileReading(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	in, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	var errOut clitest.Output
	ended := make(chan error, 1)
	go func() {
		root := command.Root(&command.Env{Out: &clitest.Output{}, Err: &errOut}, Command)
		root.SetIn(in)
		root.SetArgs(s.Args("request", "--file", "-", "--format", "ndjson"))
		ended <- root.ExecuteContext(ctx)
	}()
	if _, err := io.WriteString(typing, `{"contractId":1,"balanceCodes":["A"]}`+"\n"); err != nil {
		t.Fatal(err)
	}
	kafkatest.Eventually(t, 30*time.Second, "the first line is published", func() bool { return s.Count(s.Requests) == 1 })
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, command.ErrInterrupted) {
			t.Errorf("error %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Ctrl-C does not end it")
	}
	clitest.WantText(t, "the summary", errOut.String(), "published 1 request in ")
}

func TestRequestNoTopics(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Requests, s.Dead = "no-such-requests", "no-such-deadletters"
	c := s.Run(command.ExitFailed, "request", "--wait", "--contract", "1", "--codes", "A")
	clitest.WantText(t, "the error", c.Err.String(), "topic no-such-requests does not exist, or the brokers do not let "+
		"this client see it; create it with: balanceq topics create",
		"topic no-such-deadletters does not exist, or", "--operation Describe --topic no-such-deadletters")
}

func TestRequestNoKafka(t *testing.T) {
	for _, args := range [][]string{{"request", "--contract", "1", "--codes", "A"}, {"results"}} {
		var out, errOut clitest.Output
		start := time.Now()
		code := clitest.Execute(context.Background(), append(args, "--kafka.brokers", "127.0.0.1:1"), nil, &out, &errOut,
			Command, results.Command)
		if code != command.ExitFailed || time.Since(start) > 3*command.ReachTimeout {
			t.Errorf("exit code %d after %v", code, time.Since(start))
		}
		clitest.WantText(t, "the error", errOut.String(), "asking Kafka at 127.0.0.1:1: ", "check kafka.brokers")
	}
}

func TestHelpShowsOwnFlagsFirst(t *testing.T) {
	var out clitest.Output
	if code := clitest.Execute(context.Background(), []string{"request", "--help"}, nil, &out, &out,
		Command); code != command.ExitDone {
		t.Errorf("exit code %d", code)
	}
	text := out.String()
	clitest.WantText(t, "the help", text, "--contract ids", "--config string", "balanceq config reference lists them")
	if strings.Contains(text, "--cms.url") || strings.Index(text, "--contract ids") > strings.Index(text,
		"--config string") {
		t.Errorf("help:\n%s", text)
	}
	// Hidden or not, a mistyped key is told.
	if code := clitest.Execute(context.Background(), []string{"request", "--kafka.broker", "x"}, nil, &out, &out,
		Command); code != command.ExitUsage {
		t.Errorf("exit code %d", code)
	}
	clitest.WantText(t, "the error", out.String(), "did you mean --kafka.brokers?")
}
