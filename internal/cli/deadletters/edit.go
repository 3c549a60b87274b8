package deadletters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// edit has the request edited until it is valid. Saved as it was, nothing is replayed.
func (r *replayRun) edit(ctx context.Context, a *replay.Candidate) error {
	frame, framed := frameOf(a.Letter.Value)
	text := editable(framed)
	for {
		edited, err := r.openEditor(ctx, text)
		if err != nil {
			return err
		}
		if bytes.Equal(bytes.TrimSpace(edited), bytes.TrimSpace(text)) {
			return errors.New("--edit: nothing was changed, so nothing was replayed; without --edit it is replayed as it is")
		}
		text = edited
		value := jsontext.Value(bytes.TrimSpace(edited))
		if err = value.Compact(); err == nil {
			err = a.Edit(slices.Concat(frame, value))
		}
		if err == nil {
			break
		}
		r.Say("not a valid request: %s\nedit it again, or save it as it is to give up", term.Masked(err.Error()))
	}
	for _, c := range a.Changes {
		r.Say("%s: %s → %s", c.Field, orNone(c.From), orNone(c.To))
	}
	return nil
}

// frameOf cuts a schema registry's frame off a value that has text behind it. What is replayed keeps it.
func frameOf(value []byte) (frame, text []byte) {
	if text = schemas.Unframe(value); !jsontext.Value(text).IsValid() {
		return nil, value
	}
	return value[:len(value)-len(text)], text
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return term.Masked(s)
}

// editable is a value in a form that an editor can show: indented, without anything on which a terminal could act.
func editable(value []byte) []byte {
	text := jsontext.Value(bytes.Clone(value))
	if len(value) == 0 || !utf8.Valid(value) || text.Compact() != nil {
		var lines []string
		for line := range strings.Lines(string(value)) {
			lines = append(lines, printable.Text(strings.TrimSuffix(line, "\n")))
		}
		return append(bytes.TrimSpace([]byte(strings.Join(lines, "\n"))), '\n')
	}
	text = printable.EscapeJSON(text)
	if err := text.Indent(); err != nil {
		return value
	}
	return append(text, '\n')
}

func (r *replayRun) openEditor(ctx context.Context, text []byte) (edited []byte, err error) {
	editor := ""
	for _, name := range []string{"VISUAL", "EDITOR"} {
		for _, v := range r.Environ {
			if value, is := strings.CutPrefix(v, name+"="); is && value != "" && editor == "" {
				editor = value
			}
		}
	}
	if editor == "" {
		return nil, errors.New("--edit: set EDITOR to the editor to use, for example EDITOR=vi")
	}
	file, err := os.CreateTemp("", "balanceq-*.json") // readable for us only
	if err != nil {
		return nil, fmt.Errorf("--edit: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	if _, err := file.Write(text); err != nil {
		return nil, fmt.Errorf("--edit: %w", errors.Join(err, file.Close()))
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("--edit: %w", err)
	}
	// As git does it: the setting may have arguments.
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", file.Name()) //nolint:gosec // the user's own editor
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = r.In, r.Err, r.Err, r.Environ
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("--edit: the editor %q: %w", printable.Text(term.Shorten(editor)), err)
	}
	return os.ReadFile(file.Name())
}
