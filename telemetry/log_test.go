package telemetry

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"
)

// Whatever a line quotes, it is one line, and nothing in it acts on a terminal.
func TestLogIsInert(t *testing.T) {
	t.Parallel()
	var all strings.Builder // every character that can act, and some text
	for r := range rune(0x300) {
		if !unicode.IsGraphic(r) {
			all.WriteRune(r)
		}
	}
	hostile := all.String() + "\u2028\u2029\u202e\u200b\ufeff\U000e0001\xff\x1b[31mred\u009b2J\n{\"level\":\"error\"}"
	for _, format := range []string{"json", "text"} {
		var out strings.Builder
		log, err := NewLogger(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Warn().Str("by", hostile).Err(errors.New(hostile)).AnErr("why", errors.New(hostile)).
			Strs("list", []string{hostile}).
			Any("any", map[string]string{"a": hostile}).Bytes("stack", []byte(hostile)).Msg("said " + hostile)
		line, rest, _ := strings.Cut(out.String(), "\n")
		if rest != "" || !strings.Contains(line, "red") {
			t.Errorf("%s: not one line: %q", format, out.String())
		}
		for _, r := range line {
			if !unicode.IsGraphic(r) {
				t.Errorf("%s: %U in %q", format, r, line)
				break
			}
		}
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	for format, want := range map[string]string{"json": `"message":"hello"`, "auto": `"message":"hello"`,
		"text": "INF hello"} {
		out.Reset()
		log, err := NewLogger(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug().Msg("not shown")
		log.Info().Msg("hello")
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "not shown") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
	if _, err := NewLogger(&out, "noisy", "json"); err == nil || !strings.Contains(err.Error(), "the log's level") {
		t.Errorf("a wrong level: %v", err)
	}
}
