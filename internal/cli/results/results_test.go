package results

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/request"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

func TestResultsUsage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	tests := map[string]struct {
		args []string
		want string
	}{
		"beginning and since": {[]string{"--from-beginning", "--since", "1h"},
			"--from-beginning and --since: give one of them"},
		"since what": {[]string{"--since", "yesterday"},
			`--since: "yesterday" is neither a duration nor an RFC 3339 time`},
		"since the future":     {[]string{"--since", "-1h"}, `--since: "-1h" is neither`},
		"exit without a start": {[]string{"--exit"}, "--exit: would show nothing; add --from-beginning or --since"},
		"limit":                {[]string{"--limit", "-1"}, "--limit: -1 is less than 0"},
		"output":               {[]string{"--output", "yaml"}, `--output: "yaml" is not known`},
		"contract":             {[]string{"--contract", "x"}, `--contract: "x" is not a contract id`},
	}
	s := clitest.NewShell(t, Command, request.Command)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.Run(command.ExitUsage, append([]string{"results"}, test.args...)...)
			clitest.WantText(t, "the error", c.Err.String(), test.want)
		})
	}
}

// withAnswers makes a shell with answers to contracts 1, 2 (partial) and 404 (a dead letter).
func withAnswers(t *testing.T) *clitest.Shell {
	s := clitest.NewShell(t, Command, request.Command)
	s.Respond(clitest.AnswerAll)
	s.Run(command.ExitFailed, "request", "--wait", "--contract", "1,404", "--codes", "AVAILABLE")
	s.Run(command.ExitDone, "request", "--wait", "--contract", "2", "--codes", "AVAILABLE,DUE", "--id", "mine")
	return s
}

func TestResults(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withAnswers(t)
	tests := map[string]struct {
		args string
		want []string // contract and outcome of each line, in any order
	}{
		"all":                {"--from-beginning", []string{"1 complete", "2 partial"}},
		"since":              {"--since 1h", []string{"1 complete", "2 partial"}},
		"since a later time": {"--since " + time.Now().Add(time.Hour).Format(time.RFC3339), nil},
		"dead letters":       {"--from-beginning --deadletters", []string{"1 complete", "2 partial", "404 dead letter"}},
		"contract":           {"--from-beginning --deadletters --contract 404,7", []string{"404 dead letter"}},
		"contracts": {"--from-beginning --deadletters --contract 404 --contract 2",
			[]string{"404 dead letter", "2 partial"}},
		"request id":            {"--from-beginning --request-id mine", []string{"2 partial"}},
		"request id of another": {"--from-beginning --request-id mine --contract 1", nil},
	}
	line := regexp.MustCompile(
		`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  (\d+) +(complete|partial|dead letter)  .*\[.+\]$`)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.Run(command.ExitDone, append([]string{"results", "--exit"}, strings.Fields(test.args)...)...)
			got := map[string]bool{}
			for _, m := range line.FindAllStringSubmatch(c.Out.String(), -1) {
				got[m[1]+" "+m[2]] = true
			}
			for _, want := range test.want {
				if !got[want] {
					t.Errorf("no line of %s", want)
				}
			}
			if strings.Count(c.Out.String(), "\n") != len(test.want) || t.Failed() {
				t.Errorf("output:\n%s", &c.Out)
			}
		})
	}
}

func TestResultsJSON(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withAnswers(t)
	c := s.Run(command.ExitDone, "results", "--from-beginning", "--exit", "--output", "json")
	want := map[string]bool{}
	for _, m := range s.Broker.ReadAll(t, s.Results) {
		want[string(m.Value)] = true
	}
	for line := range strings.Lines(c.Out.String()) {
		delete(want, strings.TrimSuffix(line, "\n"))
	}
	if len(want) > 0 {
		t.Errorf("not shown: %v\noutput:\n%s", want, &c.Out)
	}

	c = s.Run(command.ExitDone, "results", "--from-beginning", "--exit", "--output", "json", "--deadletters", "--contract",
		"404")
	var got deadletter.Summary
	if err := json.Unmarshal([]byte(c.Out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Outcome != "dead-letter" || got.ContractID != 404 || got.Reason != string(schemas.ReasonContractNotFound) ||
		got.HTTPStatus != 404 ||
		got.Source == nil || got.Source.Topic != s.Requests || got.DeadLetter.Topic != s.Dead || got.RequestID == "" {
		t.Errorf("got %+v", got)
	}
}

func TestResultsLimit(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withAnswers(t)
	c := s.Run(command.ExitDone, "results", "--from-beginning", "--deadletters", "--limit", "2")
	if n := strings.Count(c.Out.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want 2:\n%s", n, &c.Out)
	}
}

// Without a start only what comes from now on is shown, and Ctrl-C is no failure.
func TestResultsFollows(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withAnswers(t)
	c := s.Start("results")
	kafkatest.Eventually(t, 30*time.Second, "it follows",
		func() bool { return strings.Contains(c.Err.String(), "following "+s.Results) })
	s.Run(command.ExitDone, "request", "--contract", "7", "--codes", "AVAILABLE", "--id", "new")
	kafkatest.Eventually(t, 30*time.Second, "the new result is shown",
		func() bool { return strings.Contains(c.Out.String(), "[new]\n") })
	c.Stop()
	c.Wait(t, command.ExitDone)
	if n := strings.Count(c.Out.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want the new result only:\n%s", n, &c.Out)
	}
}

// What is in a topic may be anything: none of it may act on a terminal.
func TestResultsForeignRecords(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command, request.Command)
	result := schemas.Result{RequestID: "r\u009b31m\u202e", ContractID: 4111111111111111, Outcome: schemas.OutcomeComplete,
		Balances: []schemas.Balance{{Code: "A\u009b2J", ID: "7", Value: "1", Currency: "E\x7fR"}}, CorrelationID: "c",
		RetrievedAt: time.Now(), Source: schemas.Position{Topic: "t"}}
	s.Write(s.Results, result.Message(nil), schemas.Message{Value: []byte("\x1b[31mno result")}, schemas.Message{})
	s.Write(s.Dead, schemas.Message{Value: []byte("\x1b]0;x\a"), Headers: []schemas.Header{
		{Key: schemas.HeaderReason, Value: []byte("\x1b[31m")}, {Key: schemas.HeaderDetail, Value: []byte("\u009b31m")}}},
		schemas.Message{})
	for _, form := range []string{term.Text, term.JSON} {
		c := s.Run(command.ExitDone, "results", "--from-beginning", "--exit", "--deadletters", "--output", form)
		if strings.ContainsFunc(strings.ReplaceAll(c.Out.String()+c.Err.String(), "\n", ""),
			func(r rune) bool { return !printable.Rune(r) }) {
			t.Errorf("%s: characters for the terminal: %q, %q", form, &c.Out, &c.Err)
		}
		if n := strings.Count(c.Out.String(), "\n"); n != 3 {
			t.Errorf("%s: %d lines, want 3:\n%s", form, n, &c.Out)
		}
		if n := strings.Count(c.Err.String(), " is not a result: "); n != 2 {
			t.Errorf("%s: %d warnings, want 2:\n%s", form, n, &c.Err)
		}
		if form == term.Text {
			clitest.WantText(t, "the output", c.Out.String(), "411111******1111", "A 2J 1 E R")
			continue
		}
		first, _, _ := bytes.Cut([]byte(c.Out.String()), []byte("\n"))
		for line := range bytes.Lines([]byte(c.Out.String())) {
			if bytes.Contains(line, []byte("retrievedAt")) {
				first = line
			}
		}
		if got, err := schemas.DecodeResult(first); err != nil || got.RequestID != result.RequestID ||
			got.Balances[0] != result.Balances[0] {
			t.Errorf("the JSON has another value: %v: %s", err, first)
		}
	}
}

// A closed output, as of "| head", ends the command.
func TestResultsOutputFails(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withAnswers(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer func() { _ = w.Close() }()
	var errOut clitest.Output
	code := clitest.Execute(t.Context(), s.Args("results", "--from-beginning"), nil, w, &errOut, Command)
	if code != command.ExitFailed || !strings.Contains(errOut.String(), "broken pipe") {
		t.Errorf("exit code %d: %s", code, &errOut)
	}
}
