package config

import (
	"regexp"
	"strings"

	"github.com/balanceq/balanceq/internal/finding"
)

// environment returns our variables among environ, which holds NAME=value as os.Environ does. The last of a name
// counts.
func environment(environ []string) map[string]string {
	variables := map[string]string{}
	for _, entry := range environ {
		if name, v, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			variables[name] = v
		}
	}
	return variables
}

// foreign matches variables that start like those of balanceq and are not: those that Kubernetes sets in every pod for
// a service called balanceq or balanceq-something (its documentation: "Environment variables"), and those of our own
// tests.
var foreign = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT$|_PORT_\d+_(TCP|UDP|SCTP)(_|$)` +
	`|^BALANCEQ_TEST_|^BALANCEQ_REQUIRE_CONTAINERS$`)

// unknownVariable warns of a variable that looks like one of balanceq's, if it does. It cannot be an error: what else
// is in the environment is not always up to its user. The value is left out, it may be a secret.
func unknownVariable(name string) []finding.Finding {
	if foreign.MatchString(name) {
		return nil
	}
	known := []string{envName(fileFlag)}
	for i := range keys {
		known = append(known, keys[i].env())
	}
	return []finding.Finding{{
		Key: visible(name), What: "unknown variable, ignored", Fix: suggestion(name, known), Severity: finding.Warn,
	}}
}
