package cli

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"
)

// The documents are held against the program: what they quote parses, validates and exists. Each test names the page.

var update = flag.Bool("update", false, "write the generated parts of the documents")

const (
	moduleRoot    = "../.."
	readme        = "README.md"
	configuration = "docs/configuration.md"
	compatibility = "docs/COMPATIBILITY.md"
	contracts     = "docs/contracts.md"
	operating     = "docs/operating.md"
	runbook       = "docs/RUNBOOK.md"
	architecture  = "docs/ARCHITECTURE.md"
	failures      = "docs/failures.md"
	development   = "docs/development.md"
	security      = "SECURITY.md"
	changelog     = "CHANGELOG.md" // its releases had other names
)

// pages are all documents of the module, by their path from its root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(moduleRoot, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, err := filepath.Rel(moduleRoot, path)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.ToSlash(name)] = readDoc(t, name)
		}
	}
	for _, name := range []string{
		readme, configuration, contracts, operating, runbook, architecture, failures, development, changelog,
	} {
		if all[name] == "" {
			t.Fatalf("there is no %s", name)
		}
	}
	return all
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A README that is longer is not read.
func TestDocsREADMEIsShort(t *testing.T) {
	if lines := strings.Count(readDoc(t, readme), "\n"); lines > 200 {
		t.Errorf("%s has %d lines, more than 200", readme, lines)
	}
}

func TestDocsReference(t *testing.T) {
	generated(t, configuration, "config reference", config.Reference())
	cfg := config.Default()
	cfg.Delivery = config.DeliveryExactlyOnce
	generated(t, compatibility, "rights", rights.Table(cfg))
}

// generated holds the part of a page between two marks against what it is made of, or writes it with -update.
func generated(t *testing.T, page, mark, want string) {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", mark), fmt.Sprintf("<!-- %s: end -->\n", mark)
	text := readDoc(t, page)
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no part from %q to %q", page, begin, end)
	}
	whole := before + begin + want + end + after
	switch {
	case text == whole:
	case !*update:
		t.Errorf("the %s of %s is out of date: make docs", mark, page)
	default:
		if err := os.WriteFile(filepath.Join(moduleRoot, filepath.FromSlash(page)), []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Every reason has a link where the headers are explained; what to do about it is in the runbook alone.
func TestDocsReasons(t *testing.T) {
	text := readDoc(t, contracts)
	for _, reason := range schemas.Reasons {
		if !strings.Contains(text, fmt.Sprintf("[`%s`](RUNBOOK.md#%[1]s)", reason)) {
			t.Errorf("%s does not list the reason %s", contracts, reason)
		}
	}
}

// The table of metrics is the catalogue, and no page names a metric that is not in it. telemetry's own test holds the
// catalogue against what is served.
func TestDocsMetrics(t *testing.T) {
	generated(t, operating, "metrics", metricTable(t))
	pattern := regexp.MustCompile(`\bbalanceq_[a-z_]+`)
	recorded := regexp.MustCompile(`\b\w+:balanceq_[a-z_]+`) // by rules of deploy/prometheus
	known := map[string]bool{}
	for _, m := range telemetry.Catalogue {
		known[m.Name] = true
		if m.Type == telemetry.Histogram {
			known[m.Name+"_bucket"], known[m.Name+"_sum"], known[m.Name+"_count"] = true, true, true
		}
	}
	for page, text := range pages(t) {
		for _, name := range pattern.FindAllString(recorded.ReplaceAllString(text, ""), -1) {
			if !known[name] && page != changelog {
				t.Errorf("%s names %s, which telemetry does not have", page, name)
			}
		}
	}
}

// Settings that are named exist, or are the beginning of some that do. Two pages name packages as well.
func TestDocsSettings(t *testing.T) {
	reference := config.Reference()
	sections := "kafka|topics|cms|consumer|producer|results|requests|deadletters|http|watchdog|telemetry|log|shutdown"
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("`((?:"+sections+")\\.[a-z.-]+)(?:: [^`]+)?`").FindAllStringSubmatch(text, -1) {
			isPackage := (page == architecture || strings.HasPrefix(page, "docs/adr/")) && !strings.Contains(m[1], "-")
			exists := strings.Contains(reference, "| `"+m[1]+"` |") || strings.Contains(reference, "| `"+m[1]+".")
			if !exists && !isPackage && page != changelog {
				t.Errorf("%s: there is no setting %s", page, m[1])
			}
		}
	}
}

// Targets of the Makefile that are named exist.
func TestDocsMakeTargets(t *testing.T) {
	makefile := readDoc(t, "Makefile")
	for page, text := range pages(t) {
		for _, b := range blocks(text) {
			text += strings.ReplaceAll(b.text, "make ", "`make ")
		}
		for _, m := range regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", page, m[1])
			}
		}
	}
}

// Tests, files and folders that are named exist.
func TestDocsNames(t *testing.T) {
	tests := definedTests(t)
	file := regexp.MustCompile(
		"`(?:go run )?(?:\\./)?((?:[a-z][\\w.-]*/)+[\\w.-]+\\.(?:go|json|yaml|yml)|(?:cmd|internal|tools|docs|consumer|cmsclient)/[\\w./-]+)\\b")
	for page, text := range pages(t) {
		if page == changelog {
			continue
		}
		for _, test := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(text, -1) {
			if !tests[test] {
				t.Errorf("%s names %s, which no test file defines", page, test)
			}
		}
		for _, m := range file.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(moduleRoot, m[1])); err != nil {
				t.Errorf("%s names %s: %v", page, m[1], err)
			}
		}
	}
}

// Each row of the threat model says what is stopped, by which tests (TestDocsNames holds that they exist), and what
// is not.
func TestDocsThreats(t *testing.T) {
	_, table, _ := strings.Cut(readDoc(t, security), "<!-- threats -->")
	table, _, _ = strings.Cut(table, "<!-- /threats -->")
	rows := 0
	for line := range strings.Lines(strings.TrimSpace(table)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| who ") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 || strings.TrimSpace(cells[1]) == "" || strings.TrimSpace(cells[3]) == "" ||
			!regexp.MustCompile("`Test[A-Z]").MatchString(cells[2]) {
			t.Errorf("the row lacks a part: %.120s", line)
		}
	}
	if rows < 10 {
		t.Errorf("%d rows", rows)
	}
}

// explainsCode says that a page names the parts of the source.
func explainsCode(page string) bool {
	return page == architecture || page == failures || strings.HasPrefix(page, "docs/adr/")
}

// Identifiers that are named where the code is explained are in it: a renamed one would be looked for in vain.
func TestDocsIdentifiers(t *testing.T) {
	known := map[string]bool{}
	for _, source := range append(sources(t, "."), readDoc(t, "Makefile"), readDoc(t, "Dockerfile")) {
		for _, name := range regexp.MustCompile(`\w+`).FindAllString(source, -1) {
			known[name] = true
		}
	}
	for page, text := range pages(t) {
		if !explainsCode(page) {
			continue
		}
		for _, m := range regexp.MustCompile("`([A-Za-z]\\w*(?:\\.[A-Za-z]\\w*)*)`").FindAllStringSubmatch(text, -1) {
			for part := range strings.SplitSeq(m[1], ".") {
				if !known[part] && !strings.HasPrefix(part, "Test") && !strings.HasPrefix(part, "Fuzz") {
					t.Errorf("%s names %s, and no source has %s", page, m[1], part)
				}
			}
		}
	}
}

// definedTests returns the names of all tests of the module.
func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	pattern := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := fs.WalkDir(os.DirFS(moduleRoot), ".", func(path string, _ fs.DirEntry, err error) error {
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

// sources returns the Go files of packages and of those below them, tests excepted.
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

// Relative links lead to files that exist, and to sections of theirs.
func TestDocsLinks(t *testing.T) {
	all := pages(t)
	link := regexp.MustCompile(`\]\(([^)\s#:]*)(?:#([^)]*))?\)`)
	seen := 0
	for page, text := range all {
		for _, m := range link.FindAllStringSubmatch(codeless(text), -1) {
			target := page
			if m[1] != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), m[1]))
			}
			seen++
			if _, err := os.Stat(filepath.Join(moduleRoot, target)); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if m[2] != "" && !slices.Contains(anchors(all[target]), m[2]) {
				t.Errorf("%s links to %s: there is no section %s", page, target, m[2])
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d links are found", seen)
	}
}

// The README is the index: it links to every page, decision records excepted, which have an index of their own.
func TestDocsIndex(t *testing.T) {
	all := pages(t)
	for page := range all {
		index, dir := readme, ""
		if strings.HasPrefix(page, "docs/adr/") && page != "docs/adr/README.md" {
			index, dir = "docs/adr/README.md", "docs/adr/"
		}
		if page != index && !strings.Contains(all[index], "]("+strings.TrimPrefix(page, dir)) {
			t.Errorf("%s does not link to %s", index, page)
		}
	}
}

// codeless is a text without its blocks of code.
func codeless(text string) string { return blockPattern.ReplaceAllString(text, "") }

// anchors are the sections of a page, as GitHub names them.
func anchors(text string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(codeless(text), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
