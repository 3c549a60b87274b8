package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"balanceq/cmd/internal/config"
	"balanceq/deadletter"
	"balanceq/schemas"

	"github.com/spf13/cobra"
)

// listOptions are the flags of deadletters list.
type listOptions struct {
	letterFlags
	by      string
	bucket  time.Duration
	records bool
	limit   int
	output  string
}

func (p *program) deadlettersList() *cobra.Command {
	o := &listOptions{}
	cmd := &cobra.Command{
		Use: "list", Short: "Count dead letters, or list them one by one", Args: noArguments,
		Long: `Counts the dead letters that the topic has now, by reason or by what --by says, with the times of the first
and of the last one; with --records it lists them. It reads without a consumer group and changes nothing.`,
		Example: `  balanceq deadletters list
  balanceq deadletters list --since 24h --reason contract-not-found --by contract
  balanceq deadletters list --contract 70001 --records --output json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd)
			if err != nil {
				return err
			}
			q, err := o.check(time.Now())
			if err != nil {
				return usageError{err}
			}
			if _, err := p.logger(loaded); err != nil { // for its warnings
				return err
			}
			return p.listDeadLetters(cmd.Context(), loaded.Config, o, q)
		},
	}
	fs := cmd.Flags()
	o.register(fs)
	fs.StringVar(&o.by, "by", string(deadletter.ByReason), "count by `reason|status|cms-reason|contract|time`")
	fs.DurationVar(&o.bucket, "bucket", time.Hour, "width of the groups of --by time")
	fs.BoolVar(&o.records, "records", false, "list each dead letter instead of counting")
	fs.IntVar(&o.limit, "limit", 0, "show only the first `n` groups or records")
	fs.StringVar(&o.output, "output", outputText, "how to show them, `text|json`")
	return configured(cmd)
}

func (o *listOptions) check(now time.Time) (*letterQuery, error) {
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
		return nil, fmt.Errorf("--by: %q is not known; write reason, status, cms-reason, contract or time", shorten(o.by))
	case o.bucket < time.Second:
		return nil, fmt.Errorf("--bucket: %v is less than a second; write for example --bucket 1h", o.bucket)
	case o.limit < 0:
		return nil, fmt.Errorf("--limit: %d is less than 0; write for example --limit 10", o.limit)
	}
	return q, checkOutput(o.output)
}

func (p *program) listDeadLetters(ctx context.Context, cfg config.Config, o *listOptions, q *letterQuery) error {
	scan := p.scan(cfg, q)
	tally := deadletter.Tally{By: deadletter.Grouping(o.by), Bucket: o.bucket}
	out := &printer{out: p.out, json: o.output == outputJSON, clear: scan.bar.clear}
	err := scan.each(ctx, func(l *deadletter.Letter) error {
		tally.Add(l)
		if !o.records {
			return nil
		}
		a := readDeadLetter(l.Record)
		if err := out.show(a, l.Time.Local().Format("2006-01-02 15:04:05.000"), fmt.Sprintf("[%d/%d]", l.Partition, l.Offset)); err != nil {
			return err
		}
		if tally.Total.Count == int64(o.limit) {
			return errEnough
		}
		return nil
	})
	if err != nil || o.records {
		return err
	}
	return p.showTally(&tally, o)
}

// groupJSON is a group as --output json shows it, one a line.
type groupJSON struct {
	By    deadletter.Grouping `json:"by"`
	Key   string              `json:"key"` // "": letters do not tell
	Count int64               `json:"count"`
	First time.Time           `json:"first"`
	Last  time.Time           `json:"last"`
}

func (p *program) showTally(t *deadletter.Tally, o *listOptions) error {
	groups := t.Groups()
	more := 0
	if o.limit > 0 && len(groups) > o.limit {
		more = len(groups) - o.limit
		groups = groups[:o.limit]
	}
	if o.output == outputJSON {
		enc := json.NewEncoder(p.out)
		for _, g := range groups {
			if err := enc.Encode(groupJSON{t.By, printable(g.Key), g.Count, g.First.UTC(), g.Last.UTC()}); err != nil {
				return err
			}
		}
		return nil
	}
	if t.Total.Count == 0 {
		_, err := fmt.Fprintln(p.out, "no dead letters")
		return err
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintf(w, "%s\tCOUNT\tFIRST\tLAST\n", strings.ToUpper(string(t.By))) // a tabwriter says what failed when it is flushed
	row := func(name string, g deadletter.Group) {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", name, g.Count, secondsText(g.First), secondsText(g.Last))
	}
	for _, g := range groups {
		row(groupText(t.By, g.Key), g)
	}
	if t.Beyond.Count > 0 {
		row("(others)", t.Beyond)
	}
	row("total", t.Total)
	if err := w.Flush(); err != nil {
		return err
	}
	if more > 0 {
		_, err := fmt.Fprintf(p.out, "%s more; raise --limit to see them\n", count(int64(more), "group"))
		return err
	}
	return nil
}

func groupText(by deadletter.Grouping, key string) string {
	switch {
	case key == "":
		return "(none)"
	case by == deadletter.ByContract:
		return printable(schemas.Mask(key))
	}
	return printable(key)
}

func secondsText(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
