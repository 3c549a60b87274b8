package cli

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"
)

// The runbook is held more closely than other pages: at night it has to be true.

// What it says about dead letters is what `deadletters show` prints.
func TestDocsRunbookAdvice(t *testing.T) {
	var b strings.Builder
	for _, reason := range schemas.Reasons {
		writeAdvice(&b, string(reason), deadletter.AdviceFor(reason), string(reason))
	}
	writeAdvice(&b, "any other reason, or none", deadletter.AdviceFor(""), "")
	generated(t, runbook, "advice", b.String())
}

func writeAdvice(b *strings.Builder, title string, a deadletter.Advice, reason string) {
	fmt.Fprintf(b, "\n### %s\n\n- **Means.** %s\n- **Look.** %s\n- **Do.** %s\n\n```sh\n", title, a.Means, a.Look, a.Do)
	filter := " --since 24h --reason " + reason
	if reason == "" {
		filter = " --since 24h"
	}
	b.WriteString("balanceq deadletters list --records" + filter + "\n")
	for _, command := range a.Commands(schemas.Position{Partition: 3, Offset: 17}) {
		b.WriteString(command + "\n")
	}
	if reason != "" && !a.Edit {
		b.WriteString("balanceq deadletters replay" + filter + " --execute\n")
	}
	b.WriteString("```\n")
}

// All of its blocks are commands, which TestDocsCommands looks at.
func TestDocsRunbookBlocks(t *testing.T) {
	for _, b := range blocks(readDoc(t, runbook)) {
		if b.language != "sh" {
			t.Errorf("%s: a block in %q: its commands are not checked", runbook, b.language)
		}
	}
}

// There is a section for each cause of waiting and each reason, and a row for each stage.
func TestDocsRunbookStates(t *testing.T) {
	text := readDoc(t, runbook)
	causes := 0
	for _, source := range sources(t, "cmsclient", "processor", "telemetry") {
		for _, m := range regexp.MustCompile(`\bCause\w+\s*(?:\w+ )?= "([a-z-]+)"`).FindAllStringSubmatch(source, -1) {
			causes++
			if !strings.Contains(text, "\n### "+m[1]+"\n") {
				t.Errorf("%s has no section of the cause %s", runbook, m[1])
			}
		}
	}
	if causes < 9 {
		t.Errorf("%d causes are found", causes)
	}
	for _, reason := range schemas.Reasons {
		if !strings.Contains(text, "\n### "+string(reason)+"\n") {
			t.Errorf("%s has no section of the reason %s", runbook, reason)
		}
	}
	for _, stage := range telemetry.Stages {
		if !strings.Contains(text, "\n| `"+string(stage)+"` | ") {
			t.Errorf("%s has no row of the stage %s", runbook, stage)
		}
	}
}

// Members of /readyz that are named exist.
func TestDocsRunbookReadyz(t *testing.T) {
	all := strings.Join(sources(t, "telemetry"), "\n")
	for _, m := range regexp.MustCompile("`([a-zA-Z]+)`(?: and `([a-zA-Z]+)`)? in `/readyz`").
		FindAllStringSubmatch(readDoc(t, runbook), -1) {
		for _, member := range m[1:] {
			if member != "" && !regexp.MustCompile("`json:\""+member+`\b`).MatchString(all) {
				t.Errorf("%s: /readyz has no member %s", runbook, member)
			}
		}
	}
}

// What it quotes is in the source, word for word, so that it can be found in the log, in /readyz and on the terminal.
func TestDocsRunbookQuotes(t *testing.T) {
	all := strings.Join(sources(t, "cmd", "internal", "cmsclient", "consumer", "processor", "producer", "telemetry"), "\n")
	all = strings.ToLower(regexp.MustCompile(`" \+\n\s*"`).ReplaceAllString(all, ""))
	text := strings.ReplaceAll(regexp.MustCompile("`[^`]*`").ReplaceAllString(readDoc(t, runbook), ""), "\n  ", " ")
	seen := 0
	for _, m := range regexp.MustCompile(`"([^"\n]*)"`).FindAllStringSubmatch(text, -1) {
		if len(m[1]) < 12 {
			continue
		}
		seen++
		if !strings.Contains(all, strings.ToLower(m[1])) {
			t.Errorf("%s: nothing says %q", runbook, m[1])
		}
	}
	if seen < 8 {
		t.Errorf("%s quotes %d texts", runbook, seen)
	}
}
