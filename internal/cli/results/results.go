// Package results is the command that shows results and dead letters as they come.
package results

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// options are the flags of results.
type options struct {
	fromBeginning bool
	since         string
	contractIDs   []string
	requestIDs    []string
	deadLetters   bool
	output        string
	limit         int
	exit          bool

	// What check makes of them.
	from      int64 // as tail.Reader's
	contracts []int64
}

// Command is the command results.
func Command(e *command.Env) *cobra.Command {
	o := &options{}
	cmd := e.Configured(&cobra.Command{
		Use: "results", Short: "Follow the results", Args: command.NoArguments,
		Long: `Shows results as they come, until Ctrl-C; with --from-beginning or --since earlier ones first.

It reads all partitions without a consumer group, so it takes no record away from another reader. Results of one
contract are in order. Times are UTC. --output json prints each result as it is, and with --deadletters an object with
"outcome":"dead-letter" for each dead letter.`,
		Example: `  balanceq results --since 1h --contract 70001
  balanceq results --from-beginning --exit --deadletters --output json`,
	}, command.Needs(rights.Results, func(ctx context.Context, c *command.Call) error {
		if err := o.check(time.Now()); err != nil {
			return command.WrongUsage(err)
		}
		return show(ctx, c, o)
	}))
	fs := cmd.Flags()
	fs.BoolVar(&o.fromBeginning, "from-beginning", false, "begin with the oldest result that the topic still has")
	fs.StringVar(&o.since, "since", "", "begin with the results since this `time`: 1h ago, or RFC 3339")
	fs.StringSliceVar(&o.contractIDs, "contract", nil, "only those of the contracts with these `ids`")
	fs.StringSliceVar(&o.requestIDs, "request-id", nil, "only those of the requests with these `ids`")
	fs.BoolVar(&o.deadLetters, "deadletters", false, "show dead letters too")
	fs.StringVar(&o.output, "output", term.Text, "how to show them, `text|json`")
	fs.IntVar(&o.limit, "limit", 0, "end when `n` have been shown")
	fs.BoolVar(&o.exit, "exit", false, "end where the topic ends now, instead of following it")
	return cmd
}

func (o *options) check(now time.Time) error {
	if err := term.CheckOutput(o.output); err != nil {
		return err
	}
	var err error
	if o.contracts, err = command.ParseContracts(o.contractIDs); err != nil {
		return err
	}
	switch {
	case o.limit < 0:
		return fmt.Errorf("--limit: %d is less than 0; write for example --limit 10", o.limit)
	case o.fromBeginning && o.since != "":
		return errors.New("--from-beginning and --since: give one of them")
	case o.exit && !o.fromBeginning && o.since == "":
		return errors.New("--exit: would show nothing; add --from-beginning or --since")
	}
	o.from = kafkawire.Latest
	if o.fromBeginning {
		o.from = kafkawire.Earliest
	}
	if o.since != "" {
		t, err := command.ParseTime("--since", o.since, now)
		if err != nil {
			return err
		}
		o.from = t.UnixMilli()
	}
	return nil
}

// wants says whether the filters let an answer through.
func (o *options) wants(a *answers.Answer) bool {
	return (len(o.contracts) == 0 || slices.Contains(o.contracts, a.ContractID)) &&
		(len(o.requestIDs) == 0 || slices.Contains(o.requestIDs, a.RequestID))
}

func show(ctx context.Context, c *command.Call, o *options) error {
	topics := []string{c.Config.Topics.Results}
	if o.deadLetters {
		topics = append(topics, c.Config.Topics.DeadLetters)
	}
	settings, _, err := c.ReachTopics(ctx, topics...)
	if errors.Is(err, command.ErrInterrupted) {
		return nil
	}
	if err != nil {
		return err
	}
	out := &answers.Printer{Out: c.Out, JSON: o.output == term.JSON, Clear: func() {}}
	var failed error
	shown := 0
	f := answers.Follower{Settings: settings, Topics: topics, From: o.from, ToEnd: o.exit, Ready: func() {
		if !o.exit {
			c.Say("following %s; Ctrl-C ends", strings.Join(topics, " and "))
		}
	}}
	err = f.Follow(ctx, func(rec *schemas.Record) bool {
		a, err := answers.Read(rec, c.Config.Topics)
		if err != nil {
			c.Warn("%s", printable.Text(err.Error()))
			return true
		}
		if !o.wants(a) {
			return true
		}
		when := schemas.FormatTime(rec.Time)
		if failed = out.Show(a, when, "["+printable.Text(schemas.Mask(a.RequestID))+"]"); failed != nil {
			return false
		}
		shown++
		return shown != o.limit
	})
	return errors.Join(err, failed)
}
