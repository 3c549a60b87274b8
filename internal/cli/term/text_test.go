package term

import "testing"

func TestEscapeUnprintable(t *testing.T) {
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
