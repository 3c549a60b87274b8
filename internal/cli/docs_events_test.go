package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/telemetry"
)

func TestDocsEvents(t *testing.T) {
	generated(t, operating, "events", telemetry.EventTable("RUNBOOK.md"))

	known := map[string]bool{}
	for _, e := range telemetry.Events {
		known[e.Name] = true
	}
	names := regexp.MustCompile("`([a-z]+(?:_[a-z]+)+)`")
	seen := 0
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("events? `[^|]*?[|;.:]").FindAllString(text, -1) {
			for _, name := range names.FindAllStringSubmatch(m, -1) {
				seen++
				if !known[name[1]] {
					t.Errorf("%s names the event %s, which telemetry.Events does not list", page, name[1])
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d events are named in the documents", seen)
	}
}

// Alerts go by events: every line at warn and error has one that is listed, at the level that is listed, and every
// event that is listed is logged somewhere.
func TestEventsOfTheSource(t *testing.T) {
	level := map[string]string{}
	for _, e := range telemetry.Events {
		if level[e.Name] != "" {
			t.Errorf("%s is listed twice", e.Name)
		}
		level[e.Name] = e.Level.String()
	}
	logged := map[string]bool{}
	for _, line := range logLines(t) {
		switch want, listed := level[line.event]; {
		case line.event == "" && line.level == "info":
		case line.event == "":
			t.Errorf("%s: a line at %s without an event: add .Str(\"event\", …) and list it in telemetry.Events", line.at,
				line.level)
		case !listed:
			t.Errorf("%s: telemetry.Events does not list %s", line.at, line.event)
		case want != line.level && line.level != "varies":
			t.Errorf("%s: %s is logged at %s, and listed at %s", line.at, line.event, line.level, want)
		default:
			logged[line.event] = true
		}
	}
	if len(logged) < 40 {
		t.Errorf("only %d events are found in the source: the test does not see it", len(logged))
	}
	for name := range level {
		if !logged[name] {
			t.Errorf("nothing logs %s", name)
		}
	}
}

// logLine is a call in the source that begins a log line.
type logLine struct {
	at    token.Position
	level string // "varies": a function chooses it
	event string // "": none, or not a literal
}

// logLines returns those at info, warn and error, and all with an event, of all packages but tools.
func logLines(t *testing.T) (lines []logLine) {
	t.Helper()
	fset := token.NewFileSet()
	err := fs.WalkDir(os.DirFS(moduleRoot), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "tools" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, readDoc(t, path), parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		lines = append(lines, linesOf(fset, file)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// linesOf finds chains of calls such as log.Warn().Str("event", "x").Msg("…").
func linesOf(fset *token.FileSet, file *ast.File) (lines []logLine) {
	inner := map[ast.Node]bool{} // calls that are part of a longer chain
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || inner[call] {
			return true
		}
		line := logLine{at: fset.Position(call.Pos())}
		for depth := 0; ; depth++ {
			inner[call] = true
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if method.Sel.Name == "Str" && len(call.Args) == 2 && literal(call.Args[0]) == "event" {
				line.event = literal(call.Args[1])
			}
			if name := method.Sel.Name; len(call.Args) == 0 && (name == "Info" || name == "Warn" || name == "Error") {
				// Of an error, Error() is the end of a chain; of a logger, the beginning.
				if depth > 0 || name != "Error" || isLogger(method.X) {
					line.level = strings.ToLower(name)
				}
			}
			if method.Sel.Name == "WithLevel" {
				line.level = "varies"
			}
			next, ok := method.X.(*ast.CallExpr)
			if !ok {
				break
			}
			call = next
		}
		if line.level == "" && line.event != "" {
			line.level = "varies"
		}
		if line.level != "" {
			lines = append(lines, line)
		}
		return true
	})
	return lines
}

// isLogger goes by the name, as a chain that ends with Error() says nothing else.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.HasSuffix(strings.ToLower(x.Name), "log") || strings.HasSuffix(strings.ToLower(x.Name), "logger")
	case *ast.SelectorExpr:
		return isLogger(x.Sel)
	}
	return false
}

func literal(x ast.Expr) string {
	if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, _ := strconv.Unquote(lit.Value)
		return text
	}
	return ""
}
