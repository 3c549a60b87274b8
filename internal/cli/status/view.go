package status

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
)

// redraw puts the cursor home and clears what is below.
const redraw = "\x1b[H\x1b[J"

// newView returns what shows a document: all of it, or while watching without a terminal a line when something has
// changed.
func newView(out io.Writer, o *options) func(*Document) error {
	last := ""
	changed := func(d *Document) bool {
		was := last
		last = d.state()
		return last != was
	}
	switch {
	case o.output == term.JSON && o.watch:
		return func(d *Document) error {
			if !changed(d) {
				return nil
			}
			return term.WriteJSON(out, d)
		}
	case o.output == term.JSON:
		return func(d *Document) error { return term.WriteJSON(out, d) }
	case o.watch && term.IsTerminal(out):
		return func(d *Document) error {
			var b bytes.Buffer
			b.WriteString(redraw)
			if err := d.write(&b); err != nil {
				return err
			}
			_, err := out.Write(b.Bytes())
			return err
		}
	case o.watch:
		return func(d *Document) error {
			if !changed(d) {
				return nil
			}
			_, err := fmt.Fprintf(out, "%s %s\n", d.At.Format(time.RFC3339), printable.Text(d.Summary))
			return err
		}
	}
	return func(d *Document) error { return d.write(out) }
}

// state is what makes a look differ from the one before: what is wrong and who holds what, and no number that moves by
// itself.
func (d *Document) state() string {
	var b bytes.Buffer
	for _, p := range d.Problems {
		fmt.Fprintln(&b, p.About, p.rank)
	}
	for _, note := range d.Notes {
		fmt.Fprintln(&b, note)
	}
	for i := range d.Instances {
		if s := d.Instances[i].Status; s != nil {
			fmt.Fprintln(&b, s.Instance, s.Version, s.Member, s.Health.Waiting, s.Health.Breaker)
		}
	}
	if d.Group != nil {
		for _, m := range d.Group.Members {
			fmt.Fprintln(&b, m.ID, m.Partitions)
		}
	}
	return b.String()
}
