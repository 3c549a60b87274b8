// Command words looks for retired words, see list.go, in all files that git knows: their names and their text. It
// prints each with what to write instead and ends with 1 if there is one. Arguments are paths to look at instead of
// all.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// exempt are the files that have to name retired words: what they were called in a release, and the list of them.
func exempt(path string) bool {
	return path == "CHANGELOG.md" || strings.HasPrefix(path, "tools/words/")
}

func main() {
	found, err := run(os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(2)
	}
	if found > 0 {
		fmt.Fprintf(os.Stderr, "words: %d retired words; tools/words/list.go says why\n", found)
		os.Exit(1)
	}
}

func run(out io.Writer, paths []string) (found int, err error) {
	args := append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"}, paths...)
	list, err := exec.CommandContext(context.Background(), "git", args...).Output()
	if err != nil {
		return 0, fmt.Errorf("listing the files: %w", err)
	}
	for path := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if path == "" || exempt(path) {
			continue
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // deleted, and not yet so for git
		}
		if err != nil {
			return found, err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			text = nil // not a text: its name alone counts
		}
		for _, h := range append(hits(path), hits(string(text))...) {
			found++
			_, _ = fmt.Fprintf(out, "%s:%d: %s (say: %s)\n", path, h.line, h.form, h.instead)
		}
	}
	return found, nil
}
