package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
)

// modules are the modules that a program is made of, besides its own, with their versions.
type modules map[string]string

// linked reads them from the program itself, where Go's linker has put them.
func linked(program string) (modules, *buildinfo.BuildInfo, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, nil, err
	}
	found := modules{}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return nil, nil, fmt.Errorf("%s: %s is replaced, which go install refuses: release what is published",
				program, m.Path)
		}
		found[m.Path] = m.Version
	}
	return found, info, nil
}

// listed reads the modules of an SBOM in CycloneDX's JSON. The standard library, which tools name differently or not at
// all, and the module of the program itself are left out.
func listed(file, own string) (modules, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var sbom struct {
		Format     string `json:"bomFormat"`
		Components []struct {
			PURL string `json:"purl"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &sbom); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if sbom.Format != "CycloneDX" {
		return nil, fmt.Errorf("%s: not an SBOM of CycloneDX in JSON", file)
	}
	found := modules{}
	for _, c := range sbom.Components {
		name, isModule := strings.CutPrefix(c.PURL, "pkg:golang/")
		if !isModule {
			continue
		}
		name, _, _ = strings.Cut(name, "?")
		name, _, _ = strings.Cut(name, "#")
		path, version, _ := strings.Cut(name, "@")
		if path, err = url.PathUnescape(path); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file, c.PURL, err)
		}
		if version, err = url.PathUnescape(version); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file, c.PURL, err)
		}
		if path != own && path != "std" && path != "stdlib" {
			found[path] = version
		}
	}
	return found, nil
}

// compare fails where an SBOM lists other modules or versions than the program was linked from.
func compare(out io.Writer, program string, files []string) error {
	want, info, err := linked(program)
	if err != nil {
		return err
	}
	for _, file := range files {
		got, err := listed(file, info.Main.Path)
		if err != nil {
			return err
		}
		if different := difference(want, got); len(different) > 0 {
			return fmt.Errorf("%s does not list what %s is made of:\n  %s", file, program, strings.Join(different, "\n  "))
		}
	}
	_, err = fmt.Fprintf(out, "%d modules, as %s lists them: %s\n", len(want), program, strings.Join(files, ", "))
	return err
}

// difference has a line for each module that only one of two lists has, or in another version.
func difference(program, sbom modules) (lines []string) {
	all := maps.Clone(program)
	maps.Copy(all, sbom)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		in, is := program[path], sbom[path]
		switch {
		case in == is:
		case is == "":
			lines = append(lines, fmt.Sprintf("%s %s is missing", path, in))
		case in == "":
			lines = append(lines, fmt.Sprintf("%s %s is not in the program", path, is))
		default:
			lines = append(lines, fmt.Sprintf("%s is %s in the program, and listed as %s", path, in, is))
		}
	}
	return lines
}
