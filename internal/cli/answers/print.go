package answers

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// Printer writes answers, a line each.
type Printer struct {
	Out   io.Writer
	JSON  bool
	Width int    // the widest contract id so far, so that lines stand under each other
	Clear func() // called before each line: takes a progress bar out of the way
}

// Show writes one answer. In text, when stands at the beginning of the line and trailer at its end.
func (p *Printer) Show(a *Answer, when, trailer string) error {
	var line string
	if p.JSON {
		text, err := a.json()
		if err != nil {
			return err
		}
		line = string(text)
	} else {
		line = p.text(a, when, trailer)
	}
	p.Clear()
	_, err := io.WriteString(p.Out, line+"\n")
	return err
}

func (p *Printer) text(a *Answer, when, trailer string) string {
	contract := "-"
	if a.ContractID != 0 {
		contract = schemas.MaskID(a.ContractID)
	}
	p.Width = max(p.Width, len(contract), 8)
	outcome, detail := a.text()
	line := fmt.Sprintf("%s  %-*s  %-11s  %s", when, p.Width, contract, outcome, detail)
	if trailer != "" {
		line += "  " + trailer
	}
	return line
}

// text says what the answer is, and what it says.
func (a *Answer) text() (outcome, detail string) {
	switch {
	case a.Result != nil:
		return printable.Text(a.Result.Outcome), resultText(a.Result)
	case a.Letter.Recognised():
		return "dead letter", DeadLetterText(a.Letter.Info())
	}
	return "not a dead letter", "it has none of the headers of one"
}

// resultText is like "AVAILABLE 9811.31 EUR, BLOCKED 12.00 EUR; missing: DUE".
func resultText(r *schemas.Result) string {
	if r.Outcome == schemas.OutcomeFailed {
		return term.Masked(string(r.Reason))
	}
	var balances []string
	for _, b := range r.Balances {
		text := schemas.Mask(b.Code) // amounts are shown to the last digit
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
		parts = append(parts, "missing: "+schemas.Mask(strings.Join(r.MissingBalanceCodes, ", ")))
	}
	return printable.Text(strings.Join(parts, "; "))
}

// DeadLetterText is like "attempts-exhausted: HTTP 500 SYSTEM_ERROR from MASTERCARD PROCESSING (5 attempts)".
func DeadLetterText(i *schemas.DeadLetterInfo) string {
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
	return printable.Text(text)
}
