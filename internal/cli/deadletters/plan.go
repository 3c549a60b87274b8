package deadletters

import (
	"context"
	"fmt"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// replayPlan counts what a replay would do.
type replayPlan struct {
	replay  deadletter.Tally
	leftOut map[replay.Obstacle]int64
	corrupt int64 // letters that cannot be decoded
}

// plan reads the topic without changing anything.
func (r *replayRun) plan(ctx context.Context) (*replayPlan, error) {
	plan := &replayPlan{replay: deadletter.Tally{By: deadletter.ByReason}, leftOut: map[replay.Obstacle]int64{}}
	if r.o.limit > 0 {
		r.chosen = &deadletter.Positions{}
	}
	scan := newScan(r.Call, r.query)
	scan.gap = func(g deadletter.Gap) {
		if g.Corrupt() {
			plan.corrupt += g.To - g.From
		}
	}
	err := scan.read(ctx, r.settings, func(l *deadletter.Letter) error {
		if o := r.rules.Obstacle(l); o != "" {
			plan.leftOut[o]++
			return nil
		}
		plan.replay.Add(l)
		if r.chosen != nil {
			r.chosen.Add(l.Partition, l.Offset)
		}
		if plan.replay.Total.Count == r.o.limit {
			return errEnough
		}
		return nil
	})
	return plan, err
}

// planJSON is a plan as --output json shows it.
type planJSON struct {
	Replay     int64            `json:"replay"`
	ByReason   map[string]int64 `json:"byReason"`
	LeftOut    map[string]int64 `json:"leftOut"`
	Unreadable int64            `json:"unreadable"`
	Executed   bool             `json:"executed"`
	Run        string           `json:"run,omitempty"`      // names it in the history
	Replayed   *int64           `json:"replayed,omitempty"` // by this run
}

func (plan *replayPlan) json() planJSON {
	j := planJSON{Replay: plan.replay.Total.Count, ByReason: map[string]int64{}, LeftOut: map[string]int64{},
		Unreadable: plan.corrupt}
	for _, g := range plan.replay.Groups() {
		j.ByReason[printable.Text(g.Key)] += g.Count
	}
	for o, n := range plan.leftOut {
		j.LeftOut[string(o)] = n
	}
	return j
}

// show prints the plan, as text.
func (r *replayRun) show(plan *replayPlan) error {
	total := plan.replay.Total.Count
	if total == 0 {
		if _, err := fmt.Fprintln(r.Out, "nothing to replay"); err != nil {
			return err
		}
	} else {
		table := term.NewTable(r.Out, "TO REPLAY", "COUNT", "FIRST", "LAST")
		row := func(name string, g deadletter.Group) {
			table.Row(name, g.Count, schemas.FormatTime(g.First), schemas.FormatTime(g.Last))
		}
		for _, g := range plan.replay.Groups() {
			row(groupText(g.Key), g)
		}
		row("total", plan.replay.Total)
		if err := table.End(); err != nil {
			return err
		}
	}
	for _, o := range replay.Obstacles {
		if n := plan.leftOut[o]; n > 0 {
			if _, err := fmt.Fprintf(r.Out, "left out: %d %s\n", n, r.rules.Explain(o)); err != nil {
				return err
			}
		}
	}
	if plan.corrupt > 0 {
		if _, err := fmt.Fprintf(r.Out, "left out: %d cannot be read\n", plan.corrupt); err != nil {
			return err
		}
	}
	return nil
}

func (r *replayRun) printJSON(j planJSON) error {
	return term.WriteJSON(r.Out, j)
}
