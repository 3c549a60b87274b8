package deadletters

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// Longest texts that are shown, in bytes.
const (
	maxShownValue  = 4096
	maxShownHeader = 1024
)

// letterText is a dead letter for people.
func letterText(l *deadletter.Letter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, written %s\n\n", printable.Text(l.String()), schemas.FormatTime(l.Time))
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-19s %s\n", name, printable.Text(text))
		}
	}
	letterFacts(l, row)
	a := l.Advice()
	b.WriteString("\n")
	row("means", a.Means)
	row("look at", a.Look)
	row("do", a.Do)
	for _, command := range a.Commands(l.Position) {
		row(" ", command)
	}
	b.WriteString("\n")
	whole := fmt.Sprintf("balanceq deadletters show %d/%d ", l.Partition, l.Offset)
	fmt.Fprintf(&b, "  key      %s\n", bytesText(l.Key, maxShownValue, whole+"--output json"))
	frame, value := frameOf(l.Value)
	if id, _ := schemas.SchemaID(l.Value); len(frame) > 0 {
		fmt.Fprintf(&b, "  framed   as schema id %d\n", id)
	}
	fmt.Fprintf(&b, "  value    %s\n", bytesText(value, maxShownValue, whole+"--raw"))
	for i, h := range l.Headers {
		title := ""
		if i == 0 {
			title = "headers"
		}
		fmt.Fprintf(&b, "  %-8s %s: %s\n", title, nameText(h.Key), bytesText(h.Value, maxShownHeader, whole+"--output json"))
	}
	if len(l.Headers) == 0 {
		b.WriteString("  headers  (none)\n")
	}
	return b.String()
}

// letterFacts gives what is known of the request and of its end to row, which leaves out what is empty.
func letterFacts(l *deadletter.Letter, row func(name, text string)) {
	info := l.Info()
	request, err := l.Request()
	row("reason", string(info.Reason))
	row("detail", info.Detail)
	if request.ContractID != 0 {
		row("contract", schemas.MaskID(request.ContractID))
	}
	row("balance codes", schemas.Mask(strings.Join(request.BalanceCodes, ", ")))
	row("request id", schemas.Mask(request.ID))
	if !request.Deadline.IsZero() {
		row("deadline", schemas.FormatTime(request.Deadline))
	}
	if err != nil {
		row("not valid", schemas.Mask(err.Error()))
	}
	if info.HasSource {
		row("source", info.Source.String())
	}
	if o := info.Omission; o != nil {
		row("left out", omissionText(o))
	}
	if info.KeyWasNull {
		row("original key", "(null); this one is the position, as the topic is compacted")
	}
	row("group", info.Origin.Group)
	row("instance", info.Origin.Instance)
	row("version", info.Origin.Version)
	if info.HTTPStatus != 0 {
		row("HTTP status", strconv.Itoa(info.HTTPStatus))
	}
	row("CMS reason code", info.CMSReasonCode)
	row("correlation id", info.CorrelationID)
	row("CMS correlation id", info.CMSCorrelationID)
	row("attempts", strconv.Itoa(info.Attempts))
	if !info.FirstFailure.IsZero() {
		row("first failure", schemas.FormatTime(info.FirstFailure))
	}
	if !info.LastFailure.IsZero() {
		row("last failure", schemas.FormatTime(info.LastFailure))
	}
	if info.ReplayCount > 0 {
		row("replayed before", term.Count(int64(info.ReplayCount), "time"))
	}
}

// omissionText says what a dead letter was written without.
func omissionText(o *schemas.Omission) string {
	var parts []string
	for _, part := range []struct {
		name   string
		is     bool
		size   int64
		sha256 string
	}{{"value", o.Value, o.ValueSize, o.ValueSHA256}, {"key", o.Key, o.KeySize, o.KeySHA256}} {
		if !part.is {
			continue
		}
		text := part.name
		if part.size >= 0 {
			text += ", " + term.Count(part.size, "byte")
		}
		if part.sha256 != "" {
			text += ", SHA-256 " + part.sha256
		}
		parts = append(parts, text)
	}
	if o.Parts.Headers {
		text := "headers"
		if o.Headers >= 0 {
			text = term.Count(o.Headers, "header")
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// bytesText shows a key or value: as it is where every character is printable, else in double quotes with escapes. It
// begins with a double quote or a parenthesis only where it is not as it is. Card numbers are masked; what is longer
// than longest is cut, with the command that shows all of it.
func bytesText(b []byte, longest int, whole string) string {
	switch {
	case b == nil:
		return "(null)"
	case len(b) == 0:
		return "(empty)"
	case len(b) > longest:
		return cutText(string(b), longest) + "; all: " + whole
	}
	return quoted(schemas.Mask(string(b)))
}

// nameText shows a header's name, which a colon ends.
func nameText(name string) string {
	switch {
	case len(name) > maxShownHeader:
		return cutText(name, maxShownHeader)
	case name == "" || strings.Contains(name, ":"):
		return strconv.Quote(schemas.Mask(name))
	}
	return quoted(schemas.Mask(name))
}

// cutText shows the beginning of a text, in double quotes.
func cutText(s string, longest int) string {
	shown := schemas.Mask(s)[:longest] // a cut before could take digits away by which a number is known
	for i := 1; i < utf8.UTFMax; i++ { // take no half of a character along
		if last := shown[longest-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRuneInString(last) {
				shown = shown[:longest-i]
			}
			break
		}
	}
	return fmt.Sprintf("%s … %d of %d bytes", strconv.Quote(shown), len(shown), len(s))
}

// quoted returns text that is printable all through as it is, other text as a string of Go. So is text that could be
// taken for one, for a note in parentheses, or for other text with spaces around it.
func quoted(s string) string {
	if strings.IndexAny(s, `"(`) == 0 || strings.Trim(s, " ") != s {
		return strconv.Quote(s)
	}
	for i, r := range s {
		if !strconv.IsPrint(r) || r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return strconv.Quote(s)
		}
	}
	return s
}
