package client_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The program of the documentation compiles as it stands (go list -export does that, and links nothing).
func TestProgramOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)<!-- program -->\n```go\n(.*?)```").FindSubmatch(page)
	if program == nil {
		t.Fatal("docs/client.md has no program")
	}
	dir := t.TempDir()
	source, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	here, err := filepath.Abs("program_of_the_docs") // there is no such folder
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "main.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{source: program[1], overlay: list} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compile := exec.CommandContext(t.Context(), "go", "list", "-export", "-overlay", overlay, "./program_of_the_docs")
	out, err := compile.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
