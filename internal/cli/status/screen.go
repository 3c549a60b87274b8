package status

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
)

// columns are those of the table of instances and members.
var columns = []string{"INSTANCE", "VERSION", "UP", "STATE", "BREAKER", "PARTITIONS", "LAG", "OLDEST", "IN FLIGHT",
	"CALLS", "WAITING", "DEAD LETTERS"}

const none = "-"

// write prints the screen: what is wrong first, then who does what.
func (d *Document) write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", printable.Text(d.Summary), d.At.Format(time.RFC3339))
	for i, p := range d.Problems {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "! %s\n", printable.Text(p.text()))
	}
	if len(d.Notes) > 0 {
		b.WriteByte('\n')
	}
	for _, note := range d.Notes {
		fmt.Fprintf(&b, "- %s\n", printable.Text(note))
	}
	b.WriteByte('\n')
	if g := d.Group; g != nil {
		fmt.Fprintf(&b, "group %s   topic %s   %s, %s   %s   lag %d%s\n\n", printable.Text(g.Name), printable.Text(g.Topic),
			g.State, g.Protocol, term.Count(int64(len(g.Members)), "member"), d.Lag, d.oldest())
	}
	rows := d.rows()
	if len(rows) > 0 {
		table := term.NewTable(&b, columns...)
		for _, row := range rows {
			cells := make([]any, len(row))
			for i, cell := range row {
				cells[i] = printable.Text(cell)
			}
			table.Row(cells...)
		}
		if err := table.End(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (d *Document) oldest() string {
	if d.LagSeconds == nil || d.Lag == 0 {
		return ""
	}
	return ", oldest " + age(*d.LagSeconds)
}

// rows are the instances, then the members that are none of them.
func (d *Document) rows() (rows [][]string) {
	for i := range d.Instances {
		rows = append(rows, d.instanceRow(&d.Instances[i]))
	}
	if d.Group == nil {
		return rows
	}
	for _, m := range d.Group.Members {
		if m.Instance != "" {
			continue
		}
		lag, oldest := d.Group.behind(m.Partitions)
		rows = append(rows, []string{m.Client + "@" + m.Host, none, none, "not asked", none, ranges(m.Partitions), lag,
			oldest, none, none, none, none})
	}
	return rows
}

func (d *Document) instanceRow(i *Instance) []string {
	s := i.Status
	if s == nil {
		row := slices.Repeat([]string{none}, len(columns))
		row[0], row[3] = i.URL, "no answer"
		return row
	}
	var held []int32
	for _, p := range s.Held {
		held = append(held, p.Partition)
	}
	seconds := 0.0
	for _, p := range s.Held {
		seconds = max(seconds, p.LagSeconds)
	}
	lag, oldest := fmt.Sprint(s.Health.Lag), age(seconds)
	if d.Group != nil {
		if l, o := d.Group.behind(held); i.Member {
			lag, oldest = l, o
		}
	}
	state := "ready"
	switch {
	case !s.Health.Ready:
		state = "not ready"
	case s.Health.Waiting != "":
		state = "waits: " + s.Health.Waiting
	}
	letters := fmt.Sprintf("%.1f%% of %g%%", 100*s.DeadLetters.Ratio, 100*s.DeadLetters.Budget)
	if s.DeadLetters.Held > 0 {
		letters += fmt.Sprintf(", %d held", s.DeadLetters.Held)
	}
	return []string{s.Instance, s.Version, d.At.Sub(s.Started).Round(time.Second).String(), state,
		s.Health.Breaker.String(), ranges(held), lag, oldest, fmt.Sprint(s.Health.InFlight),
		fmt.Sprintf("%d/%d", s.Calls.InFlight, s.Calls.Limit),
		fmt.Sprint(s.Calls.Waiting), letters}
}

// behind is the lag of some partitions, and the age of their oldest record.
func (g *Group) behind(ids []int32) (lag, oldest string) {
	var sum int64
	seconds := 0.0
	for _, p := range g.Partitions {
		if slices.Contains(ids, p.Partition) {
			sum += p.Lag
			if p.LagSeconds != nil {
				seconds = max(seconds, *p.LagSeconds)
			}
		}
	}
	return fmt.Sprint(sum), age(seconds)
}
