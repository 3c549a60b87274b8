package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
)

const (
	reportBegin = "<!-- peers: begin -->\n"
	reportEnd   = "<!-- peers: end -->\n"
)

// publish prints the tables of what was measured now and, where there is a report, makes its generated part of all that
// is kept.
func (o options) publish(kept map[string]*contest, w io.Writer) error {
	now := map[string]*contest{}
	for _, s := range o.scenarios {
		now[s.name] = kept[s.name]
	}
	if _, err := io.WriteString(w, "\n"+tables(now)); err != nil {
		return err
	}
	if o.report == "" {
		return nil
	}
	text, err := os.ReadFile(o.report)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), reportBegin)
	_, after, ended := strings.Cut(rest, reportEnd)
	if !ok || !ended {
		return fmt.Errorf("%s has no part from %q to %q", o.report, reportBegin, reportEnd)
	}
	return os.WriteFile(o.report, []byte(before+reportBegin+tables(kept)+reportEnd+after), 0o600)
}

// tables are the scenarios in Markdown, and who took part.
func tables(kept map[string]*contest) string {
	var b strings.Builder
	versions := map[string]string{}
	for _, s := range scenarios {
		c := kept[s.name]
		if c == nil {
			continue
		}
		rounds := 0
		for _, runs := range c.Runs {
			rounds = max(rounds, len(runs))
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s, %s; medians of %d rounds, in brackets the range.\n\n", s.title,
			c.Began.UTC().Format("2006-01-02 15:04 UTC"), c.Machine, rounds)
		if s.mode == modeBatch {
			c.batchTable(&b)
		} else {
			c.rateTable(&b)
		}
		maps.Copy(versions, c.Versions)
	}
	b.WriteString("\n### Who took part\n\n| | | version |\n|---|---|---|\n")
	for _, c := range contenders {
		if version := versions[c.name]; version != "" {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, c.what, version)
		}
	}
	return b.String() + "\n"
}

func (c *contest) batchTable(b *strings.Builder) {
	fmt.Fprintf(b, "| | requests/s | × %[1]s | CPU a record | × %[1]s | peak memory | first result | lost, repeated, "+
		"out of order | harness | others |\n|---|---|---|---|---|---|---|---|---|---|\n", baseline)
	perSecond := func(t taken) float64 { return t.PerSecond }
	cpu := func(t taken) float64 { return t.CPU }
	c.rows(b, func(name string) string {
		return fmt.Sprintf("%s | %s | %s µs | %s | %s MB | %s s | %s | %s µs | %s cores",
			c.spread(name, perSecond), c.ratio(name, perSecond), c.spread(name, cpu), c.ratio(name, cpu),
			c.middle(name, func(t taken) float64 { return t.PeakRSS }),
			c.middle(name, func(t taken) float64 { return t.First }), c.wrong(name),
			c.middle(name, func(t taken) float64 { return t.Harness }),
			c.middle(name, func(t taken) float64 { return t.Noise }))
	}, 9)
}

func (c *contest) rateTable(b *strings.Builder) {
	fmt.Fprint(b, "| | p50 | p90 | p99 | longest | CPU a record | peak memory | lost, repeated, out of order | others |\n"+
		"|---|---|---|---|---|---|---|---|---|\n")
	c.rows(b, func(name string) string {
		return fmt.Sprintf("%s ms | %s ms | %s ms | %s ms | %s µs | %s MB | %s | %s cores",
			c.middle(name, func(t taken) float64 { return t.P50 }), c.middle(name, func(t taken) float64 { return t.P90 }),
			c.spread(name, func(t taken) float64 { return t.P99 }), c.middle(name, func(t taken) float64 { return t.Max }),
			c.middle(name, func(t taken) float64 { return t.CPU }),
			c.middle(name, func(t taken) float64 { return t.PeakRSS }), c.wrong(name),
			c.middle(name, func(t taken) float64 { return t.Noise }))
	}, 8)
}

// rows writes a row for each contender, also for those that could not be started.
func (c *contest) rows(b *strings.Builder, row func(name string) string, columns int) {
	for _, of := range contenders {
		switch {
		case len(c.Runs[of.name]) > 0:
			fmt.Fprintf(b, "| %s | %s |\n", of.name, row(of.name))
		case c.Missing[of.name] != "":
			fmt.Fprintf(b, "| %s | not run here: %s %s\n", of.name, c.Missing[of.name], strings.Repeat("| ", columns))
		}
	}
}

func (c *contest) values(name string, of func(taken) float64) []float64 {
	var values []float64
	for _, t := range c.Runs[name] {
		values = append(values, of(t))
	}
	return values
}

func (c *contest) middle(name string, of func(taken) float64) string {
	return grouped(median(c.values(name, of)))
}

func (c *contest) spread(name string, of func(taken) float64) string {
	values := c.values(name, of)
	return fmt.Sprintf("%s (%s–%s)", grouped(median(values)), grouped(slices.Min(values)), grouped(slices.Max(values)))
}

// ratio is the median of the rounds' ratios to the baseline.
func (c *contest) ratio(name string, of func(taken) float64) string {
	own, base := c.values(name, of), c.values(baseline, of)
	var ratios []float64
	for i := range min(len(own), len(base)) {
		ratios = append(ratios, own[i]/base[i])
	}
	if len(ratios) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

// wrong sums over the rounds.
func (c *contest) wrong(name string) string {
	var lost, repeated, disorder int
	for _, t := range c.Runs[name] {
		lost, repeated, disorder = lost+t.Lost, repeated+t.Repeated, disorder+t.Disorder
	}
	return fmt.Sprintf("%d, %d, %d", lost, repeated, disorder)
}

// grouped prints three digits or more, with commas between thousands.
func grouped(x float64) string {
	text := fmt.Sprintf("%.0f", x)
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// machine says what all of this runs on.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(text), "model name\t: ")
		line, _, _ := strings.Cut(rest, "\n")
		model = cmp.Or(strings.TrimSpace(line), model)
	}
	return fmt.Sprintf("%d cores (%s), %s", runtime.NumCPU(), model, runtime.Version())
}
