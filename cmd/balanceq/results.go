package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/cmd/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"

	"github.com/spf13/cobra"
)

// resultsOptions are the flags of results.
type resultsOptions struct {
	fromBeginning bool
	since         string
	contractIDs   []string
	requestIDs    []string
	deadLetters   bool
	output        string
	limit         int
	exit          bool

	// What check makes of them.
	from      int64 // as kafkawire.Reader's
	contracts []int64
}

func (p *program) resultsCommand() *cobra.Command {
	o := &resultsOptions{}
	cmd := &cobra.Command{
		Use: "results", Short: "Follow the results", Args: noArguments,
		Long: `Shows results as they come, until Ctrl-C; with --from-beginning or --since earlier ones first.

It reads all partitions without a consumer group, so it takes nothing away from anybody. Results of one contract are
in order. --output json prints each result as it is, and with --deadletters an object with "outcome":"dead-letter"
for each dead letter.`,
		Example: `  balanceq results --since 1h --contract 70001
  balanceq results --from-beginning --exit --deadletters --output json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd)
			if err != nil {
				return err
			}
			if err := o.check(time.Now()); err != nil {
				return usageError{err}
			}
			if _, err := p.logger(loaded); err != nil { // for its warnings
				return err
			}
			return p.results(cmd, loaded.Config, o)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&o.fromBeginning, "from-beginning", false, "begin with the oldest result that the topic still has")
	fs.StringVar(&o.since, "since", "", "begin with the results since this `time`: 1h ago, or RFC 3339")
	fs.StringSliceVar(&o.contractIDs, "contract", nil, "only those of the contracts with these `ids`")
	fs.StringSliceVar(&o.requestIDs, "request-id", nil, "only those of the requests with these `ids`")
	fs.BoolVar(&o.deadLetters, "deadletters", false, "show dead letters too")
	fs.StringVar(&o.output, "output", outputText, "how to show them, `text|json`")
	fs.IntVar(&o.limit, "limit", 0, "end when `n` have been shown")
	fs.BoolVar(&o.exit, "exit", false, "end where the topic ends now, instead of following it")
	return configured(cmd)
}

func (o *resultsOptions) check(now time.Time) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	var err error
	if o.contracts, err = parseContracts(o.contractIDs); err != nil {
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
		t, err := parseTime("--since", o.since, now)
		if err != nil {
			return err
		}
		o.from = t.UnixMilli()
	}
	return nil
}

func parseContracts(texts []string) (ids []int64, _ error) {
	for _, text := range texts {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id < schemas.MinContractID || id > schemas.MaxContractID {
			return nil, fmt.Errorf("--contract: %q is not a contract id; write a number, for example 70001", shorten(text))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// parseTime reads a time of a flag: so long ago, or RFC 3339.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 {
		return t, fmt.Errorf("%s: %q is neither a duration nor an RFC 3339 time; write for example 1h or 2026-01-31T12:00:00Z",
			flag, shorten(text))
	}
	return t, nil
}

// parseWindow reads --since and --until; zero times where they are empty.
func parseWindow(since, until string, now time.Time) (from, to time.Time, err error) {
	if since != "" {
		if from, err = parseTime("--since", since, now); err != nil {
			return from, to, err
		}
	}
	if until != "" {
		if to, err = parseTime("--until", until, now); err != nil {
			return from, to, err
		}
		if !from.IsZero() && !from.Before(to) {
			return from, to, errors.New("--since and --until: nothing lies between them; --since has to be the earlier one")
		}
	}
	return from, to, nil
}

// wants says whether the filters let an answer through.
func (o *resultsOptions) wants(a *answer) bool {
	return (len(o.contracts) == 0 || slices.Contains(o.contracts, a.contractID)) &&
		(len(o.requestIDs) == 0 || slices.Contains(o.requestIDs, a.requestID))
}

func (p *program) results(cmd *cobra.Command, cfg config.Config, o *resultsOptions) error {
	topics := []string{cfg.Topics.Results}
	if o.deadLetters {
		topics = append(topics, cfg.Topics.DeadLetters)
	}
	settings, _, err := reachTopics(cmd.Context(), cfg, topics...)
	if errors.Is(err, errInterrupted) {
		return nil
	}
	if err != nil {
		return err
	}
	out := &printer{out: p.out, json: o.output == outputJSON, clear: func() {}}
	var failed error
	shown := 0
	f := follower{settings: settings, topics: topics, from: o.from, toEnd: o.exit, ready: func() {
		if !o.exit {
			_, _ = fmt.Fprintf(p.err, "following %s; Ctrl-C ends\n", strings.Join(topics, " and "))
		}
	}}
	err = f.follow(cmd.Context(), func(rec *schemas.Record) bool {
		a, err := readAnswer(rec, cfg.Topics)
		if err != nil {
			_, _ = fmt.Fprintln(p.err, "warning:", printable(err.Error()))
			return true
		}
		if !o.wants(a) {
			return true
		}
		when := rec.Time.Local().Format("2006-01-02 15:04:05.000")
		if failed = out.show(a, when, "["+printable(schemas.Mask(a.requestID))+"]"); failed != nil {
			return false
		}
		shown++
		return shown != o.limit
	})
	return errors.Join(err, failed)
}

// readAnswer reads a record of the results or the dead letters topic.
func readAnswer(rec *schemas.Record, topics config.Topics) (*answer, error) {
	if rec.Topic == topics.DeadLetters {
		return readDeadLetter(rec), nil
	}
	return readResult(rec)
}
