package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files that hold expected output")

const wantMark = "# want: "

// TestInvalidFiles loads every file of testdata/invalid. The lines that begin with "# want: " hold the whole message.
func TestInvalidFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("files: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, wantMark); ok {
					want = append(want, strings.TrimSpace(text))
				}
			}
			loaded, err := Load(parse(t, "--config="+path), nil)
			if err == nil {
				t.Fatalf("loaded: %+v", loaded.Config)
			}
			got := strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", "")
			if got != strings.Join(want, "\n") {
				t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the message repeats a secret: %s", got)
			}
		})
	}
}

func TestFileForms(t *testing.T) {
	tests := map[string]string{
		"nested":          "kafka:\n  brokers: a:1,b:2\n",
		"dotted":          "kafka.brokers: a:1,b:2\n",
		"list":            "kafka:\n  brokers:\n  - a:1\n  - b:2\n",
		"flow":            "{kafka: {brokers: ['a:1', \"b:2\"]}}\n",
		"JSON":            `{"kafka": {"brokers": ["a:1", "b:2"]}}`,
		"byte order mark": "\ufeffkafka:\n  brokers: a:1,b:2\n",
		"start mark":      "---\nkafka:\n  brokers: a:1,b:2\n",
		"line ends":       "kafka:\r\n  brokers: a:1,b:2\r\n",
		"empty sections":  "cms:\n  # url: x\nlog: {}\nkafka:\n  brokers: a:1,b:2\n",
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			loaded := load(t, parse(t, "--config="+write(t, data)))
			if got := strings.Join(loaded.Config.Kafka.Brokers, " "); got != "a:1 b:2" {
				t.Errorf("brokers: %q", got)
			}
		})
	}
}

func TestFileWithoutContent(t *testing.T) {
	for _, data := range []string{"", "\n", "# only this\n", "---\n", "~\n"} {
		loaded := load(t, parse(t, "--config="+write(t, data)))
		if loaded.Config.Kafka.Group != "balanceq" {
			t.Errorf("%q: group %q", data, loaded.Config.Kafka.Group)
		}
	}
}

// Text is taken as written: YAML 1.1 would read these as a number, a bool and a date.
func TestFileGuessesNothing(t *testing.T) {
	path := write(t, "kafka:\n  group: 007\n  client-id: yes\ninstance: 2026-08-01\nhttp:\n  listen: off\n")
	c := load(t, parse(t, "--config="+path)).Config
	if c.Kafka.Group != "007" || c.Kafka.ClientID != "yes" || c.Instance != "2026-08-01" || c.HTTP.Listen != "" {
		t.Errorf("got %+v", c)
	}
}

func TestFileUnreadable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	large := write(t, strings.Repeat("#", maxFileSize+1))
	for path, want := range map[string]string{
		missing: "config: reading configuration file: open " + missing +
			": no such file or directory; check --config and BALANCEQ_CONFIG",
		large: "config: reading configuration file: " + large + " is larger than 1MiB; check --config and BALANCEQ_CONFIG",
	} {
		if _, err := Load(parse(t, "--config="+path), nil); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	paths, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(Example()))
	f.Fuzz(func(t *testing.T, data []byte) {
		settings, problems := parseFile("x.yaml", data)
		seen := map[string]bool{}
		for _, s := range settings {
			if seen[s.key.name] || s.key.secret() {
				t.Errorf("setting %s: given twice or a secret", s.key.name)
			}
			seen[s.key.name] = true
		}
		for _, p := range problems {
			if text := p.String(); strings.Contains(text, "\n") || !strings.Contains(text, "(x.yaml:") {
				t.Errorf("problem: %q", text)
			}
		}
	})
}
