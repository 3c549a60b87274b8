package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/licensecheck"
)

// permissive are the licences under which a program may be passed on with nothing but their text, by SPDX identifier.
// Another one is a decision that somebody has to take.
var permissive = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Zlib", "Unlicense", "CC0-1.0"}

// scanner knows these only; one for all that there are takes seconds to make.
var scanner = sync.OnceValues(func() (*licensecheck.Scanner, error) {
	return licensecheck.NewScanner(slices.DeleteFunc(licensecheck.BuiltinLicenses(), func(l licensecheck.License) bool {
		return !slices.Contains(permissive, l.ID)
	}))
})

var (
	licenceFiles = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|unlicense)([._-].*)?$`)
	noticeFiles  = regexp.MustCompile(`(?i)^(notice|patents|authors)([._-].*)?$`)
)

const leastCovered = 75 // per cent of a licence file that has to be text of these licences

// licences writes the licence texts of everything that a program is made of, as those licences ask for where the
// program is passed on; first a table. It fails at a module without one, and at one that is not permissive.
func licences(ctx context.Context, out io.Writer, program string) error {
	found, info, err := linked(program)
	if err != nil {
		return err
	}
	folders, err := unpacked(ctx, found)
	if err != nil {
		return err
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	const std = "Go's standard library"
	folders[std], found[std] = strings.TrimSpace(string(root)), info.GoVersion
	var table, texts strings.Builder
	var failed []error
	for _, module := range slices.Sorted(maps.Keys(found)) {
		ids, text, err := licence(folders[module])
		if err != nil {
			failed = append(failed, fmt.Errorf("%s %s: %w", module, found[module], err))
			continue
		}
		fmt.Fprintf(&table, "%-60s %-24s %s\n", module, found[module], strings.Join(ids, ", "))
		fmt.Fprintf(&texts, "\n%s\n%s %s\n\n%s", strings.Repeat("=", 100), module, found[module], text)
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	_, err = io.WriteString(out, "What this program is made of, and under which licences; their texts follow.\n\n"+
		table.String()+texts.String())
	return err
}

// unpacked returns the folders of modules in the module cache, into which those are loaded that are missing.
func unpacked(ctx context.Context, found modules) (map[string]string, error) {
	args := []string{"mod", "download", "-json"}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		args = append(args, path+"@"+found[path])
	}
	said, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download: %w", err)
	}
	folders := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(said)); ; {
		var m struct{ Path, Dir string }
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return folders, nil
		} else if err != nil {
			return nil, fmt.Errorf("go mod download: %w", err)
		}
		folders[m.Path] = m.Dir
	}
}

// licence returns the licences of what is in a folder, by SPDX identifier, and the text of its licence files and
// notices.
func licence(folder string) (ids []string, text string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, "", err
	}
	scan, err := scanner()
	if err != nil {
		return nil, "", err
	}
	var b strings.Builder
	for _, entry := range entries {
		of := licenceFiles.MatchString(entry.Name())
		if entry.IsDir() || filepath.Ext(entry.Name()) == ".go" || !of && !noticeFiles.MatchString(entry.Name()) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintf(&b, "%s\n", bytes.TrimRight(content, "\n"))
		if !of {
			continue
		}
		known := scan.Scan(content)
		if known.Percent < leastCovered {
			return nil, "", fmt.Errorf("%s is no licence of those that are known to be permissive: decide whether it may be "+
				"passed on", entry.Name())
		}
		for _, match := range known.Match {
			ids = append(ids, match.ID)
		}
	}
	if len(ids) == 0 {
		return nil, "", errors.New("has no licence file: it may not be passed on")
	}
	slices.Sort(ids)
	return slices.Compact(ids), b.String(), nil
}
