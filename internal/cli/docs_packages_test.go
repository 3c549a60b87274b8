package cli

import (
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tables of packages, the tools' on a page of their own, are what their own documentation begins with.
func TestDocsPackages(t *testing.T) {
	synopses := map[string]string{}
	err := fs.WalkDir(os.DirFS(moduleRoot), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		dir := path.Dir(name)
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleRoot, name), nil,
			parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		if _, known := synopses[dir]; !known || file.Doc != nil {
			synopses[dir] = new(doc.Package).Synopsis(file.Doc.Text())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const head = "\n| package | |\n|---|---|\n"
	program, tools := head, head
	prefix := regexp.MustCompile(`^(?:Package|Command) [\w-]+ `)
	dirs := make([]string, 0, len(synopses))
	for dir := range synopses {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		if synopses[dir] == "" {
			t.Errorf("package %s has no documentation", dir)
		}
		row := fmt.Sprintf("| `%s` | %s |\n", dir, strings.ReplaceAll(prefix.ReplaceAllString(synopses[dir], ""), "|", `\|`))
		if strings.HasPrefix(dir, "tools/") {
			tools += row
		} else {
			program += row
		}
	}
	generated(t, architecture, "packages", program+"\n")
	generated(t, development, "tools", tools+"\n")
}
