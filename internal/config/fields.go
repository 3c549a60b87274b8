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

// FieldName returns the keys that set a field of cmsclient.Config, as its messages are to call it.
func FieldName(field string) string {
	if behind, ok := behindFields[field]; ok {
		return strings.Join(behind, ", ")
	}
	return keyOf(field)
}

// keyOf returns the key of a field of cmsclient.Settings: "Breaker.MaxOpenTime" is cms.breaker.max-open-time.
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
	for _, e := range c.CMS.Check(FieldName) {
		if e.Field != "URL" || c.CMS.URL != "" {
			keys := []string{keyOf(e.Field)}
			for _, field := range e.With {
				keys = append(keys, keyOf(field))
			}
			problems = append(problems, wrong(e.What, e.Fix, keys...))
		}
	}
	return problems
}
