package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"
)

// The commands that advice ends with are there.
func TestAdviceCommands(t *testing.T) {
	for _, reason := range append([]schemas.Reason{"another"}, schemas.Reasons...) {
		for _, command := range deadletter.AdviceFor(reason).Commands(schemas.Position{Partition: 3, Offset: 17}) {
			args, ours := strings.CutPrefix(command, "balanceq ")
			if err := parseCommand(strings.Fields(args)); err != nil || !ours {
				t.Errorf("%s: %s: %v", reason, command, err)
			}
		}
	}
}

const (
	runbook     = "docs/RUNBOOK.md"
	adviceBegin = "<!-- advice: begin -->\n"
	adviceEnd   = "<!-- advice: end -->"
)

// TestREADMERunbook holds the runbook against the program: nobody should find out at night that a command does not exist.
func TestREADMERunbook(t *testing.T) {
	t.Run("advice", testRunbookAdvice)
	text := readDoc(t, runbook)
	t.Run("commands", func(t *testing.T) { testRunbookCommands(t, text) })
	t.Run("states", func(t *testing.T) { testRunbookStates(t, text) })
	t.Run("names", func(t *testing.T) { testRunbookNames(t, text) })
	t.Run("log", func(t *testing.T) { testRunbookLog(t, text) })
	t.Run("links", func(t *testing.T) { testLinks(t, runbook, text); testAnchors(t, text) })
}

// testRunbookAdvice brings the part that is made of deadletter.AdviceFor up to date.
func testRunbookAdvice(t *testing.T) {
	text := readDoc(t, runbook)
	before, rest, ok := strings.Cut(text, adviceBegin)
	_, after, closed := strings.Cut(rest, adviceEnd)
	if !ok || !closed {
		t.Fatalf("%s has no block from %q to %q", runbook, adviceBegin, adviceEnd)
	}
	var b strings.Builder
	for _, reason := range schemas.Reasons {
		writeAdvice(&b, string(reason), deadletter.AdviceFor(reason), string(reason))
	}
	writeAdvice(&b, "any other reason, or none", deadletter.AdviceFor(""), "")
	want := before + adviceBegin + b.String() + adviceEnd + after
	if text == want {
		return
	}
	if !*updateREADME {
		t.Fatal("the runbook's advice is out of date: make docs")
	}
	if err := os.WriteFile(filepath.Join(moduleRoot, runbook), []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
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

// testRunbookCommands parses every command of ours, in blocks and within text.
func testRunbookCommands(t *testing.T, text string) {
	testREADMECommands(t, text)
	for _, b := range blocks(text) {
		if b.language != "sh" {
			t.Errorf("a block in %s: its commands are not checked", b.language)
		}
	}
	for _, m := range regexp.MustCompile("`balanceq ([^`]+)`").FindAllStringSubmatch(text, -1) {
		if err := parseCommand(strings.Fields(m[1])); err != nil {
			t.Errorf("%s: %v", m[0], err)
		}
	}
}

// testRunbookStates looks for a section of each cause of waiting and each reason, and a row of each stage.
func testRunbookStates(t *testing.T, text string) {
	causes := 0
	for _, source := range sources(t, "cmsclient", "processor", "telemetry") {
		for _, m := range regexp.MustCompile(`\bCause\w+\s*= "([a-z-]+)"`).FindAllStringSubmatch(source, -1) {
			causes++
			if !strings.Contains(text, "\n### "+m[1]+"\n") {
				t.Errorf("no section of the cause %s", m[1])
			}
		}
	}
	if causes < 9 {
		t.Errorf("%d causes are found", causes)
	}
	for _, reason := range schemas.Reasons {
		if !strings.Contains(text, "\n### "+string(reason)+"\n") {
			t.Errorf("no section of the reason %s", reason)
		}
	}
	for _, stage := range telemetry.Stages {
		if !strings.Contains(text, "\n| `"+string(stage)+"` | ") {
			t.Errorf("no row of the stage %s", stage)
		}
	}
}

// sources returns the Go files of packages, or of everything below the module's root for ".", tests excepted.
func sources(t *testing.T, packages ...string) (all []string) {
	t.Helper()
	for _, name := range packages {
		err := fs.WalkDir(os.DirFS(moduleRoot), name, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				all = append(all, readDoc(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// testRunbookNames checks that metrics, settings and members of /readyz that are named exist.
func testRunbookNames(t *testing.T, text string) {
	telemetrySources := strings.Join(sources(t, "telemetry"), "\n")
	for _, name := range regexp.MustCompile(`\bbalanceq_[a-z_]+`).FindAllString(text, -1) {
		if !strings.Contains(telemetrySources, `"`+name+`"`) {
			t.Errorf("telemetry registers no metric %s", name)
		}
	}
	reference := config.Reference()
	sections := "kafka|topics|cms|consumer|producer|results|requests|deadletters|http|watchdog|log|shutdown"
	for _, m := range regexp.MustCompile("`((?:"+sections+")\\.[a-z.-]+)`").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(reference, "| `"+m[1]+"` |") {
			t.Errorf("there is no setting %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`([a-zA-Z]+)`(?: and `([a-zA-Z]+)`)? in `/readyz`").FindAllStringSubmatch(text, -1) {
		for _, member := range m[1:] {
			if member != "" && !regexp.MustCompile("`json:\""+member+`\b`).MatchString(telemetrySources) {
				t.Errorf("/readyz has no member %s", member)
			}
		}
	}
}

// testRunbookLog looks for what the log is said to say: quoted text behind the word log, in a row or an item of a list.
func testRunbookLog(t *testing.T, text string) {
	all := strings.Join(sources(t, "cmd", "cmsclient", "consumer", "processor", "producer", "telemetry"), "\n")
	all = regexp.MustCompile(`" \+\n\s*"`).ReplaceAllString(all, "")
	seen := 0
	for line := range strings.Lines(strings.ReplaceAll(text, "\n  ", " ")) {
		_, said, logged := strings.Cut(line, "log")
		if !logged {
			continue
		}
		for _, m := range regexp.MustCompile(`"([^"]{12,})"`).FindAllStringSubmatch(said, -1) {
			seen++
			if !strings.Contains(all, m[1]) {
				t.Errorf("nothing logs %q", m[1])
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d log lines are quoted", seen)
	}
}

// testAnchors checks that the sections that a text links to within itself are there.
func testAnchors(t *testing.T, text string) {
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchors = append(anchors, strings.ReplaceAll(strings.ToLower(m[1]), " ", "-"))
	}
	for _, m := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(anchors, m[1]) {
			t.Errorf("there is no section %s", m[1])
		}
	}
}
