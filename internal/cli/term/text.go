// Package term is what commands print with: text that may hold anything, counts and times, progress, and whether a terminal
// reads it.
package term

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/balanceq/balanceq/schemas"
)

// Masked makes text of others fit for a person's terminal.
func Masked(s string) string { return Printable(schemas.Mask(s)) }

// Shorten cuts what would fill the screen.
func Shorten(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// EscapeJSON rewrites characters without a glyph, which JSON may hold as they are and on which a terminal could act
// (C1 controls such as CSI, DEL, direction marks), as \u escapes. In compact JSON they can only be inside of strings, so
// the value stays the same.
func EscapeJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, Unprintable) {
		return text
	}
	escaped := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case !Unprintable(r):
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

func Unprintable(r rune) bool { return !unicode.IsGraphic(r) }

// Printable makes text of others fit for a terminal: escape sequences begin with characters that have no glyph.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if Unprintable(r) {
			return ' '
		}
		return r
	}, s)
}

// Count is like "1 request" or "2 requests".
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}
