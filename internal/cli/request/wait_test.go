package request

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

func TestRequestWait(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Respond(clitest.AnswerAll)
	c := s.Run(command.ExitDone, "request", "--wait", "--contract", "70001,2", "--codes", "AVAILABLE")
	clitest.WantText(t, "the summary", c.Err.String(), "published 2 requests in ", "answered 2: 2 complete")
	if got := regexp.MustCompile(
		`(?m)^ *[0-9.]+m?s  (70001   |2       )  complete     AVAILABLE 9811.31 EUR  request [0-9a-f-]{36}$`).
		FindAllString(c.Out.String(), -1); len(got) != 2 {
		t.Errorf("output:\n%s", &c.Out)
	}

	c = s.Run(command.ExitFailed, "request", "--wait", "--contract", "3,4041", "--codes", "AVAILABLE,DUE")
	clitest.WantText(t, "the output", c.Out.String(),
		"  3         partial      AVAILABLE 9811.31 EUR; missing: DUE  request ",
		"  4041      dead letter  contract-not-found: the CMS has no such contract (HTTP 404 CONTRACT_DOES_NOT_EXIST)  "+
			"request ")
	clitest.WantText(t, "the error", c.Err.String(), "answered 2: 1 partial, 1 dead letter",
		"1 request was answered by a dead letter")

	c = s.Run(command.ExitDone, "request", "--wait", "--contract", "3", "--codes", "AVAILABLE,DUE")
	clitest.WantText(t, "the summary", c.Err.String(), "answered 1: 1 partial")
	c = s.Run(command.ExitFailed, "request", "--wait", "--fail-on-missing", "--contract", "3", "--codes", "AVAILABLE,DUE")
	clitest.WantText(t, "the error", c.Err.String(), "1 request was answered without all of the balances")

	// Bytes that are no JSON can be followed too.
	c = s.Run(command.ExitFailed, "request", "--wait", "--no-validate", "--file", s.File("x.ndjson", "\x1b[31mred\n"))
	clitest.WantText(t, "the output", c.Out.String(), "dead letter  invalid-request: value: is not valid JSON")
	if strings.Contains(c.Out.String(), "\x1b") {
		t.Errorf("an escape sequence was shown: %q", &c.Out)
	}
	if got := s.Published(); got[""] != "\x1b[31mred" {
		t.Errorf("published %q, want the line byte for byte", got)
	}
}

func TestRequestWaitJSON(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Respond(clitest.AnswerAll)
	c := s.Run(command.ExitFailed, "request", "--wait", "--output", "json", "--contract", "1,404", "--codes", "AVAILABLE")
	lines := map[string]json.RawMessage{}
	for line := range bytes.Lines([]byte(c.Out.String())) {
		var answer struct{ Outcome, RequestID, ContractID, Reason string }
		if err := json.Unmarshal(line, &answer); err != nil || answer.RequestID == "" {
			t.Errorf("%v: %s", err, line)
		}
		lines[answer.Outcome+" "+answer.ContractID+" "+answer.Reason] = bytes.TrimSpace(line)
	}
	results := s.Broker.ReadAll(t, s.Results)
	if len(lines) != 2 || lines["dead-letter 404 contract-not-found"] == nil ||
		!bytes.Equal(lines["complete 1 "], results[0].Value) {
		t.Errorf("output:\n%s", &c.Out)
	}
}

// Many requests, half of them with ids of their own.
func TestRequestWaitForMany(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Respond(clitest.AnswerAll)
	var b strings.Builder
	b.WriteString("contractId,balanceCodes,requestId\n")
	const n = 2000
	for i := range n {
		id := ""
		if i%2 == 0 {
			id = fmt.Sprintf("r-%d", i)
		}
		fmt.Fprintf(&b, "%d,AVAILABLE,%s\n", i%100+1, id)
	}
	c := s.Run(command.ExitDone, "request", "--wait", "--file", s.File("requests.csv", b.String()))
	clitest.WantText(t, "the summary", c.Err.String(), fmt.Sprintf("answered %d: %d complete", n, n))
	if lines := strings.Count(c.Out.String(), "\n"); lines != n {
		t.Errorf("%d lines of output, want %d", lines, n)
	}
}

func TestRequestWaitTimesOut(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Respond(func(req *inflight.Request) *schemas.Outcome {
		if req.Request.ContractID == 2 {
			return nil
		}
		return clitest.AnswerAll(req)
	})
	c := s.Run(command.ExitFailed, "request", "--wait", "--timeout", "500ms", "--contract", "1,2,3", "--codes",
		"AVAILABLE")
	clitest.WantText(t, "the error", c.Err.String(), "published 3 requests in ", "answered 2: 2 complete",
		"1 request was not answered within 500ms",
		"/readyz", "breaker", "balanceq results --deadletters --since ")
}

// Of a failed result and the dead letter of the same request the dead letter counts.
func TestRequestWaitWithPublishedFailures(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Respond(func(req *inflight.Request) *schemas.Outcome {
		o := clitest.AnswerAll(req)
		o.Result = &schemas.Result{RequestID: req.Request.ID, ContractID: req.Request.ContractID,
			Outcome: schemas.OutcomeFailed,
			Reason:  o.DeadLetter.Reason, RetrievedAt: time.Now(), Source: req.Record.Position}
		return o
	})
	c := s.Run(command.ExitFailed, "request", "--wait", "--contract", "404", "--codes", "AVAILABLE")
	clitest.WantText(t, "the summary", c.Err.String(), "answered 1: 1 dead letter")
	if strings.Count(c.Out.String(), "\n") != 1 {
		t.Errorf("output:\n%s", &c.Out)
	}
}
