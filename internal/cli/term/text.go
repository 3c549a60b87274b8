// Package term is what commands print with: text of others, counts and times, JSON lines, tables, progress, and whether
// a terminal reads it. Package printable says what may go to a terminal.
package term

import (
	"strconv"

	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// Masked makes text of others safe for a person's terminal: nothing acts on it, and card numbers are masked.
func Masked(s string) string { return printable.Text(schemas.Mask(s)) }

// Shorten cuts what would fill the screen.
func Shorten(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// Count is like "1 request" or "2 requests".
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}
