package deadletters

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"

	"github.com/spf13/cobra"
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

func deadlettersHistory(p *command.Env) *cobra.Command {
	o := &historyOptions{}
	cmd := &cobra.Command{
		Use: "history", Short: "Show who replayed what, and what became of it", Args: command.NoArguments,
		Long: `Shows the runs of deadletters replay, the newest last, with what became of the requests that they put back: how many
were answered, how many became dead letters again, and how many are open, which wait or whose answer its topic has
expired; with --records each request. It reads without a consumer group and changes nothing.

In text, contract ids that could be card numbers are masked. --output json is one object a line, a run or a request.`,
		Example: `  balanceq deadletters history
  balanceq deadletters history --since 24h --by ann
  balanceq deadletters history --run 20260131T115900-4f7a1c --records`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.Load(cmd)
			if err != nil {
				return err
			}
			filter, err := o.check(time.Now())
			if err != nil {
				return command.WrongUsage(err)
			}
			if _, err := p.Logger(loaded); err != nil { // for its warnings
				return err
			}
			return command.Interrupted(cmd.Context(), showHistory(p, cmd.Context(), loaded.Config, o, filter))
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.since, "since", "", "only what was replayed since this `time`: 1h ago, or RFC 3339")
	fs.StringVar(&o.until, "until", "", "only what was replayed before this `time`: 1h ago, or RFC 3339")
	fs.StringVar(&o.run, "run", "", "only the run with this `id`")
	fs.StringVar(&o.by, "by", "", "only what this `user` replayed: user@host, or the user alone")
	fs.BoolVar(&o.records, "records", false, "show each replayed request instead of the runs")
	fs.IntVar(&o.limit, "limit", 0, "show only the last `n` runs or requests")
	fs.StringVar(&o.output, "output", term.Text, "how to show them, `text|json`")
	return command.WithConfig(cmd)
}

func (o *historyOptions) check(now time.Time) (f deadletter.HistoryFilter, err error) {
	f.Run, f.By = o.run, o.by
	if f.Since, f.Until, err = command.ParseWindow(o.since, o.until, now); err != nil {
		return f, err
	}
	if o.limit < 0 {
		return f, fmt.Errorf("--limit: %d is less than 0; write for example --limit 10", o.limit)
	}
	return f, term.CheckOutput(o.output)
}

func showHistory(p *command.Env, ctx context.Context, cfg config.Config, o *historyOptions, filter deadletter.HistoryFilter) error {
	topics := cfg.Topics
	settings, _, err := command.ReachTopics(ctx, cfg, topics.Replays, topics.Results, topics.DeadLetters)
	if err != nil {
		return err
	}
	h := &deadletter.History{Requests: topics.Requests, Filter: filter}
	bar := term.NewProgress(p.Err, -1)
	defer bar.End()
	var skips []*deadletter.Skip
	strangers, err := readLedger(p, ctx, settings, topics.Replays, bar, func(e *deadletter.Entry) error { h.Add(e); return nil },
		func(s *deadletter.Skip) {
			if filter.Passes(&deadletter.Entry{Run: s.Run, Time: s.Time, By: s.By}) {
				skips = append(skips, s)
			}
		})
	if err != nil {
		return err
	}
	if strangers > 0 {
		_, _ = fmt.Fprintf(p.Err, "warning: something else has written to %s, which is for replays alone: %s\n",
			topics.Replays, term.Count(strangers, "record"))
	}
	bar.Clear()
	if err := showSkips(p, o, skips); err != nil {
		return err
	}
	total := h.Replayed()
	if total == 0 {
		return showNothing(p, o, h)
	}
	if err := readOutcomes(p, ctx, settings, topics, h); err != nil {
		return err
	}
	show := historyPrinter{p, o, topics, bar}
	if !o.records {
		return show.runs(h.Runs())
	}
	skip := int64(0)
	if o.limit > 0 {
		skip = max(0, total-int64(o.limit))
	}
	return show.records(ctx, settings, h, skip, total)
}

// skipJSON is a skip as --output json shows it, one a line.
type skipJSON struct {
	Skipped *deadletter.Skip `json:"skipped"`
}

// showSkips shows what was skipped of the request topic: that is in the ledger, too.
func showSkips(p *command.Env, o *historyOptions, skips []*deadletter.Skip) error {
	for _, s := range skips {
		var err error
		if o.output == term.JSON {
			err = json.NewEncoder(p.Out).Encode(skipJSON{s})
		} else {
			_, err = fmt.Fprintf(p.Out, "%s %s skipped offsets %d to %d of %s/%d for group %s: %s\n",
				term.Seconds(s.Time), term.Masked(s.By), s.From, s.To-1, term.Masked(s.Topic), s.Partition, term.Masked(s.Group), term.Masked(s.Why))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func showNothing(p *command.Env, o *historyOptions, h *deadletter.History) error {
	text := "nothing has been replayed"
	if h.Entries > 0 {
		text = "nothing like that has been replayed (" + term.Count(h.Entries, "replay") + " in all)"
	}
	if o.output == term.JSON {
		return nil
	}
	_, err := fmt.Fprintln(p.Out, text)
	return err
}

// readLedger calls each for all entries, and returns how many records are none.
func readLedger(p *command.Env, ctx context.Context, settings kafkawire.Settings, topic string, bar *term.Progress,
	each func(*deadletter.Entry) error, skipped func(*deadletter.Skip)) (strangers int64, err error) {
	client := kafkawire.NewClient(settings, topic)
	defer client.Close()
	var read int64
	ledger := deadletter.Ledger{Client: client, Topic: topic, Skipped: skipped}
	err = ledger.Read(ctx, func(e *deadletter.Entry) error {
		if read++; read%progressEvery == 0 {
			bar.Draw(read, "reading replays")
		}
		return each(e)
	})
	return ledger.Strangers, err
}

// clockTolerance is how much later than others the clock of whoever replayed may have been.
const clockTolerance = time.Minute

// readOutcomes tells the history of all results and dead letters since its first replay.
func readOutcomes(p *command.Env, ctx context.Context, settings kafkawire.Settings, topics config.Topics,
	h *deadletter.History) error {
	from := max(0, h.First.Add(-clockTolerance).UnixMilli())
	err := readSince(p, ctx, settings, topics.Results, from, "reading results", h.Result)
	if err != nil {
		return err
	}
	return readSince(p, ctx, settings, topics.DeadLetters, from, "reading dead letters",
		func(rec *schemas.Record) { h.Letter(deadletter.Read(rec)) })
}

// readSince calls each for what a topic has since then. What cannot be read is left out, with a warning.
func readSince(p *command.Env, ctx context.Context, settings kafkawire.Settings, topic string, from int64, doing string,
	each func(*schemas.Record)) error {
	client := kafkawire.NewClient(settings, topic)
	defer client.Close()
	bar := term.NewProgress(p.Err, -1)
	defer bar.End()
	var read int64
	err := kafkawire.Reader{
		Client: client, Topic: topic, From: from, ToEnd: true, Ready: bar.Size,
		Skipped: func(partition int32, gap kafkawire.Span, why error) {
			bar.Clear()
			warnGap(p, topic, deadletter.Gap{Partition: partition, Span: gap, Why: why})
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
