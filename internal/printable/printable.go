// Package printable makes text of other programs safe to show: nothing of it acts on a terminal. Everything may import
// it.
package printable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Rune reports whether a character has a glyph or is a space. What has none (control and format characters such as CSI,
// DEL and marks of direction, and line separators) can act on a terminal.
func Rune(r rune) bool { return unicode.IsGraphic(r) }

// Text replaces every character without a glyph by a space, and what is not UTF-8 by U+FFFD.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if Rune(r) {
			return r
		}
		return ' '
	}, s) // strings.Map turns invalid bytes into U+FFFD by itself
}

// JSON encodes a value as JSON of one line, without the end of the line and without the escapes that only HTML needs.
// Characters without a glyph are escapes, so that none acts on a terminal; no value changes by that.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return EscapeJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// EscapeJSON rewrites characters without a glyph, which JSON may hold as they are, as \u escapes. In compact JSON they
// can only be inside of strings, so the value stays the same.
func EscapeJSON(text []byte) []byte {
	unprintable := func(r rune) bool { return !Rune(r) }
	if !bytes.ContainsFunc(text, unprintable) {
		return text
	}
	escaped := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case Rune(r):
			escaped = append(escaped, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
		text = text[size:]
	}
	return escaped
}
