package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/printable"
)

// NewLogger returns a logger that writes to w. format is json, text, or auto: text when w is a terminal, else json. Of
// a storm of lines it writes a few and how many it left out, unless the level is debug or trace, which are asked for to
// see all of them.
func NewLogger(w io.Writer, level, format string) (zerolog.Logger, error) {
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("the log's level: %w", err)
	}
	if format == "text" || (format == "auto" && isTerminal(w)) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: !isTerminal(w), FormatPrepare: visible}
	} else {
		w = inert{w}
	}
	zerolog.TimeFieldFormat = time.RFC3339Nano
	log := zerolog.New(w).Level(l).With().Timestamp().Logger()
	if l > zerolog.DebugLevel {
		log = log.Hook(newStorms(log))
	}
	return log, nil
}

// inert writes lines of JSON so that nothing in them acts on a terminal that shows them: zerolog escapes what JSON
// makes it escape, and so neither DEL nor what is beyond ASCII (CSI as one character, marks of direction). Lines hold
// text of brokers, of the CMS, of publishers and of the topic of replays.
type inert struct{ out io.Writer }

// Write implements io.Writer.
func (i inert) Write(line []byte) (int, error) {
	text, end := bytes.CutSuffix(line, []byte("\n"))
	safe := printable.EscapeJSON(text)
	if len(safe) == len(text) { // as nearly always: nothing was escaped
		return i.out.Write(line)
	}
	if end {
		safe = append(safe, '\n')
	}
	if _, err := i.out.Write(safe); err != nil {
		return 0, err
	}
	return len(line), nil
}

// visible does the same for lines of text, in which only strings of fields are quoted.
func visible(fields map[string]any) error {
	for name, value := range fields {
		switch text := value.(type) {
		case string:
			if name == zerolog.MessageFieldName {
				fields[name] = printable.Text(text)
			}
		case []any, map[string]any:
			safe, err := printable.JSON(value)
			if err != nil {
				return err
			}
			fields[name] = json.RawMessage(safe)
		}
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	if s, ok := w.(*Sink); ok {
		w = s.out
	}
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
