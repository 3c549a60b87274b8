package term

import (
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/balanceq/balanceq/internal/printable"
)

// The forms of --output.
const (
	Text = "text"
	JSON = "json"
)

// CheckOutput checks what was given for --output.
func CheckOutput(form string) error {
	if form != Text && form != JSON {
		return fmt.Errorf("--output: %q is not known; write text or json", Shorten(form))
	}
	return nil
}

// WriteJSON writes a value as a line of JSON of which nothing acts on a terminal.
func WriteJSON(out io.Writer, v any) error {
	line, err := printable.JSON(v)
	if err != nil {
		return fmt.Errorf("encoding a line of JSON: %w", err)
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// IsTerminal reports whether a person's terminal reads what is written.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
