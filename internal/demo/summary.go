package demo

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/charmbracelet/lipgloss"

	"github.com/balanceq/balanceq/schemas"
)

// printSummary writes the ledger: one row a kind, what is wrong, and the verdict, in colour on a terminal. A failing
// writer is the reader's loss only.
func printSummary(out io.Writer, r *report) {
	_, _ = fmt.Fprintln(out, "\nWhat the topics say, read from start to end:")
	_, _ = fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "  kind\tpublished\tresults\tdead letters\t")
	total := row{deadLetters: map[schemas.Reason]int{}}
	for _, k := range kinds {
		row := r.rows[k]
		verdict := "ok"
		if row.wrong > 0 {
			verdict = fmt.Sprintf("WRONG: %d", row.wrong)
		}
		_, _ = fmt.Fprintf(w, "  %s\t%9d\t%7d\t%s\t%s\n", k, row.published, row.results, deadLetterText(row.deadLetters),
			verdict)
		total.published += row.published
		total.results += row.results
		for reason, n := range row.deadLetters {
			total.deadLetters[reason] += n
		}
	}
	sum := 0
	for _, n := range total.deadLetters {
		sum += n
	}
	_, _ = fmt.Fprintf(w, "  all\t%9d\t%7d\t%d\t\n", total.published, total.results, sum)
	_ = w.Flush()
	_, _ = fmt.Fprintln(out)
	paint := newPainter(lipgloss.NewRenderer(out))
	if r.balances() {
		_, _ = fmt.Fprintf(out, "%s %s\n", paint.good.Render("The ledger balances:"), r.tally())
		return
	}
	_, _ = fmt.Fprintf(out, "%s %s\n", paint.bad.Render("The ledger does NOT balance:"), r.tally())
	for _, problem := range r.problems {
		_, _ = fmt.Fprintf(out, "  - %s\n", problem)
	}
}

func (r *report) tally() string {
	return fmt.Sprintf("%d requests, %d answered once, %d lost, %d repeated\n"+
		"In the %s that the breaker was open, %d requests became dead letters",
		r.requests, r.once, r.lost, r.repeated, seconds(r.openFor), r.whileOpen)
}

func deadLetterText(counts map[schemas.Reason]int) string {
	var parts []string
	for _, reason := range schemas.Reasons {
		if n := counts[reason]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, reason))
		}
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ", ")
}

// printInvitation says how to use what --keep leaves running.
func printInvitation(out io.Writer, s *cluster) {
	_, _ = fmt.Fprintf(out, `
Everything goes on running. In another terminal, in this folder:

  go run ./cmd/balanceq request --kafka.brokers %[1]s --contract 70001 --codes AVAILABLE,BLOCKED --wait
  curl http://%[2]s/                          # how it goes, in a browser too
  curl http://%[2]s/metrics
  curl -d '{"outage":"30s"}' %[3]s/faults     # the CMS fails for 30 s
  curl -X DELETE %[3]s/faults                 # and is well again

The service's log is in %[4]s
Ctrl-C ends the demo and removes its data.
`, strings.Join(s.cfg.Kafka.Brokers, ","), s.service.HTTPAddr(), s.sim.ControlURL(), filepath.Join(s.dir, logName))
}
