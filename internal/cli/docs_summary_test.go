package cli

import (
	"regexp"
	"strings"
	"testing"
)

// The summary of the benchmarks repeats figures of the page: a new run writes the tables alone.
func TestDocsSummary(t *testing.T) {
	const page = "docs/benchmarks.md"
	_, text, found := strings.Cut(readDoc(t, page), "## In short\n")
	summary, rest, ends := strings.Cut(text, "## Running it")
	figures := regexp.MustCompile(`\d[\d,.]*\d`).FindAllString(summary, -1)
	if !found || !ends || len(figures) < 10 {
		t.Fatalf("%s: a summary with the figures %v", page, figures)
	}
	for _, figure := range figures {
		if !regexp.MustCompile(`(^|[^\d,.])` + regexp.QuoteMeta(figure) + `([^\d]|$)`).MatchString(rest) {
			t.Errorf("%s: %s stands in the summary alone", page, figure)
		}
	}
}
