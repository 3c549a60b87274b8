// Command asyncapi writes what describes the topics to other teams: the AsyncAPI document beside the schemas, and a
// page for people that needs no script. Both are made of the constants of the code, the schemas and their examples.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/balanceq/balanceq/schemas"
)

// Where the two are, from the root of the module.
const (
	documentFile = "schemas/v1/asyncapi.yaml"
	pageFile     = "docs/reference/index.html"
)

func main() {
	files, err := outputs()
	for name, text := range files {
		if err == nil {
			err = write(name, text)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "asyncapi:", err)
		os.Exit(1)
	}
}

func write(name string, text []byte) error {
	name = filepath.FromSlash(name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// outputs returns the files by their names.
func outputs() (map[string][]byte, error) {
	service, err := describe()
	if err != nil {
		return nil, err
	}
	document, err := service.document()
	if err != nil {
		return nil, err
	}
	page, err := service.page()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{documentFile: document, pageFile: page}, nil
}

// read returns a file of schemas/v1.
func read(name string) ([]byte, error) { return fs.ReadFile(schemas.Files, "v1/"+name) }
