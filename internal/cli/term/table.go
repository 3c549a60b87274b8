package term

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table prints rows in columns, three spaces apart.
type Table struct{ w *tabwriter.Writer }

// NewTable begins a table with a line of column names.
func NewTable(out io.Writer, columns ...string) Table {
	t := Table{tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)}
	_, _ = fmt.Fprintln(t.w, strings.Join(columns, "\t")) // what fails, End tells
	return t
}

// Row adds a line. Cells must be printable.
func (t Table) Row(cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			_, _ = fmt.Fprint(t.w, "\t")
		}
		_, _ = fmt.Fprint(t.w, cell)
	}
	_, _ = fmt.Fprintln(t.w)
}

// End prints the table; without it nothing is.
func (t Table) End() error { return t.w.Flush() }
