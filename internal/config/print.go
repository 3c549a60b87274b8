package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The formats of Print.
const (
	FormatYAML = "yaml" // a configuration file, each line with where it came from
	FormatJSON = "json" // an object of objects by key: value (text) and origin
)

// Print writes the effective configuration. Secrets are redacted; in YAML they are comments, so that the output can be
// used as a file again. The error is w's, or says that the format is not known.
func (l *Loaded) Print(w io.Writer, format string) error {
	switch format {
	case FormatYAML:
		return writeYAML(w, &l.Config, func(k *key) (above, beside string) { return "", l.Origin(k.name) })
	case FormatJSON:
		return l.printJSON(w)
	}
	return fmt.Errorf("format: %q is not known; use %s or %s", format, FormatYAML, FormatJSON)
}

func (l *Loaded) printJSON(w io.Writer) error {
	type entry struct {
		Value  string `json:"value"`
		Origin string `json:"origin"`
	}
	entries := map[string]entry{}
	for i := range keys {
		entries[keys[i].name] = entry{keys[i].bind(&l.Config).String(), l.Origin(keys[i].name)}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(entries)
}

// Example returns a configuration file with every key at its default and what it is for.
func Example() string {
	var b strings.Builder
	b.WriteString("# balanceq's configuration: every key with its default. Keep the lines you change.\n" +
		"# A flag (--kafka.group) or a variable (" + envName("kafka.group") + ") wins over this file.\n")
	c := Default()
	// A strings.Builder does not fail.
	_ = writeYAML(&b, &c, func(k *key) (above, beside string) {
		return k.helpText(), ""
	})
	return b.String()
}

// writeYAML writes a configuration file in the order of the table. comment returns what to write above and beside a
// key.
func writeYAML(w io.Writer, c *Config, comment func(*key) (above, beside string)) error {
	var b strings.Builder
	var open []string // the sections around the previous line
	for i := range keys {
		k := &keys[i]
		path := strings.Split(k.name, ".")
		sections := path[:len(path)-1]

		common := 0
		for common < len(open) && common < len(sections) && open[common] == sections[common] {
			common++
		}
		for depth := common; depth < len(sections); depth++ {
			fmt.Fprintf(&b, "%s%s:\n", indent(depth), sections[depth])
		}
		open = sections

		above, beside := comment(k)
		margin := indent(len(sections))
		if above != "" {
			fmt.Fprintf(&b, "%s# %s\n", margin, above)
		}
		line := path[len(path)-1] + ": " + yamlText(k.bind(c))
		if k.secret() {
			line = strings.TrimRight("# "+path[len(path)-1]+": "+k.bind(c).String(), " ")
			if beside == "" || beside == originDefault {
				line += " only from " + k.env()
				beside = ""
			}
		}
		if beside != "" {
			line += " # " + beside
		}
		b.WriteString(margin + line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// yamlText writes a value so that YAML reads back the same text.
func yamlText(v value) string {
	switch v := v.(type) {
	case list:
		items := make([]string, len(*v.field))
		for i, item := range *v.field {
			items[i] = strconv.Quote(item) // its escapes are YAML's too
		}
		return "[" + strings.Join(items, ", ") + "]"
	case text, choice, address, date:
		data, err := yaml.Marshal(v.String())
		if err != nil || strings.Count(string(data), "\n") != 1 {
			return strconv.Quote(v.String())
		}
		return strings.TrimSuffix(string(data), "\n")
	}
	return v.String() // numbers, units, true and false: nothing in them means anything to YAML
}
