package deadletters

import (
	"bytes"
	"slices"
	"testing"
)

// The text of a framed request is shown and edited without the frame, and put back behind it; nothing else is cut.
func TestFrameOf(t *testing.T) {
	const text = `{"contractId":1}`
	for value, want := range map[string]string{
		"\x00\x00\x00\x00\x07" + text: text, text: text, "": "",
		"\x00\x00\x00\x00\x07\x02\x0a7": "\x00\x00\x00\x00\x07\x02\x0a7",
		"{":                             "{", "\x00": "\x00",
	} {
		frame, got := frameOf([]byte(value))
		if string(got) != want || !bytes.Equal(slices.Concat(frame, got), []byte(value)) {
			t.Errorf("%q is %q and %q", value, frame, got)
		}
	}
}
