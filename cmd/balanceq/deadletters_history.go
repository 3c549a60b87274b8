package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/cmd/internal/config"
	"github.com/balanceq/balanceq/deadletter"
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

func (p *program) deadlettersHistory() *cobra.Command {
	o := &historyOptions{}
	cmd := &cobra.Command{
		Use: "history", Short: "Show who replayed what, and what became of it", Args: noArguments,
		Long: `Shows the runs of deadletters replay, the newest last, with what became of the requests that they put back: how many
were answered, how many became dead letters again, and how many are open, which wait or whose answer its topic has
expired; with --records each request. It reads without a consumer group and changes nothing.

In text, contract ids that could be card numbers are masked. --output json is one object a line, a run or a request.`,
		Example: `  balanceq deadletters history
  balanceq deadletters history --since 24h --by ann
  balanceq deadletters history --run 20260131T115900-4f7a1c --records`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd)
			if err != nil {
				return err
			}
			filter, err := o.check(time.Now())
			if err != nil {
				return usageError{err}
			}
			if _, err := p.logger(loaded); err != nil { // for its warnings
				return err
			}
			return interrupted(cmd.Context(), p.showHistory(cmd.Context(), loaded.Config, o, filter))
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.since, "since", "", "only what was replayed since this `time`: 1h ago, or RFC 3339")
	fs.StringVar(&o.until, "until", "", "only what was replayed before this `time`: 1h ago, or RFC 3339")
	fs.StringVar(&o.run, "run", "", "only the run with this `id`")
	fs.StringVar(&o.by, "by", "", "only what this `user` replayed: user@host, or the user alone")
	fs.BoolVar(&o.records, "records", false, "show each replayed request instead of the runs")
	fs.IntVar(&o.limit, "limit", 0, "show only the last `n` runs or requests")
	fs.StringVar(&o.output, "output", outputText, "how to show them, `text|json`")
	return configured(cmd)
}

func (o *historyOptions) check(now time.Time) (f deadletter.HistoryFilter, err error) {
	f.Run, f.By = o.run, o.by
	if f.Since, f.Until, err = parseWindow(o.since, o.until, now); err != nil {
		return f, err
	}
	if o.limit < 0 {
		return f, fmt.Errorf("--limit: %d is less than 0; write for example --limit 10", o.limit)
	}
	return f, checkOutput(o.output)
}

func (p *program) showHistory(ctx context.Context, cfg config.Config, o *historyOptions, filter deadletter.HistoryFilter) error {
	topics := cfg.Topics
	settings, _, err := reachTopics(ctx, cfg, topics.Replays, topics.Results, topics.DeadLetters)
	if err != nil {
		return err
	}
	h := &deadletter.History{Requests: topics.Requests, Filter: filter}
	bar := newProgress(p.err, -1)
	defer bar.end()
	var skips []*deadletter.Skip
	strangers, err := p.readLedger(ctx, settings, topics.Replays, bar, func(e *deadletter.Entry) error { h.Add(e); return nil },
		func(s *deadletter.Skip) {
			if filter.Passes(&deadletter.Entry{Run: s.Run, Time: s.Time, By: s.By}) {
				skips = append(skips, s)
			}
		})
	if err != nil {
		return err
	}
	if strangers > 0 {
		_, _ = fmt.Fprintf(p.err, "warning: something else has written to %s, which is for replays alone: %s\n",
			topics.Replays, count(strangers, "record"))
	}
	bar.clear()
	if err := p.showSkips(o, skips); err != nil {
		return err
	}
	total := h.Replayed()
	if total == 0 {
		return p.showNothing(o, h)
	}
	if err := p.readOutcomes(ctx, settings, topics, h); err != nil {
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
func (p *program) showSkips(o *historyOptions, skips []*deadletter.Skip) error {
	for _, s := range skips {
		var err error
		if o.output == outputJSON {
			err = json.NewEncoder(p.out).Encode(skipJSON{s})
		} else {
			_, err = fmt.Fprintf(p.out, "%s %s skipped offsets %d to %d of %s/%d for group %s: %s\n",
				secondsText(s.Time), masked(s.By), s.From, s.To-1, masked(s.Topic), s.Partition, masked(s.Group), masked(s.Why))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) showNothing(o *historyOptions, h *deadletter.History) error {
	text := "nothing has been replayed"
	if h.Entries > 0 {
		text = "nothing like that has been replayed (" + count(h.Entries, "replay") + " in all)"
	}
	if o.output == outputJSON {
		return nil
	}
	_, err := fmt.Fprintln(p.out, text)
	return err
}

// readLedger calls each for all entries, and returns how many records are none.
func (p *program) readLedger(ctx context.Context, settings kafkawire.Settings, topic string, bar *progress,
	each func(*deadletter.Entry) error, skipped func(*deadletter.Skip)) (strangers int64, err error) {
	client := kafkawire.NewClient(settings, topic)
	defer client.Close()
	var read int64
	ledger := deadletter.Ledger{Client: client, Topic: topic, Skipped: skipped}
	err = ledger.Read(ctx, func(e *deadletter.Entry) error {
		if read++; read%progressEvery == 0 {
			bar.draw(read, "reading replays")
		}
		return each(e)
	})
	return ledger.Strangers, err
}

// clockTolerance is how much later than others the clock of whoever replayed may have been.
const clockTolerance = time.Minute

// readOutcomes tells the history of all results and dead letters since its first replay.
func (p *program) readOutcomes(ctx context.Context, settings kafkawire.Settings, topics config.Topics,
	h *deadletter.History) error {
	from := max(0, h.First.Add(-clockTolerance).UnixMilli())
	err := p.readSince(ctx, settings, topics.Results, from, "reading results", h.Result)
	if err != nil {
		return err
	}
	return p.readSince(ctx, settings, topics.DeadLetters, from, "reading dead letters",
		func(rec *schemas.Record) { h.Letter(deadletter.Read(rec)) })
}

// readSince calls each for what a topic has since then. What cannot be read is left out, with a warning.
func (p *program) readSince(ctx context.Context, settings kafkawire.Settings, topic string, from int64, doing string,
	each func(*schemas.Record)) error {
	client := kafkawire.NewClient(settings, topic)
	defer client.Close()
	bar := newProgress(p.err, -1)
	defer bar.end()
	var read int64
	err := kafkawire.Reader{
		Client: client, Topic: topic, From: from, ToEnd: true, Ready: bar.size,
		Skipped: func(partition int32, gap kafkawire.Span, why error) {
			bar.clear()
			p.warnGap(topic, deadletter.Gap{Partition: partition, Span: gap, Why: why})
		},
	}.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
		if read++; read%progressEvery == 0 {
			bar.draw(read, doing)
		}
		each(deadletter.Record(topic, partition, rec))
		return true
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", topic, err)
	}
	return nil
}
