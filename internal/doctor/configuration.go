package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
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
	given := loaded.Given()
	var sources []string
	for _, origin := range given {
		var source string
		switch _, isKey := given[origin]; {
		case isKey: // the key of a secret's file
			source = "secret files"
		case strings.HasPrefix(origin, "--"):
			source = "flags"
		case strings.HasPrefix(origin, "BALANCEQ_"):
			source = "environment"
		default: // file:line
			source = origin[:max(0, strings.LastIndex(origin, ":"))]
		}
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	slices.Sort(sources)
	switch len(given) {
	case 0:
		return "no key set"
	case 1:
		return fmt.Sprintf("1 key set (%s)", sources[0])
	}
	return fmt.Sprintf("%d keys set (%s)", len(given), strings.Join(sources, ", "))
}
