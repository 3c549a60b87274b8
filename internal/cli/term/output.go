package term

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
)

// WriteLine writes what encode returns, and the end of the line.
func WriteLine(out io.Writer, encode func() ([]byte, error)) error {
	line, err := encode()
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// MilliTime brings a time stamp, which another writer may have set to anything, into the years that RFC 3339 and so
// encoding/json knows.
func MilliTime(t time.Time) time.Time {
	t = t.UTC()
	return t.AddDate(min(max(t.Year(), 0), 9999)-t.Year(), 0, 0)
}

func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// The forms of --output.
const (
	Text = "text"
	JSON = "json"
)

func CheckOutput(form string) error {
	if form != Text && form != JSON {
		return fmt.Errorf("--output: %q is not known; write text or json", form)
	}
	return nil
}
