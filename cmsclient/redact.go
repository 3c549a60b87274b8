package cmsclient

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"balanceq/schemas"
)

// maxDescription bounds a description, in bytes.
const maxDescription = 512

// maxRedactable bounds the text that patterns are matched on, in bytes.
const maxRedactable = 16 << 10

const redacted = "[redacted]"

var (
	// secretStart is where a text begins to repeat what we signed. The gateway's refusals go on with the signature base
	// string, which holds the consumer key and the whole address; nothing after it is worth the risk.
	secretStart = regexp.MustCompile(`(?i)oauth_|consumer[ _-]?key|signature[ _-]?base[ _-]?string|authorization\s*:|bearer\s`)
	// address is a URL, or one escaped as in a base string.
	address = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*(://|%3a%2f%2f)\S*`)
	// consumerKey is the form of Mastercard's keys: 48 characters, an exclamation mark, 48 characters.
	consumerKey = regexp.MustCompile(`[\w-]{24,}(!|%21)[\w-]{24,}`)
)

// redact makes a foreign text fit for logs and records: one line of valid UTF-8, at most limit bytes, without addresses,
// what was signed, and card numbers.
func redact(text string, limit int) string {
	text = cut(text, maxRedactable)
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	if at := secretStart.FindStringIndex(text); at != nil {
		text = text[:at[0]] + redacted
	}
	text = address.ReplaceAllString(text, redacted)
	text = consumerKey.ReplaceAllString(text, redacted)
	// A contract id may be a card number by a publisher's mistake, and the CMS repeats it.
	return cut(schemas.Mask(text), limit)
}

// cut shortens text to limit bytes without splitting a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
