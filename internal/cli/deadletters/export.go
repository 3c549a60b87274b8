package deadletters

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/rights"
)

// exportOptions are the flags of deadletters export.
type exportOptions struct {
	filterFlags
	format string
	file   string
	force  bool
}

func exportCommand(e *command.Env) *cobra.Command {
	o := &exportOptions{}
	cmd := e.Configured(&cobra.Command{
		Use: "export", Short: "Write dead letters with all they hold", Args: command.NoArguments,
		Long: `Writes the dead letters that the topic has now, whole, as they are: card numbers in keys, values and headers are not
masked, so keep what comes out as you keep the topic. It reads without a consumer group and changes nothing.

ndjson is one JSON object a line: what the headers of the dead letter say, then key, value and headers. What is no UTF-8
text is base64, in the member with Base64 at the end of its name; null is null. Where records cannot be read there is a
line {"unreadable":{"partition":0,"from":5,"to":7,"error":"…"}}, which means offsets 5 and 6.

csv has a line of column names. key_encoding and value_encoding are text, base64 or null; headers is a JSON array. Text
that a spreadsheet could take for a formula is base64 in key and value, and has an apostrophe in front elsewhere. Where
records cannot be read, the rest is written and the exit code is 1.

A file appears under its name when it is complete; until then it is called FILE.partial.`,
		Example: `  balanceq deadletters export --since 24h > deadletters.ndjson
  balanceq deadletters export --reason invalid-request --file invalid.csv`,
	}, command.Needs(rights.DeadLetters, func(ctx context.Context, c *command.Call) error {
		q, err := o.check(time.Now())
		if err != nil {
			return command.WrongUsage(err)
		}
		return export(ctx, c, o, q)
	}))
	fs := cmd.Flags()
	o.register(fs)
	fs.StringVar(&o.format, "format", "",
		"how to write them, `ndjson|csv` (default: by the ending of --file, else ndjson)")
	fs.StringVar(&o.file, "file", "", "write to this new `file` instead of standard output")
	fs.BoolVar(&o.force, "force", false, "let --file replace a file that exists")
	return cmd
}

func (o *exportOptions) check(now time.Time) (*scanQuery, error) {
	if o.force && o.file == "" {
		return nil, errors.New("--force: is about --file; add it, or leave --force out")
	}
	if o.file == "" && o.format == "" {
		o.format = command.FormatNDJSON
	}
	var err error
	if o.format, err = command.FileFormat(o.file, o.format); err != nil {
		return nil, err
	}
	return o.query(now)
}

func export(ctx context.Context, c *command.Call, o *exportOptions, q *scanQuery) error {
	if o.file == "" {
		return exportTo(ctx, c, o, q, c.Out)
	}
	file, err := createExport(o.file, o.force)
	if err != nil {
		return err
	}
	failed := exportTo(ctx, c, o, q, file)
	if _, incomplete := errors.AsType[*unreadableError](failed); failed == nil || incomplete {
		return errors.Join(file.commit(), failed)
	}
	return errors.Join(failed, file.discard())
}

// exportTo writes all dead letters that the query asks for, one at a time.
func exportTo(ctx context.Context, c *command.Call, o *exportOptions, q *scanQuery, to io.Writer) error {
	scan := newScan(c, q)
	out := bufio.NewWriterSize(to, 64<<10)
	enc := newExportEncoder(o.format, out)
	var written, lost int64
	var failed error // of a gap's line
	shown := term.IsTerminal(to)
	scan.gap = func(g deadletter.Gap) {
		if g.Corrupt() {
			lost += g.To - g.From
			failed = cmp.Or(failed, enc.gap(g))
		}
	}
	err := enc.begin()
	if err == nil {
		err = scan.each(ctx, func(l *deadletter.Letter) error {
			written++
			if shown {
				scan.bar.Clear()
			}
			return enc.letter(l)
		})
	}
	switch err = cmp.Or(err, failed, enc.end(), out.Flush()); {
	case err != nil && written > 0:
		return fmt.Errorf("after %s: %w", term.Count(written, "record"), err)
	case err != nil:
		return err
	}
	summary := "exported " + term.Count(written, "record")
	if lost > 0 {
		summary += "; " + term.Count(lost, "offset") + " could not be read"
	}
	c.Say("%s", summary)
	if lost > 0 && o.format == command.FormatCSV {
		return &unreadableError{lost}
	}
	return nil
}

// unreadableError says that an export is complete but for what cannot be read.
type unreadableError struct{ offsets int64 }

func (e *unreadableError) Error() string {
	return term.Count(e.offsets, "offset") + " could not be read, which csv cannot say; ndjson says where"
}

// exportEncoder writes what a scan finds.
type exportEncoder interface {
	begin() error
	letter(*deadletter.Letter) error
	gap(deadletter.Gap) error
	end() error
}

func newExportEncoder(format string, out io.Writer) exportEncoder {
	if format == command.FormatCSV {
		return csvExport{csv.NewWriter(out)}
	}
	return ndjsonExport{out}
}

type ndjsonExport struct{ out io.Writer }

func (ndjsonExport) begin() error { return nil }

func (ndjsonExport) end() error { return nil }

func (e ndjsonExport) letter(l *deadletter.Letter) error {
	return term.WriteJSON(e.out, deadletter.NewDocument(l))
}

func (e ndjsonExport) gap(g deadletter.Gap) error {
	return term.WriteJSON(e.out, deadletter.NewGapDocument(g))
}

type csvExport struct{ *csv.Writer }

func (e csvExport) begin() error { return e.Write(deadletter.CSVColumns) }

func (e csvExport) gap(deadletter.Gap) error { return nil }

func (e csvExport) letter(l *deadletter.Letter) error {
	row, err := deadletter.CSVRow(l)
	if err != nil {
		return err
	}
	return e.Write(row)
}

func (e csvExport) end() error {
	e.Flush()
	return e.Error()
}

// exportFile is a file that appears under its name when it is complete.
type exportFile struct {
	*os.File
	name  string
	force bool
}

const partialSuffix = ".partial"

func createExport(name string, force bool) (*exportFile, error) {
	if err := refuseExisting(name, force); err != nil {
		return nil, err
	}
	// Dead letters are for those who may read the topic.
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name+partialSuffix, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil,
			fmt.Errorf("--file: %s exists: another export is writing it, or one was killed; remove it, or add --force",
				name+partialSuffix)
	}
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	return &exportFile{f, name, force}, nil
}

func refuseExisting(name string, force bool) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Mode().IsRegular() && force:
		return nil
	case err != nil:
		return fmt.Errorf("--file: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("--file: %s is not a regular file; choose another name, or leave --file out and redirect", name)
	}
	return fmt.Errorf("--file: %s exists; choose another name, or add --force to replace it", name)
}

func (f *exportFile) commit() error {
	err := errors.Join(f.Sync(), f.Close(), refuseExisting(f.name, f.force))
	if err == nil {
		err = os.Rename(f.name+partialSuffix, f.name)
	}
	if err != nil {
		return fmt.Errorf("what was exported is in %s: %w", f.name+partialSuffix, err)
	}
	return nil
}

func (f *exportFile) discard() error { return errors.Join(f.Close(), os.Remove(f.name+partialSuffix)) }
