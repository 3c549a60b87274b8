package main

import (
	"fmt"
	"regexp"
	"strings"
)

// releases are versions that are released, and not built from somewhere between two of them.
var releases = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?$`)

// notes is the section of the changelog about a version, without its heading. What is not a release is about what is
// not released yet.
func notes(version, changelog string) (string, error) {
	title := "Unreleased"
	if releases.MatchString(version) {
		title = strings.TrimPrefix(version, "v")
	}
	heading := regexp.MustCompile(`(?m)^## \[?v?` + regexp.QuoteMeta(title) + `\]?(?:[ ,(].*)?\n`)
	at := heading.FindStringIndex(changelog)
	if at == nil {
		return "", fmt.Errorf("the changelog has no section %q: rename Unreleased to \"## %s, the day\", and begin a new one",
			title, title)
	}
	section := changelog[at[1]:]
	if next := strings.Index(section, "\n## "); next >= 0 {
		section = section[:next+1]
	}
	if section = strings.TrimSpace(section); section == "" {
		return "", fmt.Errorf("section %q of the changelog is empty: say what users, subscribers and operators notice", title)
	}
	return section + "\n", nil
}
