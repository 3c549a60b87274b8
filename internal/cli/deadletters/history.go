package deadletters

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/schemas"
)

// historyOptions are the flags of deadletters history.
type historyOptions struct {
	since   string
	until   string
	run     string
	by      string
	records bool
	limit   int
	output  string
}

func historyCommand(e *command.Env) *cobra.Command {
	o := &historyOptions{}
	cmd := e.Configured(&cobra.Command{
		Use: "history", Short: "Show who replayed what, and what became of it", Args: command.NoArguments,
		Long: `Shows the runs of deadletters replay, the newest last, with what became of the requests that they put back: how many
were answered, how many became dead letters again, and how many are open, which wait or whose answer its topic has
expired; with --records each request. It reads without a consumer group and changes nothing.

In text, contract ids that could be card numbers are masked. --output json is one object a line, a run or a request.`,
		Example: `  balanceq deadletters history
  balanceq deadletters history --since 24h --by ann
  balanceq deadletters history --run 20260131T115900-4f7a1c --records`,
	}, command.Needs(rights.DeadLetters, func(ctx context.Context, c *command.Call) error {
		filter, err := o.check(time.Now())
		if err != nil {
			return command.WrongUsage(err)
		}
		return command.Interrupted(ctx, history(ctx, c, o, filter))
	}))
	fs := cmd.Flags()
	fs.StringVar(&o.since, "since", "", "only what was replayed since this `time`: 1h ago, or RFC 3339")
	fs.StringVar(&o.until, "until", "", "only what was replayed before this `time`: 1h ago, or RFC 3339")
	fs.StringVar(&o.run, "run", "", "only the run with this `id`")
	fs.StringVar(&o.by, "by", "", "only what this `user` replayed: user@host, or the user alone")
	fs.BoolVar(&o.records, "records", false, "show each replayed request instead of the runs")
	fs.IntVar(&o.limit, "limit", 0, "show only the last `n` runs or requests")
	fs.StringVar(&o.output, "output", term.Text, "how to show them, `text|json`")
	return cmd
}

func (o *historyOptions) check(now time.Time) (f replay.HistoryFilter, err error) {
	f.Run, f.By = o.run, o.by
	if f.Since, f.Until, err = command.ParseWindow(o.since, o.until, now); err != nil {
		return f, err
	}
	if o.limit < 0 {
		return f, fmt.Errorf("--limit: %d is less than 0; write for example --limit 10", o.limit)
	}
	return f, term.CheckOutput(o.output)
}

func history(ctx context.Context, c *command.Call, o *historyOptions, filter replay.HistoryFilter) error {
	topics := c.Config.Topics
	settings, _, err := c.ReachTopics(ctx, topics.Replays, topics.Results, topics.DeadLetters)
	if err != nil {
		return err
	}
	h := &replay.History{Requests: topics.Requests, Filter: filter}
	bar := term.NewProgress(c.Err, -1)
	defer bar.End()
	var skips []*ledger.Skip
	add := func(e *ledger.Entry) error { h.Add(e); return nil }
	foreign, err := readLedger(ctx, settings, topics.Replays, bar, add, func(s *ledger.Skip) {
		if filter.Passes(&ledger.Entry{Run: s.Run, Time: s.Time, By: s.By}) {
			skips = append(skips, s)
		}
	})
	if err != nil {
		return err
	}
	if foreign > 0 {
		c.Warn("something else has written to %s, which is for replays alone: %s",
			topics.Replays, term.Count(foreign, "record"))
	}
	bar.Clear()
	show := historyPrinter{c, o, bar}
	if err := show.skips(skips); err != nil {
		return err
	}
	total := h.Replayed()
	if total == 0 {
		return show.nothing(h)
	}
	if err := readOutcomes(ctx, c, settings, h); err != nil {
		return err
	}
	if !o.records {
		return show.runs(h.Runs())
	}
	skip := int64(0)
	if o.limit > 0 {
		skip = max(0, total-int64(o.limit))
	}
	return show.records(ctx, settings, h, skip, total)
}

// readLedger calls each for all entries, and returns how many records are none.
func readLedger(ctx context.Context, settings kafkawire.Settings, topic string, bar *term.Progress,
	each func(*ledger.Entry) error, skipped func(*ledger.Skip)) (foreign int64, err error) {
	client := kafkawire.NewClient(settings, topic)
	defer client.Close()
	var read int64
	reader := ledger.Reader{Client: client, Topic: topic, Skipped: skipped}
	err = reader.Read(ctx, func(e *ledger.Entry) error {
		if read++; read%progressEvery == 0 {
			bar.Draw(read, "reading replays")
		}
		return each(e)
	})
	return reader.Foreign, err
}

// clockTolerance is how much the clock that a replay was timed with may have been ahead of others.
const clockTolerance = time.Minute

// readOutcomes tells the history of all results and dead letters since its first replay.
func readOutcomes(ctx context.Context, c *command.Call, settings kafkawire.Settings, h *replay.History) error {
	topics := c.Config.Topics
	from := max(0, h.First.Add(-clockTolerance).UnixMilli())
	err := readSince(ctx, c, settings, topics.Results, from, "reading results", h.Result)
	if err != nil {
		return err
	}
	return readSince(ctx, c, settings, topics.DeadLetters, from, "reading dead letters",
		func(rec *schemas.Record) { h.Letter(deadletter.Read(rec)) })
}

// readSince calls each for what a topic has since then. What cannot be read is left out, with a warning.
func readSince(ctx context.Context, c *command.Call, settings kafkawire.Settings, topic string, from int64,
	doing string,
	each func(*schemas.Record)) error {
	client := kafkawire.NewClient(settings, topic)
	defer client.Close()
	bar := term.NewProgress(c.Err, -1)
	defer bar.End()
	var read int64
	err := tail.Reader{
		Client: client, Topic: topic, From: from, ToEnd: true, Ready: bar.Size,
		Skipped: func(partition int32, gap tail.Span, why error) {
			bar.Clear()
			warnGap(c, topic, deadletter.Gap{Partition: partition, Span: gap, Why: why})
		},
	}.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
		if read++; read%progressEvery == 0 {
			bar.Draw(read, doing)
		}
		each(deadletter.Record(topic, partition, rec))
		return true
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", topic, err)
	}
	return nil
}
