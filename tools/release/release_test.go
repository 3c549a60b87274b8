package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNotes(t *testing.T) {
	const changelog = "# Changelog\n\n## Unreleased\n\nSoon.\n\n" +
		"## 1.1.0, 2027-01-02\n\n- **It** is.\n\n### Fixed\n\n- That.\n\n" +
		"## [v1.0.0] (2026-12-01)\nFirst.\n\n## 0.9.0\n\n"
	for version, want := range map[string]string{
		"v1.1.0":                  "- **It** is.\n\n### Fixed\n\n- That.\n",
		"v1.0.0":                  "First.\n",
		"v1.1.0-3-g0123456-dirty": "Soon.\n",
		"0123456":                 "Soon.\n",
		"v1.2.0":                  `no section "1.2.0"`,
		"v1.1":                    "Soon.\n",
		"v2.0.0-rc.1":             `no section "2.0.0-rc.1"`,
		"v0.9.0":                  `section "0.9.0" of the changelog is empty`,
		"v1.1.0, 2027-01-02\n\n-": "Soon.\n",
	} {
		got, err := notes(version, changelog)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: %q; want %q", version, got, want)
		}
	}
}

// This test's own program, and SBOMs of it that are right and wrong.
func TestSBOMs(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 {
		t.Fatal("a program with modules is needed")
	}
	first := info.Deps[0]
	right := purl(info.Main.Path, "v0") + purl("stdlib", "1.0") + `{"type":"file","name":"x"},`
	for _, m := range info.Deps {
		right += purl(m.Path, m.Version+"?type=module&goos=linux#a/package")
	}
	for name, test := range map[string]struct{ components, want string }{
		"agree": {right, fmt.Sprintf("%d modules", len(info.Deps))},
		"one is missing": {strings.Replace(right, purl(first.Path, first.Version+"?type=module&goos=linux#a/package"), "", 1),
			first.Path + " " + first.Version + " is missing"},
		"one more": {right + purl("example.com/a%2Bb", "v1.0.0%2Bincompatible"),
			"example.com/a+b v1.0.0+incompatible is not in the program"},
		"another version": {strings.Replace(right, first.Path+"@"+first.Version, first.Path+"@v9.9.9", 1),
			first.Path + " is " + first.Version + " in the program, and listed as v9.9.9"},
		"of nothing": {"", first.Path + " " + first.Version + " is missing"},
	} {
		text := `{"bomFormat":"CycloneDX","components":[` + strings.TrimSuffix(test.components, ",") + `]}`
		file := written(t, "sbom.json", text)
		var out bytes.Buffer
		err := run(t.Context(), &out, []string{"sboms", program, file})
		if err != nil {
			_, _ = out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), test.want) || (err == nil) != (name == "agree") {
			t.Errorf("%s: %s; want %q", name, out.String(), test.want)
		}
	}
	for _, text := range []string{"", "{}", `{"bomFormat":"SPDX"}`} {
		if err := run(t.Context(), &bytes.Buffer{}, []string{"sboms", program, written(t, "sbom.json", text)}); err == nil {
			t.Errorf("%q is taken for an SBOM", text)
		}
	}
}

func purl(path, version string) string {
	return fmt.Sprintf(`{"type":"library","purl":"pkg:golang/%s@%s"},`, path, version)
}

func written(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLicence(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, text, want string }{
		"Apache":      {"LICENSE", string(apache), "Apache-2.0"},
		"by a suffix": {"License.md", string(apache), "Apache-2.0"},
		"copyleft":    {"COPYING", "https://www.gnu.org/licenses/gpl-3.0.html\n", "COPYING is no licence"},
		"home-made":   {"LICENSE", "Ask me first.\n", "LICENSE is no licence"},
		"code":        {"license.go", string(apache), "no licence file"},
		"none":        {"README", "", "no licence file"},
	} {
		ids, text, err := licence(filepath.Dir(written(t, test.file, test.text)))
		got := strings.Join(ids, ", ")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) || err == nil && text != test.text {
			t.Errorf("%s: %s; want %q", name, got, test.want)
		}
	}
}
