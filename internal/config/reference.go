package config

import (
	"fmt"
	"strings"
)

// Reference returns the documentation of all keys in Markdown: a table for each section.
func Reference() string {
	var b strings.Builder
	b.WriteString(
		"Every key is a line of the YAML file (`--config`), a flag and an environment variable: `kafka.group`, " +
			"`--kafka.group`, `" + envName("kafka.group") + "`. " +
			"A flag wins over the environment, the environment over the file, the file over the default.\n")

	previous := "-" // not a section
	for i := range keys {
		k := &keys[i]
		section, _, nested := strings.Cut(k.name, ".")
		if !nested {
			section = "general"
		}
		if section != previous {
			fmt.Fprintf(&b, "\n### %s\n\n| key | variable | type | default | what it is for |\n|---|---|---|---|---|\n", section)
			previous = section
		}
		v := k.bind(new(Config))
		kind := v.kind()
		switch v := v.(type) {
		case count:
			kind += " (" + v.unit + ")"
		case rate:
			kind += " (" + v.unit + ")"
		}
		help := k.help
		if !k.secret() && k.example != k.def {
			help += ", for example " + code(k.example)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n",
			code(k.name), code(k.env()), cell(kind), defaultCell(k), cell(help))
	}
	return b.String()
}

func defaultCell(k *key) string {
	switch {
	case k.def != "":
		return code(k.def)
	case k.defNote != "":
		return cell(k.defNote)
	}
	return "none"
}

func code(s string) string { return "`" + s + "`" }

// cell escapes what would end a table's cell; that holds inside code too (GitHub Flavored Markdown, "Tables").
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
