package deadletters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// showOptions are the flags of deadletters show.
type showOptions struct {
	partition int32
	offset    int64
	raw       bool
	output    string
}

func showCommand(e *command.Env) *cobra.Command {
	o := &showOptions{}
	cmd := e.Configured(&cobra.Command{
		Use: "show [PARTITION/OFFSET]...", Short: "Show dead letters whole, with what to do about them",
		Args: cobra.ArbitraryArgs,
		Long: `Shows dead letters by their position in the dead-letter topic, as deadletters list --records prints it: the request,
why it was given up and by whom, what to do about it, and its headers, key and value. It changes nothing.

Text is shown as it is, with card numbers masked. What is not printable all through stands in double quotes, escaped
as in a string of Go (\n, \x1b, \u009b). Long values are cut. --raw writes the value alone, byte for byte, and --output
json one object for each dead letter; both are whole and not masked. The exit code is 1 if one is not there, cannot be
read or is no dead letter.`,
		Example: `  balanceq deadletters show 3/17
  balanceq deadletters show 3/17 0/4711 --output json
  balanceq deadletters show 3/17 --raw > request.json`,
	}, command.Needs(rights.DeadLetters, func(ctx context.Context, c *command.Call) error {
		positions, err := o.check(c.Args)
		if err != nil {
			return command.WrongUsage(err)
		}
		return show(ctx, c, o, positions)
	}))
	fs := cmd.Flags()
	fs.Int32Var(&o.partition, "partition", -1, "the `partition` of the dead-letter topic, with --offset")
	fs.Int64Var(&o.offset, "offset", -1, "the `offset` in it, with --partition")
	command.NoDefault(fs, "partition", "offset")
	fs.BoolVar(&o.raw, "raw", false, "write the value of the one dead letter and nothing else")
	fs.StringVar(&o.output, "output", term.Text, "how to show them, `text|json`")
	return cmd
}

// check returns the positions wanted. They have no topic yet.
func (o *showOptions) check(args []string) ([]schemas.Position, error) {
	var positions []schemas.Position
	for _, arg := range args {
		at, err := parsePosition(arg)
		if err != nil {
			return nil, err
		}
		positions = append(positions, at)
	}
	if o.partition >= 0 || o.offset >= 0 {
		if o.partition < 0 || o.offset < 0 {
			return nil, errors.New("--partition and --offset: one record is told by both")
		}
		positions = append(positions, schemas.Position{Partition: o.partition, Offset: o.offset})
	}
	switch {
	case len(positions) == 0:
		return nil,
			errors.New("which dead letter? write its partition and offset, for example: balanceq deadletters show 3/17; " +
				"balanceq deadletters list --records shows them")
	case o.raw && len(positions) > 1:
		return nil, errors.New("--raw: writes the value of one dead letter, not of several")
	case o.raw && o.output != term.Text:
		return nil, errors.New("--raw and --output: give one of them")
	}
	return positions, term.CheckOutput(o.output)
}

// parsePosition reads "3/17", partition and offset.
func parsePosition(text string) (schemas.Position, error) {
	left, right, _ := strings.Cut(text, "/")
	partition, err := strconv.ParseUint(left, 10, 31)
	offset, err2 := strconv.ParseUint(right, 10, 63)
	if err != nil || err2 != nil || offset == math.MaxInt64 {
		return schemas.Position{},
			fmt.Errorf("%q is not the position of a dead letter; write partition/offset, for example 3/17", term.Shorten(text))
	}
	return schemas.Position{Partition: int32(partition), Offset: int64(offset)}, nil
}

// show shows what is at each position. What is wrong with one does not keep the others from being shown.
func show(ctx context.Context, c *command.Call, o *showOptions, positions []schemas.Position) error {
	var all []error
	for i, at := range positions {
		at.Topic = c.Config.Topics.DeadLetters
		if i > 0 && o.output == term.Text {
			if _, err := io.WriteString(c.Out, "\n"); err != nil {
				return err
			}
		}
		err := showAt(ctx, c, o, at)
		if _, absent := errors.AsType[*absentError](err); err != nil && !absent {
			return errors.Join(append(all, err)...)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// absentError says that there is no dead letter at a position, and what is there.
type absentError struct {
	at   schemas.Position
	what string
}

func (e *absentError) Error() string { return printable.Text(e.at.String() + " " + e.what) }

func showAt(ctx context.Context, c *command.Call, o *showOptions, at schemas.Position) error {
	scan := newScan(c, &scanQuery{from: kafkawire.Earliest, Filter: deadletter.Filter{At: []schemas.Position{at}}})
	var gone *deadletter.Gap
	scan.gap = func(g deadletter.Gap) { gone = &g }
	found, recognised := false, false
	err := scan.each(ctx, func(l *deadletter.Letter) error {
		found, recognised = true, l.Recognised()
		return showLetter(c, o, l)
	})
	switch {
	case err != nil:
		return err
	case !found:
		return absence(ctx, c.Config, at, gone)
	case !recognised:
		return &absentError{at, "is not a dead letter: it has none of the headers of one; something else wrote it there"}
	}
	return nil
}

func showLetter(c *command.Call, o *showOptions, l *deadletter.Letter) error {
	switch {
	case o.raw:
		return showRaw(c, l)
	case o.output == term.JSON:
		d := deadletter.NewDocument(l)
		a := l.Advice()
		d.Advice = &deadletter.DocumentAdvice{Means: a.Means, Look: a.Look, Do: a.Do, Commands: a.Commands(l.Position)}
		return term.WriteJSON(c.Out, d)
	}
	_, err := io.WriteString(c.Out, letterText(l))
	return err
}

// showRaw writes the value as it is, but nothing to a terminal on which it could act.
func showRaw(c *command.Call, l *deadletter.Letter) error {
	if term.IsTerminal(c.Out) && !harmless(l.Value) {
		return fmt.Errorf(
			"--raw: the value of %s has characters on which a terminal could act; redirect it to a file, or leave --raw out",
			l.Position)
	}
	if l.Value == nil {
		c.Say("the value is null")
	}
	_, err := c.Out.Write(l.Value)
	return err
}

func harmless(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return r != '\n' && r != '\t' &&
			!printable.Rune(r)
	})
}

// absence says why there is no record at a position.
func absence(ctx context.Context, cfg config.Config, at schemas.Position, gone *deadletter.Gap) error {
	if gone != nil && gone.Corrupt() {
		return &absentError{at, "cannot be read: " + gone.Why.Error()}
	}
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return err
	}
	client := kafkawire.NewClient(settings, at.Topic)
	defer client.Close()
	limited, cancel := context.WithTimeout(ctx, command.ReachTimeout)
	defer cancel()
	_, partitions, err := client.Leaders(limited, at.Topic)
	if err != nil {
		return fmt.Errorf("there is no record at %s, and why cannot be asked: %w", at, err)
	}
	if int(at.Partition) >= partitions {
		return &absentError{at, fmt.Sprintf("is not there: the topic has the partitions 0 to %d", partitions-1)}
	}
	first, err := client.ListOffsets(limited, at.Topic, []int32{at.Partition}, kafkawire.Earliest)
	if err != nil {
		return fmt.Errorf("there is no record at %s, and why cannot be asked: %w", at, err)
	}
	end, err := client.ListOffsets(limited, at.Topic, []int32{at.Partition}, kafkawire.Latest)
	if err != nil {
		return fmt.Errorf("there is no record at %s, and why cannot be asked: %w", at, err)
	}
	return &absentError{at, absentOffset(at.Offset, first[at.Partition], end[at.Partition])}
}

// absentOffset says why a partition that holds the offsets from first up to end, end not included, has no record at an
// offset.
func absentOffset(offset, first, end int64) string {
	has := fmt.Sprintf("the partition has the offsets %d to %d", first, end-1)
	if first >= end {
		has = "the partition is empty"
	}
	switch {
	case offset < first:
		return "has expired: the topic's retention has deleted it; " + has
	case offset >= end:
		return "is beyond the end; " + has
	}
	return "is no record: it was compacted away, withdrawn with its transaction, or is the mark at the end of one; " + has
}
