package printable

import "testing"

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"Ü日本 e\u0301 \u00a0":        "Ü日本 e\u0301 \u00a0",
		"\x1b[31mred\x1b[0m\r\n":    " [31mred [0m  ",
		"\u009b2J\x7f\u202e\u2028.": " 2J   .",
		"a\xffb":                    "a\ufffdb",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		"a < b & c > d": `"a < b & c > d"`, // nothing is escaped for HTML
		"\x1b[31m\n\t":  `"\u001b[31m\n\t"`,
		"\u009b\u202e":  `"\u009b\u202e"`,
		"\xff":          `"\ufffd"`,
	} {
		if got, err := JSON(text); err != nil || string(got) != want {
			t.Errorf("%q: got %s, error %v, want %s", text, got, err, want)
		}
	}
	if _, err := JSON(func() {}); err == nil {
		t.Error("a function was encoded")
	}
}

func TestEscapeJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"Ü日本 x"}`:                  `{"a":"Ü日本 x"}`,
		"{\"a\":\"\u009b\x7f\u202e\"}":   `{"a":"\u009b\u007f\u202e"}`,
		"{\"\U000e0001\":\"\\u001b\"}":   `{"\udb40\udc01":"\u001b"}`,
		"\"\u2028\u2029\u200b\u0085\"":   `"\u2028\u2029\u200b\u0085"`,
		"\"e\u0301 and \u00a0 stay\"":    "\"e\u0301 and \u00a0 stay\"",
		"{\"a\":\"\\\\\u009b \\u009b\"}": `{"a":"\\\u009b \u009b"}`,
	} {
		if got := EscapeJSON([]byte(text)); string(got) != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
