package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// The forms of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

func checkOutput(form string) error {
	if form != outputText && form != outputJSON {
		return fmt.Errorf("--output: %q is not known; write text or json", form)
	}
	return nil
}

// printer writes answers, a line each.
type printer struct {
	out   io.Writer
	json  bool
	wide  int    // the widest contract id so far, so that lines stand under each other
	clear func() // called before each line: takes a progress bar out of the way
}

// show writes one answer. In text, when stands at the beginning of the line and trailer at its end.
func (p *printer) show(a *answer, when, trailer string) error {
	var line string
	if p.json {
		text, err := a.json()
		if err != nil {
			return err
		}
		line = string(text)
	} else {
		line = p.text(a, when, trailer)
	}
	p.clear()
	_, err := io.WriteString(p.out, line+"\n")
	return err
}

func (p *printer) text(a *answer, when, trailer string) string {
	contract := "-"
	if a.contractID != 0 {
		contract = schemas.MaskID(a.contractID)
	}
	p.wide = max(p.wide, len(contract), 8)
	outcome, detail := "dead letter", deadLetterText(&a.info)
	if a.result != nil {
		outcome, detail = printable(a.result.Outcome), resultText(a.result)
	}
	line := fmt.Sprintf("%s  %-*s  %-11s  %s", when, p.wide, contract, outcome, detail)
	if trailer != "" {
		line += "  " + trailer
	}
	return line
}

// resultText is like "AVAILABLE 9811.31 EUR, BLOCKED 12.00 EUR; missing: DUE".
func resultText(r *schemas.Result) string {
	if r.Outcome == schemas.OutcomeFailed {
		return printable(string(r.Reason))
	}
	var balances []string
	for _, b := range r.Balances {
		text := b.Code
		if b.Value == "" {
			text += " without a value"
		}
		for _, s := range []string{b.Value, b.Currency} {
			if s != "" {
				text += " " + s
			}
		}
		balances = append(balances, text)
	}
	parts := []string{strings.Join(balances, ", ")}
	if len(balances) == 0 {
		parts[0] = "no balances"
	}
	if len(r.MissingBalanceCodes) > 0 {
		parts = append(parts, "missing: "+strings.Join(r.MissingBalanceCodes, ", "))
	}
	return printable(strings.Join(parts, "; "))
}

// deadLetterText is like "attempts-exhausted: the CMS fails (HTTP 500 SYSTEM_ERROR, 5 attempts)".
func deadLetterText(i *schemas.DeadLetterInfo) string {
	text := string(i.Reason)
	if i.Detail != "" {
		text = strings.TrimPrefix(text+": "+i.Detail, ": ")
	}
	var facts []string
	if i.HTTPStatus != 0 && !strings.Contains(i.Detail, strconv.Itoa(i.HTTPStatus)) { // most details have it
		facts = append(facts, strings.TrimSpace("HTTP "+strconv.Itoa(i.HTTPStatus)+" "+i.CMSReasonCode))
	}
	if i.Attempts > 1 {
		facts = append(facts, strconv.Itoa(i.Attempts)+" attempts")
	}
	if len(facts) > 0 {
		text += " (" + strings.Join(facts, ", ") + ")"
	}
	return printable(text)
}

// printable makes text of others fit for a terminal: escape sequences begin with characters that have no glyph.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, s)
}

// latencyText rounds to what a person reads at a glance.
func latencyText(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// count is like "1 request" or "2 requests".
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}
