package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const moduleRoot = "../.."

// libraries are the packages that others may use without the program, and so without its keys.
var libraries = []string{"cmsclient", "cmssim", "consumer", "deadletter", "inflight", "kafkawire", "processor",
	"producer",
	"schemas", "telemetry"}

// dotted is what may be a key: a section, a dot and a name, and nothing that makes it part of another word.
var dotted = regexp.MustCompile(`(?:^|[^\w./])((?:` + strings.Join(sections(), "|") +
	`)\.[a-z][a-z-]*(?:\.[a-z][a-z-]*)*)`)

// noKeys are other words with a dot: files of examples, Kafka's scripts and settings, functions of a library.
var noKeys = []string{"deadletters.ndjson", "deadletters.csv", "requests.csv", "topics.sh", "log.segment.bytes",
	"log.message.format.version",
	"kafka.from", "kafka.to", "schema-registry.md"}

func sections() (all []string) {
	for i := range keys {
		if section, _, nested := strings.Cut(keys[i].name, "."); nested && !slices.Contains(all, section) {
			all = append(all, section)
		}
	}
	return all
}

// A library names fields, and only the program knows by which keys they are set.
func TestLibrariesNameNoKeys(t *testing.T) {
	for _, library := range libraries {
		eachText(t, library, func(at token.Position, text string) {
			for _, m := range dotted.FindAllStringSubmatch(text, -1) {
				if lookup(m[1]) != nil {
					t.Errorf("%s: %s is a key: name the field, and let the program map it", at, m[1])
				}
			}
		})
	}
}

// Every key that the program or the documents name exists, or is the beginning of some that do.
func TestKeysThatAreNamedExist(t *testing.T) {
	seen := 0
	for _, program := range []string{"cmd", "internal", "tools", "cmssim/serve"} {
		eachText(t, program, func(at token.Position, text string) {
			for _, m := range dotted.FindAllStringSubmatch(text, -1) {
				seen++
				if name := m[1]; !beginsKey(name) && !slices.Contains(noKeys, name) {
					t.Errorf("%s: there is no key %s", at, name)
				}
			}
		})
	}
	for at, text := range documents(t) {
		for _, m := range dotted.FindAllStringSubmatch(text, -1) {
			seen++
			if name := m[1]; !beginsKey(name) && !slices.Contains(noKeys, name) {
				t.Errorf("%s: there is no key %s", at, name)
			}
		}
	}
	if seen < 300 {
		t.Errorf("only %d keys are named: the test does not see them", seen)
	}
}

// documents are what operators read, by path. ARCHITECTURE and the decision records name the parts of the source
// instead, and another test holds those.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths := []string{filepath.Join(moduleRoot, "README.md")}
	pages, err := filepath.Glob(filepath.Join(moduleRoot, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	paths = append(paths, pages...)
	texts := map[string]string{}
	for _, path := range paths {
		if filepath.Base(path) == "ARCHITECTURE.md" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(data)
	}
	return texts
}

func beginsKey(name string) bool {
	return slices.ContainsFunc(keys, func(k key) bool {
		return k.name == name || strings.HasPrefix(k.name, name+".") || strings.HasPrefix(k.name, name+"-")
	})
}

// eachText calls f for every string and comment of the Go files below a folder, tests excepted.
func eachText(t *testing.T, folder string, f func(at token.Position, text string)) {
	t.Helper()
	fset := token.NewFileSet()
	err := fs.WalkDir(os.DirFS(moduleRoot), folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if strings.HasPrefix(path, "cmssim/serve/") && folder == "cmssim" { // the simulator as a program
			return nil
		}
		file, err := parser.ParseFile(fset, filepath.Join(moduleRoot, path), nil,
			parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				f(fset.Position(lit.Pos()), lit.Value)
			}
			return true
		})
		for _, group := range file.Comments {
			f(fset.Position(group.Pos()), group.Text())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
