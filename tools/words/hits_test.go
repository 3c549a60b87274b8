package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestHits(t *testing.T) {
	for text, want := range map[string]string{
		"func (p *Processor) mayBury()":              "1 bury",
		"settings, hours, clouds, indeed":            "",
		"a\nb\nNothingIsBuriedWhile":                 "3 buried",
		"TAKE_OVER":                                  "1 take over",
		"// the next owner takes\n\t// over at once": "1 takes over",
		"take overlapping ranges":                    "",
		"they take. Over there":                      "",
		"Anew, and mended":                           "1 anew, 1 mended",
		"e2e_witness_test.go":                        "1 witness",
		"KafkaJudge JUDGE":                           "1 judge, 1 judge",
		"HTTPSettle, IDs, AMQP":                      "1 settle",
		"/v1/termination-inquiry?Format":             "",
		"take":                                       "",
	} {
		var got []string
		for _, h := range hits(text) {
			got = append(got, fmt.Sprintf("%d %s", h.line, h.form))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: %q, not %q", text, strings.Join(got, ", "), want)
		}
	}
}

// A word that stands twice, or with a capital, would be looked for in vain.
func TestList(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range retired {
		for _, form := range r.forms {
			if seen[form] || form != strings.ToLower(form) || strings.Count(form, " ") > 1 || r.instead == "" {
				t.Errorf("the entry of %q", form)
			}
			seen[form] = true
		}
	}
}
