package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"balanceq/cmd/internal/config"
)

func checkConfiguration(s Subject) Finding {
	err := s.LoadErr
	if err == nil {
		err = s.Loaded.Config.ValidateRun()
	}
	if err != nil {
		return merge(problems(Fail, strings.Split(err.Error(), "\n"))...)
	}
	return merge(append([]Finding{ok(keysSet(s.Loaded))}, problems(Warn, s.Loaded.Warnings)...)...)
}

// problems makes a finding of each line, which is a problem with its fix: "key: problem; fix", or "key is wrong: fix".
func problems(status Status, lines []string) []Finding {
	var findings []Finding
	for _, line := range lines {
		detail, fix, found := strings.Cut(line, "; ")
		if !found {
			detail, fix = splitFix(line)
		}
		findings = append(findings, Finding{status, detail, fix})
	}
	return findings
}

// splitFix splits "problem: fix", the form of most errors of ours.
func splitFix(text string) (problem, fix string) {
	if at := strings.LastIndex(text, ": "); at >= 0 {
		return text[:at], text[at+2:]
	}
	return text, "correct it; balanceq config reference explains the keys"
}

// keysSet says how many keys are not at their default, and by what: "3 keys set (balanceq.yaml, environment)".
func keysSet(loaded *config.Loaded) string {
	var text bytes.Buffer
	var entries map[string]struct{ Origin string }
	if loaded.Print(&text, config.FormatJSON) != nil || json.Unmarshal(text.Bytes(), &entries) != nil {
		return "valid" // cannot be: the one writes what the other reads
	}
	count := 0
	var sources []string
	for _, e := range entries {
		source := e.Origin
		switch _, isKey := entries[source]; {
		case source == "default":
			continue
		case isKey: // the key of a secret's file
			source = "secret files"
		case strings.HasPrefix(source, "--"):
			source = "flags"
		case strings.HasPrefix(source, "BALANCEQ_"):
			source = "environment"
		default: // file:line
			source = source[:max(0, strings.LastIndex(source, ":"))]
		}
		count++
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	slices.Sort(sources)
	keys := "keys"
	if count == 1 {
		keys = "key"
	}
	if count == 0 {
		return "no key set"
	}
	return fmt.Sprintf("%d %s set (%s)", count, keys, strings.Join(sources, ", "))
}
