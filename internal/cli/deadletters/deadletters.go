// Package deadletters is the command that lists, shows, exports and replays dead letters.
package deadletters

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Command is the command deadletters with its subcommands.
func Command(e *command.Env) *cobra.Command {
	return command.Family("deadletters", "Find dead letters, understand and replay them",
		listCommand(e), replayCommand(e), showCommand(e), exportCommand(e), historyCommand(e))
}

// filterFlags are the filters that the subcommands share. They compose: a letter has to pass all of them.
type filterFlags struct {
	reasons     []string
	statuses    []int
	since       string
	until       string
	contractIDs []string
	grep        string
	partition   int32
	offset      int64
	notReplayed bool
}

// scanQuery is what the flags ask for.
type scanQuery struct {
	deadletter.Filter
	from        int64           // as tail.Reader's
	ends        map[int32]int64 // where partitions end, if that is to stay so
	flagged     bool            // --partition was given
	notReplayed bool
}

// reasonNone stands for letters of other writers, which have none of our reasons.
const reasonNone = "none"

// filterFlagNames are the flags that say which letters.
var filterFlagNames = []string{"reason", "status", "since", "until", "contract", "grep", "partition", "offset",
	"not-replayed"}

func (f *filterFlags) register(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.reasons, "reason", nil,
		"only those with these `reasons`, for example contract-not-found; none: of other writers")
	command.Words(fs, "reason", append(slices.Clone(schemas.Reasons), reasonNone)...)
	fs.IntSliceVar(&f.statuses, "status", nil,
		"only those whose last CMS answer had this HTTP `status`; 0: there was none")
	fs.StringVar(&f.since, "since", "", "only those since this `time`: 1h ago, or RFC 3339")
	fs.StringVar(&f.until, "until", "", "only those before this `time`: 1h ago, or RFC 3339")
	fs.StringSliceVar(&f.contractIDs, "contract", nil, "only those of the contracts with these `ids`")
	fs.StringVar(&f.grep, "grep", "", "only those in whose key, value or headers this regular `expression` is found")
	fs.Int32Var(&f.partition, "partition", -1, "only those of this `partition` of the dead-letter topic")
	fs.Int64Var(&f.offset, "offset", -1, "only the one at this `offset`, with --partition")
	command.NoDefault(fs, "partition", "offset")
	fs.BoolVar(&f.notReplayed, "not-replayed", false, "only those that have not been replayed")
}

// query checks the flags.
func (f *filterFlags) query(now time.Time) (*scanQuery, error) {
	q := &scanQuery{from: kafkawire.Earliest, notReplayed: f.notReplayed}
	for _, text := range f.reasons {
		if text == reasonNone {
			text = ""
		} else if !slices.Contains(schemas.Reasons, schemas.Reason(text)) {
			return nil, fmt.Errorf("--reason: %q is not known; write one of %s, or %s for those without one of these",
				term.Shorten(text), reasonsText(), reasonNone)
		}
		q.Reasons = append(q.Reasons, schemas.Reason(text))
	}
	q.Statuses = f.statuses
	var err error
	if q.Since, q.Until, err = command.ParseWindow(f.since, f.until, now); err != nil {
		return nil, err
	}
	if !q.Since.IsZero() {
		q.from = q.Since.UnixMilli()
	}
	if q.Contracts, err = command.ParseContracts(f.contractIDs); err != nil {
		return nil, err
	}
	if f.grep != "" {
		if q.Grep, err = regexp.Compile(f.grep); err != nil {
			return nil, fmt.Errorf("--grep: %w; write a regular expression of Go (RE2)", err)
		}
	}
	switch {
	case f.partition < 0 && f.offset >= 0:
		return nil, errors.New("--offset: tells one record only together with --partition")
	case f.partition >= 0:
		q.At, q.flagged = []schemas.Position{{Partition: f.partition, Offset: max(f.offset, -1)}}, true
	}
	return q, nil
}

// checkPartition refuses a partition that the topic does not have.
func (q *scanQuery) checkPartition(t kafkawire.Topic) error {
	if q.flagged && int(q.At[0].Partition) >= t.Partitions {
		return fmt.Errorf("--partition: topic %s has the partitions 0 to %d", t.Name, t.Partitions-1)
	}
	return nil
}

func reasonsText() string {
	var texts []string
	for _, reason := range schemas.Reasons {
		texts = append(texts, string(reason))
	}
	return strings.Join(texts, ", ")
}
