package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// historyPrinter shows what was replayed.
type historyPrinter struct {
	*command.Call
	*historyOptions
	bar *term.Progress
}

// skipJSON is a skip as --output json shows it, one a line.
type skipJSON struct {
	Skipped struct {
		*ledger.Skip
		Time string `json:"time"` // instead of the one in the skip
	} `json:"skipped"`
}

// skips shows what was skipped of the request topic: that is in the ledger, too.
func (h historyPrinter) skips(skips []*ledger.Skip) error {
	for _, s := range skips {
		var err error
		if h.output == term.JSON {
			var line skipJSON
			line.Skipped.Skip, line.Skipped.Time = s, schemas.FormatTime(s.Time)
			err = term.WriteJSON(h.Out, line)
		} else {
			_, err = fmt.Fprintf(h.Out, "%s %s skipped offsets %d to %d of %s/%d for group %s: %s\n",
				schemas.FormatTime(s.Time), term.Masked(s.By), s.From, s.To-1, term.Masked(s.Topic), s.Partition,
				term.Masked(s.Group), term.Masked(s.Why))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nothing says that no replay passed the filter.
func (h historyPrinter) nothing(history *replay.History) error {
	if h.output == term.JSON {
		return nil
	}
	text := "nothing has been replayed"
	if history.Entries > 0 {
		text = "nothing like that has been replayed (" + term.Count(history.Entries, "replay") + " in all)"
	}
	_, err := fmt.Fprintln(h.Out, text)
	return err
}

// runJSON is a run as --output json shows it, one a line.
type runJSON struct {
	Run       string                   `json:"run"` // "": all runs beyond the first 10,000
	First     string                   `json:"first"`
	Last      string                   `json:"last"`
	By        string                   `json:"by"`
	Filter    string                   `json:"filter,omitempty"` // absent: all dead letters
	Replayed  int64                    `json:"replayed"`
	Answered  int64                    `json:"answered"`
	DeadAgain int64                    `json:"deadAgain"`
	Open      int64                    `json:"open"`
	Reasons   map[schemas.Reason]int64 `json:"reasons"` // "": not known
}

func (h historyPrinter) runs(runs []replay.Summary) error {
	more := 0
	if h.limit > 0 {
		more = max(0, len(runs)-h.limit)
	}
	if h.output == term.JSON {
		for _, r := range runs[more:] {
			err := term.WriteJSON(h.Out, runJSON{
				r.ID, schemas.FormatTime(r.First), schemas.FormatTime(r.Last), r.By, r.Filter,
				r.Replayed, r.Answered, r.DeadAgain, r.Open(), r.Reasons,
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	table := term.NewTable(h.Out, "RUN", "STARTED", "BY", "REPLAYED", "ANSWERED", "DEAD AGAIN", "OPEN", "FILTER")
	for _, r := range runs[more:] {
		id, filter := r.ID, r.Filter
		if id == "" {
			id = "(others)"
		} else if filter == "" {
			filter = "(all)"
		}
		table.Row(term.Masked(id), schemas.FormatTime(r.First), term.Masked(r.By),
			r.Replayed, r.Answered, r.DeadAgain, r.Open(), term.Masked(filter))
	}
	if err := table.End(); err != nil {
		return err
	}
	if more > 0 {
		_, err := fmt.Fprintf(h.Out, "%s before; raise --limit to see them\n", term.Count(int64(more), "run"))
		return err
	}
	return nil
}

// replayJSON is a replayed request as --output json shows it, one a line.
type replayJSON struct {
	Run     string           `json:"run"`
	Time    string           `json:"time"`
	By      string           `json:"by"`
	Filter  string           `json:"filter,omitempty"`
	Letter  schemas.Position `json:"letter"`
	Request schemas.Position `json:"request"`
	Reason  schemas.Reason   `json:"reason,omitempty"`
	Replay  int              `json:"replay"`
	Changes []ledger.Change  `json:"changes,omitempty"`
	Outcome replay.Outcome   `json:"outcome"`
}

// records reads the ledger again, up to where the history has it.
func (h historyPrinter) records(ctx context.Context, settings kafkawire.Settings, history *replay.History,
	skip, total int64) error {
	if skip > 0 && h.output == term.Text {
		if _, err := fmt.Fprintf(h.Out, "%s before; raise --limit to see them\n", term.Count(skip, "request")); err != nil {
			return err
		}
	}
	var seen int64
	_, err := readLedger(ctx, settings, h.Config.Topics.Replays, h.bar, func(e *ledger.Entry) error {
		if !history.Filter.Passes(e) {
			return nil
		}
		if seen++; seen > total {
			return errEnough // written since
		}
		if seen <= skip {
			return nil
		}
		h.bar.Clear()
		return h.record(e, history.Outcome(e))
	}, nil)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (h historyPrinter) record(e *ledger.Entry, outcome replay.Outcome) error {
	if h.output == term.JSON {
		return term.WriteJSON(h.Out, replayJSON{
			e.Run, schemas.FormatTime(e.Time), e.By, e.Filter, e.Letter, e.Request,
			e.Reason, e.Replay, e.Changes, outcome,
		})
	}
	letter := fmt.Sprintf("%d/%d", e.Letter.Partition, e.Letter.Offset)
	if e.Letter.Topic != h.Config.Topics.DeadLetters {
		letter = term.Masked(e.Letter.Topic) + "/" + letter
	}
	text := map[replay.Outcome]string{replay.DeadAgain: "dead again"}[outcome]
	line := fmt.Sprintf("%s  [%s] → %s/%d/%d  %s  %s  %s", schemas.FormatTime(e.Time), letter,
		term.Masked(e.Request.Topic), e.Request.Partition, e.Request.Offset, cmp.Or(term.Masked(string(e.Reason)), "-"),
		cmp.Or(text, string(outcome)), cmp.Or(term.Masked(e.By), "-"))
	for i, c := range e.Changes {
		before := ", "
		if i == 0 {
			before = "  edited: "
		}
		line += before + term.Masked(c.Field)
		if c.From != "" || c.To != "" {
			line += " " + cmp.Or(term.Masked(c.From), "(none)") + " → " + cmp.Or(term.Masked(c.To), "(none)")
		}
	}
	_, err := fmt.Fprintln(h.Out, line)
	return err
}
