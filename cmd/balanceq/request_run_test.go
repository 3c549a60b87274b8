package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func TestRequestUsage(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":                   {nil, "nothing to publish: give --contract and --codes, or --file"},
		"contract and file":         {[]string{"--contract", "1", "--file", "x.csv"}, "--contract and --file: give one of them"},
		"no codes":                  {[]string{"--contract", "1"}, "--codes: is missing; give the balance codes to ask for, for example --codes AVAILABLE,BLOCKED"},
		"wrong contract":            {[]string{"--contract", "0", "--codes", "A"}, "--contract: is 0; send a number or a string of digits"},
		"one of them wrong":         {[]string{"--contract", "1,x", "--codes", "A"}, `--contract: "x" has something other than digits`},
		"wrong code":                {[]string{"--contract", "1", "--codes", strings.Repeat("x", 33)}, "--codes: has 33 characters"},
		"wrong id":                  {[]string{"--contract", "1", "--codes", "A", "--id", "\x1b"}, `--id: has a control character: "\x1b"; send it without`},
		"wrong deadline":            {[]string{"--contract", "1", "--codes", "A", "--deadline", "soon"}, `--deadline: "soon" is not an RFC 3339 time with a zone`},
		"one id for two":            {[]string{"--contract", "1,2", "--codes", "A", "--id", "r"}, "--id: is one id for 2 requests"},
		"codes with file":           {[]string{"--file", "x.csv", "--codes", "A"}, "--codes: belongs to --contract"},
		"format without file":       {[]string{"--contract", "1", "--codes", "A", "--format", "csv"}, "--format: belongs to --file"},
		"skip-invalid without file": {[]string{"--contract", "1", "--codes", "A", "--skip-invalid"}, "--skip-invalid: belongs to --file"},
		"unknown ending":            {[]string{"--file", "x.txt"}, `--format: the ending of "x.txt" does not tell the format; write csv or ndjson`},
		"unknown format":            {[]string{"--file", "x.csv", "--format", "xml"}, `--format: "xml" is not known; write csv or ndjson`},
		"standard input":            {[]string{"--file", "-"}, "--format: is needed for standard input"},
		"no such file":              {[]string{"--file", "/nowhere/x.csv"}, "--file: open /nowhere/x.csv: no such file"},
		"rate":                      {[]string{"--file", "x.csv", "--rate", "-1"}, "--rate: is not a number of requests per second"},
		"rate 0":                    {[]string{"--file", "x.csv", "--rate", "0"}, "--rate: 0 requests per second would never end"},
		"rate NaN":                  {[]string{"--file", "x.csv", "--rate", "NaN"}, "--rate: is not a number of requests per second"},
		"output without wait":       {[]string{"--file", "x.csv", "--output", "json"}, "--timeout and --output: are about the answers; add --wait"},
		"unknown output":            {[]string{"--file", "x.csv", "--wait", "--output", "xml"}, `--output: "xml" is not known; write text or json`},
		"timeout":                   {[]string{"--file", "x.csv", "--wait", "--timeout", "0s"}, "--timeout: must be more than 0"},
		"argument":                  {[]string{"70001"}, `unexpected argument "70001"`},
		"unknown flag":              {[]string{"--contracts", "1"}, "--contracts: unknown flag; did you mean --contract?"},
	}
	s := newShell(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.run(exitUsage, append([]string{"request"}, test.args...)...)
			wantText(t, "the error", c.err.String(), test.want)
		})
	}
	if n := s.count(s.requests); n != 0 {
		t.Errorf("%d requests were published", n)
	}
}

func TestRequestPublishes(t *testing.T) {
	s := newShell(t)
	c := s.run(exitDone, "request", "--contract", "70001,2", "--contract", "3", "--codes", "AVAILABLE,BLOCKED")
	wantText(t, "the summary", c.err.String(), "published 3 requests in ")
	if c.out.String() != "" {
		t.Errorf("output %q", &c.out)
	}
	c = s.run(exitDone, "request", "--contract", "4", "--codes", "A", "--id", "r-1", "--deadline", "2026-01-31T12:00:00Z")
	wantText(t, "the summary", c.err.String(), "published 1 request in ")
	want := map[string]string{
		"70001": `{"contractId":"70001","balanceCodes":["AVAILABLE","BLOCKED"]}`,
		"2":     `{"contractId":"2","balanceCodes":["AVAILABLE","BLOCKED"]}`,
		"3":     `{"contractId":"3","balanceCodes":["AVAILABLE","BLOCKED"]}`,
		"4":     `{"contractId":"4","balanceCodes":["A"],"requestId":"r-1","deadline":"2026-01-31T12:00:00Z"}`,
	}
	if got := s.published(); !maps.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
}

// published returns the values in the requests topic by their keys.
func (s *shell) published() map[string]string {
	got := map[string]string{}
	for _, m := range s.broker.ReadAll(s.T, s.requests) {
		got[string(m.Key)] = string(m.Value)
	}
	return got
}

func (s *shell) file(name, text string) string {
	path := filepath.Join(s.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

func TestRequestFile(t *testing.T) {
	s := newShell(t)
	path := s.file("requests.csv", "contractId,balanceCodes\n1,A\n2,A\nx,A\n4,A\n5,\n")
	c := s.run(exitFailed, "request", "--file", path)
	wantText(t, "the error", c.err.String(), "published 2 requests in ",
		"balanceq: "+path+`: line 4, column contractId: "x" has something other than digits`)
	if n := s.count(s.requests); n != 2 {
		t.Errorf("%d requests were published, want those before the invalid line", n)
	}
	c = s.run(exitFailed, "request", "--file", path, "--skip-invalid")
	wantText(t, "the error", c.err.String(), "published 3 requests in ", "balanceq: 2 lines were not valid and left out\n",
		"line 4, column contractId: ", "line 6, column balanceCodes: is empty")
	c = s.run(exitDone, "request", "--file", path, "--no-validate")
	wantText(t, "the summary", c.err.String(), "published 5 requests in ")
}

func TestRequestSkipListIsBounded(t *testing.T) {
	s := newShell(t)
	c := s.run(exitFailed, "request", "--file", s.file("requests.ndjson", strings.Repeat("{}\n", 1000)), "--skip-invalid")
	wantText(t, "the error", c.err.String(), "1000 lines were not valid", "line 20: ", "… and 980 more")
	if strings.Contains(c.err.String(), "line 21: ") {
		t.Errorf("all lines are listed:\n%s", &c.err)
	}
}

func TestRequestStandardInput(t *testing.T) {
	s := newShell(t)
	var errOut output
	p := &program{out: &output{}, err: &errOut}
	root := p.root()
	line := `{"contractId":7, "balanceCodes":["A"]}`
	root.SetIn(strings.NewReader(line + "\n"))
	root.SetArgs(s.args("request", "--file", "-", "--format", "ndjson"))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.published(); got["7"] != line {
		t.Errorf("published %v", got)
	}
}

// A message that the topic does not take would be tried for ever.
func TestRequestTooLargeForTopic(t *testing.T) {
	s := newShell(t)
	s.requests = s.broker.Topic(t, 1, "max.message.bytes=2000")
	text := `{"contractId":1,"balanceCodes":["A"],"x":"` + strings.Repeat("y", 3000) + `"}` + "\n" + `{"contractId":1,"balanceCodes":["A"]}`
	c := s.run(exitFailed, "request", "--file", s.file("requests.ndjson", text), "--skip-invalid")
	wantText(t, "the error", c.err.String(), "published 1 request in ", "takes messages of at most 2000")
}

func TestRequestRate(t *testing.T) {
	s := newShell(t)
	start := time.Now()
	s.run(exitDone, "request", "--contract", "1,2,3,4,5,6", "--codes", "A", "--rate", "20")
	if took := time.Since(start); took < 250*time.Millisecond {
		t.Errorf("6 requests at 20 per second took %v", took)
	}
}

func TestRequestInterrupted(t *testing.T) {
	s := newShell(t)
	c := s.start("request", "--wait", "--contract", "1,2,3", "--codes", "A")
	kafkatest.Eventually(t, 30*time.Second, "all requests are published", func() bool { return s.count(s.requests) == 3 })
	c.stop()
	c.wait(t, exitFailed)
	wantText(t, "the error", c.err.String(), "published 3 requests in ", "balanceq: interrupted\n", "3 requests were not answered yet; later answers are shown by: ")
}

// A read of standard input that blocks must not hold up Ctrl-C.
func TestRequestInterruptedWhileReading(t *testing.T) {
	s := newShell(t)
	in, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	var errOut output
	ended := make(chan error, 1)
	go func() {
		root := (&program{out: &output{}, err: &errOut}).root()
		root.SetIn(in)
		root.SetArgs(s.args("request", "--file", "-", "--format", "ndjson"))
		ended <- root.ExecuteContext(ctx)
	}()
	if _, err := io.WriteString(typing, `{"contractId":1,"balanceCodes":["A"]}`+"\n"); err != nil {
		t.Fatal(err)
	}
	kafkatest.Eventually(t, 30*time.Second, "the first line is published", func() bool { return s.count(s.requests) == 1 })
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, errInterrupted) {
			t.Errorf("error %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Ctrl-C does not end it")
	}
	wantText(t, "the summary", errOut.String(), "published 1 request in ")
}

func TestRequestNoTopics(t *testing.T) {
	s := newShell(t)
	s.requests, s.dead = "no-such-requests", "no-such-deadletters"
	c := s.run(exitFailed, "request", "--wait", "--contract", "1", "--codes", "A")
	wantText(t, "the error", c.err.String(), "topic no-such-requests does not exist, or the brokers do not let this client see it; create it with: balanceq topics create",
		"topic no-such-deadletters does not exist, or", "--operation Describe --topic no-such-deadletters")
}

func TestRequestNoKafka(t *testing.T) {
	for _, args := range [][]string{{"request", "--contract", "1", "--codes", "A"}, {"results"}} {
		var out, errOut output
		start := time.Now()
		code := execute(context.Background(), append(args, "--kafka.brokers", "127.0.0.1:1"), nil, &out, &errOut)
		if code != exitFailed || time.Since(start) > reachPatience+time.Second {
			t.Errorf("exit code %d after %v", code, time.Since(start))
		}
		wantText(t, "the error", errOut.String(), "asking Kafka at kafka.brokers=127.0.0.1:1: ", "check kafka.brokers")
	}
}

func TestHelpShowsOwnFlagsFirst(t *testing.T) {
	var out output
	if code := execute(context.Background(), []string{"request", "--help"}, nil, &out, &out); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	text := out.String()
	wantText(t, "the help", text, "--contract ids", "--config string", "balanceq config reference lists them")
	if strings.Contains(text, "--cms.url") || strings.Index(text, "--contract ids") > strings.Index(text, "--config string") {
		t.Errorf("help:\n%s", text)
	}
	// Hidden or not, a mistyped key is told.
	if code := execute(context.Background(), []string{"request", "--kafka.broker", "x"}, nil, &out, &out); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	wantText(t, "the error", out.String(), "did you mean --kafka.brokers?")
}
