package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

func checkConfiguration(s Subject) []finding.Finding {
	err := s.LoadErr
	if err == nil {
		err = s.Loaded.Config.ValidateRun()
	}
	if err != nil {
		return failed(err, "correct it; balanceq config reference explains the keys")
	}
	return append(ok(keysSet(s.Loaded)), s.Loaded.Warnings...)
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
