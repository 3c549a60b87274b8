package deadletters

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/schemas"
)

// listOptions are the flags of deadletters list.
type listOptions struct {
	filterFlags
	by      string
	bucket  time.Duration
	records bool
	limit   int
	output  string
}

func listCommand(e *command.Env) *cobra.Command {
	o := &listOptions{}
	cmd := e.Configured(&cobra.Command{
		Use: "list", Short: "Count dead letters, or list them one by one", Args: command.NoArguments,
		Long: `Counts the dead letters that the topic has now, by reason or by what --by says, with the times of the first
and of the last one; with --records it lists them, with their positions in the topic for deadletters show. Times are
UTC, in the form that --since takes. It reads without a consumer group and changes nothing. Records that are not
readable count as (unreadable).

In text, contract ids that could be card numbers are masked. --output json is one object a line, a group or a record,
and holds contract and request ids as they are, as results does; {"unreadable":…} is a line of its own.`,
		Example: `  balanceq deadletters list
  balanceq deadletters list --since 24h --reason contract-not-found --by contract
  balanceq deadletters list --contract 70001 --records --output json`,
	}, command.Needs(rights.DeadLetters, func(ctx context.Context, c *command.Call) error {
		q, err := o.check(time.Now())
		if err != nil {
			return command.WrongUsage(err)
		}
		return list(ctx, c, o, q)
	}))
	fs := cmd.Flags()
	o.register(fs)
	fs.StringVar(&o.by, "by", string(deadletter.ByReason), "count by `reason|status|cms-reason|contract|time`")
	fs.DurationVar(&o.bucket, "bucket", time.Hour, "width of the groups of --by time")
	fs.BoolVar(&o.records, "records", false, "list each dead letter instead of counting")
	fs.IntVar(&o.limit, "limit", 0, "show only the first `n` groups or records")
	fs.StringVar(&o.output, "output", term.Text, "how to show them, `text|json`")
	return cmd
}

func (o *listOptions) check(now time.Time) (*scanQuery, error) {
	q, err := o.query(now)
	if err != nil {
		return nil, err
	}
	known := false
	for _, by := range deadletter.Groupings {
		known = known || o.by == string(by)
	}
	switch {
	case !known:
		return nil, fmt.Errorf("--by: %q is not known; write reason, status, cms-reason, contract or time",
			term.Shorten(o.by))
	case o.bucket < time.Second:
		return nil, fmt.Errorf("--bucket: %v is less than a second; write for example --bucket 1h", o.bucket)
	case o.limit < 0:
		return nil, fmt.Errorf("--limit: %d is less than 0; write for example --limit 10", o.limit)
	}
	return q, term.CheckOutput(o.output)
}

func list(ctx context.Context, c *command.Call, o *listOptions, q *scanQuery) error {
	scan := newScan(c, q)
	printer := &answers.Printer{Out: c.Out, JSON: o.output == term.JSON, Clear: scan.bar.Clear}
	show := func(l *deadletter.Letter) error {
		at := fmt.Sprintf("[%d/%d]", l.Partition, l.Offset)
		return printer.Show(answers.OfLetter(l), schemas.FormatTime(l.Time), at)
	}
	tally := deadletter.Tally{By: deadletter.Grouping(o.by), Bucket: o.bucket}
	var unreadable int64
	var failed error // of a gap's line
	scan.gap = func(g deadletter.Gap) {
		if !g.Corrupt() {
			return
		}
		unreadable += g.To - g.From
		if o.records && printer.JSON {
			failed = cmp.Or(failed, term.WriteJSON(c.Out, deadletter.NewGapDocument(g)))
		}
	}
	err := scan.each(ctx, func(l *deadletter.Letter) error {
		tally.Add(l)
		if !o.records {
			return nil
		}
		if err := cmp.Or(failed, show(l)); err != nil {
			return err
		}
		if tally.Total.Count == int64(o.limit) {
			return errEnough
		}
		return nil
	})
	if err = cmp.Or(err, failed); err != nil || o.records {
		return err
	}
	if o.output == term.JSON {
		return encodeTally(c.Out, &tally, o.limit, unreadable)
	}
	return printTally(c.Out, &tally, o.limit, unreadable)
}

// groupJSON is a group as --output json shows it, one a line.
type groupJSON struct {
	By     deadletter.Grouping `json:"by"`
	Key    string              `json:"key"`              // "": letters do not tell
	Others bool                `json:"others,omitempty"` // all groups beyond the first 100,000, without their keys
	Count  int64               `json:"count"`
	First  string              `json:"first"`
	Last   string              `json:"last"`
}

// unreadableJSON says in a line of its own how many offsets cannot be read.
type unreadableJSON struct {
	Unreadable struct {
		Offsets int64 `json:"offsets"`
	} `json:"unreadable"`
}

func encodeTally(out io.Writer, t *deadletter.Tally, limit int, unreadable int64) error {
	show := func(key string, others bool, g deadletter.Group) error {
		first, last := schemas.FormatTime(g.First), schemas.FormatTime(g.Last)
		return term.WriteJSON(out, groupJSON{t.By, key, others, g.Count, first, last})
	}
	groups, more := limited(t.Groups(), limit)
	for _, g := range groups {
		if err := show(g.Key, false, g); err != nil {
			return err
		}
	}
	if t.Beyond.Count > 0 && more == 0 {
		if err := show("", true, t.Beyond); err != nil {
			return err
		}
	}
	if unreadable == 0 {
		return nil
	}
	var line unreadableJSON
	line.Unreadable.Offsets = unreadable
	return term.WriteJSON(out, line)
}

// limited returns the first groups, and how many more there are.
func limited(groups []deadletter.Group, limit int) ([]deadletter.Group, int) {
	if limit == 0 || len(groups) <= limit {
		return groups, 0
	}
	return groups[:limit], len(groups) - limit
}

func printTally(out io.Writer, t *deadletter.Tally, limit int, unreadable int64) error {
	if t.Total.Count == 0 && unreadable == 0 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return err
	}
	table := term.NewTable(out, strings.ToUpper(string(t.By)), "COUNT", "FIRST", "LAST")
	row := func(name string, g deadletter.Group) {
		if g.Count > 0 {
			table.Row(name, g.Count, schemas.FormatTime(g.First), schemas.FormatTime(g.Last))
		}
	}
	groups, more := limited(t.Groups(), limit)
	for _, g := range groups {
		row(groupText(g.Key), g)
	}
	row("(others)", t.Beyond)
	row("total", t.Total)
	if unreadable > 0 {
		table.Row("(unreadable)", unreadable)
	}
	if err := table.End(); err != nil {
		return err
	}
	if more > 0 {
		_, err := fmt.Fprintf(out, "%s more; raise --limit to see them\n", term.Count(int64(more), "group"))
		return err
	}
	return nil
}

// groupText shows a key, which may be any text.
func groupText(key string) string {
	if key == "" {
		return "(none)"
	}
	return printable.Text(schemas.Mask(key))
}
