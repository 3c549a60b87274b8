package cli

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/pflag"
)

var updateREADME = flag.Bool("update", false, "write the generated part of the README")

const (
	moduleRoot     = "../.."
	referenceBegin = "<!-- config reference: begin -->\n"
	referenceEnd   = "<!-- config reference: end -->"
)

// TestREADME holds the README against the program: what it quotes must parse, validate and exist.
func TestREADME(t *testing.T) {
	t.Run("config reference", testREADMEReference)
	readme := readDoc(t, "README.md")
	t.Run("commands", func(t *testing.T) { testREADMECommands(t, readme) })
	t.Run("examples", func(t *testing.T) { testREADMEExamples(t, readme) })
	t.Run("metrics", func(t *testing.T) { testREADMEMetrics(t, readme) })
	t.Run("make targets", func(t *testing.T) { testMakeTargets(t, readme) })
	t.Run("links", func(t *testing.T) { testLinks(t, "README.md", readme) })
	for _, reason := range schemas.Reasons {
		if !strings.Contains(readme, "| `"+string(reason)+"` |") {
			t.Errorf("the table of reasons has no row for %s", reason)
		}
	}
}

// TestArchitecture checks that the tests, files and links named in docs/ are there. That every file is named is not checked.
func TestArchitecture(t *testing.T) {
	docs, err := filepath.Glob(filepath.Join(moduleRoot, "docs", "*", "*.md"))
	if err != nil || len(docs) == 0 {
		t.Fatalf("no decision records (%v)", err)
	}
	tests := definedTests(t)
	for _, path := range append(docs, filepath.Join(moduleRoot, "docs", "ARCHITECTURE.md")) {
		name, err := filepath.Rel(moduleRoot, path)
		if err != nil {
			t.Fatal(err)
		}
		text := readDoc(t, name)
		testLinks(t, name, text)
		for _, test := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(text, -1) {
			if !tests[test] {
				t.Errorf("%s names %s, which no test file defines", name, test)
			}
		}
		for _, m := range regexp.MustCompile("`([a-z][\\w./-]*/[\\w.-]+\\.(?:go|json|yaml|yml))`").FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(moduleRoot, m[1])); err != nil {
				t.Errorf("%s names %s: %v", name, m[1], err)
			}
		}
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func testREADMEReference(t *testing.T) {
	readme := readDoc(t, "README.md")
	before, rest, ok := strings.Cut(readme, referenceBegin)
	_, after, closed := strings.Cut(rest, referenceEnd)
	if !ok || !closed {
		t.Fatalf("the README has no block from %q to %q", referenceBegin, referenceEnd)
	}
	want := before + referenceBegin + config.Reference() + referenceEnd + after
	if readme == want {
		return
	}
	if !*updateREADME {
		t.Fatal("the README's configuration reference is out of date: make docs")
	}
	if err := os.WriteFile(filepath.Join(moduleRoot, "README.md"), []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// block is a fenced block of code; mark is the HTML comment on the line before it.
type block struct{ mark, language, text string }

var blockPattern = regexp.MustCompile("(?ms)^(?:<!-- ([^\n]+) -->\n)?```(\\w+)\n(.*?)^```$")

func blocks(text string) []block {
	var found []block
	for _, m := range blockPattern.FindAllStringSubmatch(text, -1) {
		found = append(found, block{m[1], m[2], m[3]})
	}
	return found
}

// testREADMECommands parses every command line of ours, without running it.
func testREADMECommands(t *testing.T, readme string) {
	ours := regexp.MustCompile(`^(?:\w+=\S+ )*(?:(?:bin/)?balanceq|go run \./cmd/balanceq) (.*)$`)
	seen := 0
	for _, b := range blocks(readme) {
		if b.language != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
			line, _, _ = strings.Cut(line, " #")
			for part := range strings.SplitSeq(line, "|") {
				m := ours.FindStringSubmatch(strings.TrimSpace(part))
				if m == nil {
					continue
				}
				seen++
				if err := parseCommand(strings.Fields(m[1])); err != nil {
					t.Errorf("%s: %v", strings.TrimSpace(part), err)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no command is shown")
	}
}

func parseCommand(args []string) error {
	cmd, rest, err := Root((&command.Env{})).Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// testREADMEExamples validates the marked examples: "schema: NAME", "event" (structured CloudEvents) and "config" (a file).
func testREADMEExamples(t *testing.T, readme string) {
	seen := map[string]int{}
	for _, b := range blocks(readme) {
		var err error
		name, isSchema := strings.CutPrefix(b.mark, "schema: ")
		switch {
		case isSchema:
			err = validateExample(t, name, b.text)
		case b.mark == "event":
			_, err = schemas.DecodeRequest(&schemas.Record{Value: []byte(b.text),
				Headers: []schemas.Header{{Key: schemas.HeaderContentType, Value: []byte("application/cloudevents+json")}}})
		case b.mark == "config":
			err = loadExample(t, b.text)
		case b.language == "json" || b.language == "yaml":
			t.Errorf("an example in %s is not marked:\n%s", b.language, b.text)
		default:
			continue
		}
		seen[b.mark]++
		if err != nil {
			t.Errorf("%s: %v in\n%s", b.mark, err, b.text)
		}
	}
	for _, mark := range []string{"schema: balance-request", "schema: balance-result", "schema: balance-deadletter-headers", "event", "config"} {
		if seen[mark] == 0 {
			t.Errorf("no example is marked %q", mark)
		}
	}
}

func validateExample(t *testing.T, name, text string) error {
	t.Helper()
	file, err := schemas.Files.Open("v1/" + name + ".schema.json")
	if err != nil {
		return err
	}
	defer file.Close()
	schema, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:"+name, schema); err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	if err := c.MustCompile("urn:" + name).Validate(doc); err != nil {
		return err
	}
	switch name {
	case "balance-request":
		_, err = schemas.DecodeRequest(&schemas.Record{Value: []byte(text)})
	case "balance-result":
		_, err = schemas.DecodeResult([]byte(text))
	}
	return err
}

func loadExample(t *testing.T, text string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "balanceq.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	flags := pflag.NewFlagSet("balanceq", pflag.ContinueOnError)
	config.Register(flags)
	if err := flags.Parse([]string{"--config", path}); err != nil {
		return err
	}
	var environ []string // the secrets that the example's reader has there
	for word, variable := range map[string]string{
		"sasl:":  "BALANCEQ_KAFKA_SASL_PASSWORD=secret",
		"oauth1": "BALANCEQ_CMS_AUTH_CONSUMER_KEY=" + strings.Repeat("c", 48) + "!" + strings.Repeat("k", 48),
	} {
		if strings.Contains(text, word) {
			environ = append(environ, variable)
		}
	}
	loaded, err := config.Load(flags, environ)
	if err != nil {
		return err
	}
	for _, w := range loaded.Warnings {
		t.Error("the example provokes a warning:", w)
	}
	return loaded.Config.ValidateRun()
}

// testREADMEMetrics compares the metrics that the README names with those that telemetry registers, both ways.
func testREADMEMetrics(t *testing.T, readme string) {
	pattern := regexp.MustCompile(`\bbalanceq_[a-z_]+`)
	sources, err := filepath.Glob(filepath.Join(moduleRoot, "telemetry", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	registered := map[string]bool{}
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, name := range pattern.FindAllString(readDoc(t, filepath.Join("telemetry", filepath.Base(path))), -1) {
			registered[name] = true
		}
	}
	named := pattern.FindAllString(readme, -1)
	for _, name := range named {
		if !registered[name] {
			t.Errorf("the README names %s, which telemetry does not register", name)
		}
	}
	for name := range registered {
		if !slices.Contains(named, name) {
			t.Errorf("telemetry registers %s, which the README does not name", name)
		}
	}
}

func testMakeTargets(t *testing.T, readme string) {
	makefile := readDoc(t, "Makefile")
	for _, m := range regexp.MustCompile("(?m)`make ([a-z-]+)|^make ([a-z-]+)").FindAllStringSubmatch(readme, -1) {
		if target := m[1] + m[2]; !strings.Contains(makefile, "\n"+target+":") {
			t.Errorf("the Makefile has no target %s", target)
		}
	}
}

// testLinks checks that what relative links point to exists.
func testLinks(t *testing.T, name, text string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(moduleRoot, filepath.Dir(name), m[1])); err != nil {
			t.Errorf("%s links to %s: %v", name, m[1], err)
		}
	}
}

// definedTests returns the names of all tests of the module.
func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	pattern := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := fs.WalkDir(os.DirFS(moduleRoot), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range pattern.FindAllStringSubmatch(readDoc(t, path), -1) {
			names[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
