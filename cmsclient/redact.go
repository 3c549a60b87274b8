package cmsclient

import (
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/balanceq/balanceq/schemas"
)

// maxDescription bounds a description, in bytes.
const maxDescription = 512

// maxRedactable bounds the text that patterns are matched on, in bytes. The API's descriptions have at most 10 000
// characters. Of a longer text nothing is shown: wherever it was cut, it could be within a secret.
const maxRedactable = 16 << 10

const redacted = "[redacted]"

// What must not be shown, in a text as uncovered returns it.
var (
	// secretStart is where a text begins to repeat what was signed. The gateway's refusals go on with the signature base
	// string, which holds the consumer key and the whole address; nothing after it is worth the risk. (INVALID_OAUTH_SBS
	// is a reason code.)
	secretStart = regexp.MustCompile(`(?i)oauth_(?:body|consumer|nonce|signature|timestamp|token|version)` +
		`|consumer[\s_-]*key|signature[\s_-]*base[\s_-]*string|authorization["'\s]*[:=]|bearer`)
	// secret is a URL, or a consumer key: 48 characters, an exclamation mark, 48 characters; also if it was cut off.
	secret = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://\S*|[\w-]{24,}![\w-]*|[\w-]*![\w-]{24,}`)
)

var (
	// unseen is characters that cannot be seen or read, line breaks among them, with the spaces around them.
	unseen = regexp.MustCompile(`\s*[\pC\x{2028}\x{2029}\x{FFFD}][\s\pC\x{2028}\x{2029}\x{FFFD}]*`)
	// escape is a character in percent-encoding, or an escape of JSON or HTML.
	escape = regexp.MustCompile(`(?i)%[0-9a-f]{2}|\\(?:u[0-9a-f]{4}|[^u])|&(?:#x?)?[0-9a-z]+;?`)
)

// redact makes a foreign text fit for logs and records: one line of valid UTF-8, at most limit bytes, without
// addresses, what was signed, and card numbers. A text without any of it keeps its escapes; of one with a secret the
// rest is unescaped.
func redact(text string, limit int) string {
	if len(text) > maxRedactable {
		return cut(redacted, limit)
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	plain, ok := uncovered(text)
	switch hidden := hide(plain); {
	case !ok:
		text = redacted
	case hidden != plain:
		text = hidden
	case plain != text:
		text = hide(replaceUnseen(text, " "))
	}
	// A contract id may be a card number by a publisher's mistake, and the CMS repeats it.
	return cut(schemas.Mask(text), limit)
}

// hide replaces the secrets that are in plain sight.
func hide(text string) string {
	if at := secretStart.FindStringIndex(text); at != nil {
		text = text[:at[0]] + redacted
	}
	if !strings.Contains(text, "://") && !strings.Contains(text, "!") { // as most texts; the pattern is slow
		return text
	}
	return secret.ReplaceAllLiteralString(text, redacted)
}

func replaceUnseen(text, by string) string {
	if !strings.ContainsFunc(text, isUnseen) {
		return text
	}
	return unseen.ReplaceAllLiteralString(text, by)
}

// isUnseen is the class of unseen.
func isUnseen(r rune) bool {
	return unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// uncovered takes away what could hide a secret from a pattern: what cannot be seen, and escapes. Escaped spaces vanish
// too, since they do not end a URL. It reports false for a text that is escaped deeper than anybody does by mistake.
func uncovered(text string) (string, bool) {
	const rounds = 8 // escapes can be within escapes
	for range rounds {
		plain := replaceUnseen(text, "")
		if strings.ContainsAny(plain, `%\&`) { // most texts have none, and the pattern is slow
			plain = strings.ToValidUTF8(escape.ReplaceAllStringFunc(plain, unescape), "\uFFFD")
		}
		if plain == text {
			return text, true
		}
		text = plain
	}
	return text, false
}

// unescape returns what a match of escape stands for; nothing for a space.
func unescape(code string) string {
	char := code[1:]
	switch {
	case code[0] == '&':
		char = html.UnescapeString(code)
	case code[0] == '%':
		b, _ := strconv.ParseUint(char, 16, 8) // the pattern lets nothing else through, here and below
		char = string([]byte{byte(b)})
	case len(code) == len(`\u0000`) && code[1]|0x20 == 'u':
		r, _ := strconv.ParseUint(code[2:], 16, 16)
		char = string(rune(r))
	case char == "n", char == "r", char == "t":
		char = "\n"
	}
	return strings.Trim(char, " ")
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
