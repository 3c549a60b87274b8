package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// shown is how many cases of a finding are printed.
const shown = 10

const tableHead = "| Kafka | brokers | mode | protocol | seed | requests | worker kills | broker kills " +
	"| other faults | lost | repeated (bound) | out of order | dead letters while open " +
	"| commits ahead (checked) | longest stall |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"

// report prints the row of the table in docs/RELIABILITY.md, which it also appends to the file of that name, and what
// was found.
func (s *session) report(out io.Writer, h history, v verdict) error {
	row := s.row(h, v)
	_, _ = fmt.Fprintf(out, "\n%s%s\n", tableHead, row)
	_, _ = fmt.Fprintf(out, "%d dead letters were due, %d tenures of partitions were broken, %d commits and %d sampled "+
		"offsets were checked\n",
		h.due(), len(h.broken), v.checked, v.sampled)
	_, _ = fmt.Fprintf(out, "%d acknowledged requests were lost by Kafka itself\n", v.gone)
	for _, stalled := range v.stalls {
		_, _ = fmt.Fprintln(out, "stall:", stalled)
	}
	for _, f := range v.findings {
		_, _ = fmt.Fprintf(out, "BROKEN: %s (%d)\n", f.promise, len(f.cases))
		for _, c := range f.cases[:min(shown, len(f.cases))] {
			_, _ = fmt.Fprintln(out, "  ", c)
		}
	}
	if len(v.findings) == 0 {
		_, _ = fmt.Fprintln(out, "every promise was kept")
	}
	return appendRow(s.table, row)
}

func (s *session) row(h history, v verdict) string {
	kills, brokerKills, others := tally(h.injected)
	longest := "none"
	if v.longest.length() > 0 {
		longest = fmt.Sprintf("%v: %s", v.longest.length(), v.longest.cause)
	}
	brokers := fmt.Sprint(len(s.cluster.nodes))
	if len(s.cluster.nodes) == 0 {
		brokers = "given"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %d | %d | %d | %d | %s | %d | %d (%d) | %d | %d of %d | %d (%d) | %s |\n",
		s.cluster.version(), brokers, s.mode, s.protocol, s.seed, v.requests+v.gone, kills, brokerKills, others, v.lost,
		v.repeated, v.bound,
		v.disorder, v.whileOpen, v.deadLetters, v.ahead, v.checked+v.sampled, longest)
}

// appendRow adds a row to a file; a new one gets the head of the table first.
func appendRow(path, row string) (err error) {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("--append: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if at, err := file.Seek(0, io.SeekEnd); err != nil {
		return err
	} else if at == 0 {
		row = tableHead + row
	}
	_, err = file.WriteString(row)
	return err
}

// due counts the requests that are to become dead letters.
func (h history) due() (n int) {
	for _, q := range h.requests {
		if q.fate != answered {
			n++
		}
	}
	return n
}

// tally counts the faults that were made, by name.
func tally(injected []injection) (kills, brokerKills int, others string) {
	count := map[string]int{}
	for _, d := range injected {
		count[d.name]++
	}
	var rest []string
	for _, f := range faults {
		if n := count[f.name]; n > 0 && f.name != "kill" && f.name != "broker" {
			rest = append(rest, fmt.Sprintf("%d %s", n, f.name))
		}
	}
	if len(rest) == 0 {
		rest = []string{"none"}
	}
	return count["kill"], count["broker"], strings.Join(rest, ", ")
}
