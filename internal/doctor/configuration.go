package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
)

func checkConfiguration(s Subject) []finding.Finding {
	if len(s.Problems) == 0 {
		return slices.Concat(ok(keysSet(s.Loaded)), s.Loaded.Warnings, checkHeaders(s.Loaded.Config))
	}
	var found []finding.Finding
	for _, p := range s.Problems {
		found = append(found, p.Finding)
	}
	return found
}

// checkHeaders reads what may be written in a file of its own.
func checkHeaders(cfg config.Config) []finding.Finding {
	_, err := connect.OTLP(cfg.Telemetry.OTLP)
	return finding.Of(err)
}

// spoilt names the key that a problem is about, if it is one of what a check needs: a key, or a section with all below
// it. A problem without a key spoils all of them.
func spoilt(problems []config.Problem, needs []string) (key string, is bool) {
	below := func(name, section string) bool { return name == section || strings.HasPrefix(name, section+".") }
	for _, p := range problems {
		if len(p.Keys) == 0 && len(needs) > 0 {
			return configuration, true
		}
		for _, key := range p.Keys {
			for _, need := range needs {
				if below(key, need) || below(need, key) {
					return key, true
				}
			}
		}
	}
	return "", false
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
