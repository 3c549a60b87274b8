package config

import (
	"strings"
	"unicode"
)

// behindFields are the keys of what cmsclient.Config has as values of other packages.
var behindFields = map[string][]string{
	"Auth":             {"cms.auth.consumer-key", "cms.auth.key-file"},
	"Decrypter":        {"cms.decryption.key-files"},
	"Proxy":            {"cms.proxy"},
	"TLS.RootCAs":      {"cms.tls.ca-file"},
	"TLS.Certificates": {"cms.tls.cert-file", "cms.tls.key-file"},
}

// KeysOf returns the keys that set a field of cmsclient.Config, by the field's name in the errors of that package:
// "Breaker.MaxOpenTime" is cms.breaker.max-open-time.
func KeysOf(fields ...string) []string {
	var all []string
	for _, field := range fields {
		if behind, ok := behindFields[field]; ok {
			all = append(all, behind...)
			continue
		}
		all = append(all, keyOf(field))
	}
	return all
}

// keyOf is KeysOf for a field of cmsclient.Settings.
func keyOf(field string) string {
	var b strings.Builder
	b.WriteString("cms.")
	boundary := true
	for _, r := range field {
		upper := unicode.IsUpper(r)
		if upper && !boundary {
			b.WriteByte('-')
		}
		boundary = upper || r == '.' // of several capitals only the first begins a word: URL
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// cmsProblems returns what cmsclient finds wrong with its settings, but that there is no URL: only run needs one.
func (c *Config) cmsProblems() (problems []problem) {
	for _, e := range c.CMS.Check(keyOf) {
		if e.Field != "URL" || c.CMS.URL != "" {
			problems = append(problems, problem{keys: KeysOf(append([]string{e.Field}, e.With...)...), text: e.What + "; " + e.Fix})
		}
	}
	return problems
}
