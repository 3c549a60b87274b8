package term

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func TestText(t *testing.T) {
	for got, want := range map[string]string{
		Masked("4111111111111111\x1b[2J"):   "411111******1111 [2J",
		Shorten("short"):                    "short",
		Shorten(strings.Repeat("ü", 61)):    strings.Repeat("ü", 60) + "…",
		Count(1, "request"):                 "1 request",
		Count(0, "request"):                 "0 requests",
		Count(2_000, "request"):             "2000 requests",
		Latency(1234567 * time.Nanosecond):  "1ms",
		Latency(12345 * time.Millisecond):   "12.35s",
		Latency(90*time.Second + 1):         "1m30s",
		Pace(1, "request", time.Second):     "1 request in 1s",
		Pace(5, "request", 2*time.Second):   "5 requests in 2s (2.5/s)",
		Pace(500, "request", 2*time.Second): "500 requests in 2s (250/s)",
		Pace(5, "request", 0):               "5 requests in 0s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCheckOutput(t *testing.T) {
	for _, form := range []string{Text, JSON} {
		if err := CheckOutput(form); err != nil {
			t.Error(err)
		}
	}
	if err := CheckOutput("yaml"); err == nil ||
		err.Error() != `--output: "yaml" is not known; write text or json` {
		t.Error(err)
	}
}

// failing is an output that is gone.
type failing struct{}

var errGone = errors.New("gone")

func (failing) Write([]byte) (int, error) { return 0, errGone }

func TestWriteJSON(t *testing.T) {
	var b strings.Builder
	if err := WriteJSON(&b, map[string]string{"a": "<\u009b>"}); err != nil || b.String() != `{"a":"<\u009b>"}`+"\n" {
		t.Errorf("%q, error %v", b.String(), err)
	}
	if err := WriteJSON(&b, func() {}); err == nil {
		t.Error("a function was written")
	}
	if err := WriteJSON(failing{}, 1); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	table := func(out io.Writer) error {
		all := NewTable(out, "NAME", "COUNT")
		all.Row("a longer name", 7)
		all.Row("b", int64(100))
		return all.End()
	}
	var b strings.Builder
	const want = "NAME            COUNT\na longer name   7\nb               100\n"
	if err := table(&b); err != nil || b.String() != want {
		t.Errorf("error %v:\n%s", err, b.String())
	}
	if err := table(failing{}); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

// Where no terminal reads, nothing is drawn; on one, the bar is taken off the line at the end.
func TestProgress(t *testing.T) {
	var b strings.Builder
	nowhere := NewProgress(&b, 10)
	nowhere.start = time.Time{}
	nowhere.Draw(5, "reading")
	nowhere.End()
	if b.Len() > 0 || IsTerminal(&b) {
		t.Errorf("%q was drawn, a terminal: %t", b.String(), IsTerminal(&b))
	}
	(*Progress)(nil).End() // of a command that failed before it had one

	on := &Progress{out: &b, shown: true, max: 10, Unit: "records"}
	on.Draw(5, "reading")
	if text := b.String(); !strings.Contains(text, "reading") || !strings.Contains(text, "50%") ||
		!strings.Contains(text, "records/s") {
		t.Errorf("drawn: %q", text)
	}
	on.Draw(10, "reading") // a full bar would end the line
	on.End()
	if text := b.String(); strings.Contains(text, "\n") || !strings.HasSuffix(text, "\r") {
		t.Errorf("the bar is not taken off the line: %q", text)
	}
	before := b.Len()
	on.Draw(7, "reading")
	if b.Len() != before {
		t.Error("the bar was drawn after its end")
	}
}

func TestIsTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if IsTerminal(w) {
		t.Error("a pipe is taken for a terminal")
	}
}
