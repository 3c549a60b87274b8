package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

// name is a test, or with test "" all of a package.
type name struct{ pkg, test string }

// report turns events into what a reader wants to see.
type report struct {
	out     io.Writer
	began   time.Time
	output  map[name]*strings.Builder // until it has passed or is shown
	counts  map[string]int            // tests by the action that ended them
	skipped map[string][]name         // by reason
	took    map[name]float64          // seconds
}

func newReport(out io.Writer) *report {
	return &report{
		out: out, began: time.Now(), output: map[name]*strings.Builder{}, counts: map[string]int{},
		skipped: map[string][]name{}, took: map[name]float64{},
	}
}

// read takes all events. What is no event, go test has printed for people, and is passed on.
func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			r.add(e)
		} else {
			_, _ = io.WriteString(r.out, line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what go test says: %w", err)
		}
	}
}

func (r *report) add(e event) {
	of := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		_, _ = io.WriteString(r.out, e.Output)
	case "output":
		if r.output[of] == nil {
			r.output[of] = &strings.Builder{}
		}
		r.output[of].WriteString(e.Output)
	case "pass", "fail", "skip":
		r.ended(of, e.Action, e.Elapsed)
	}
}

func (r *report) ended(of name, action string, took float64) {
	text := ""
	if r.output[of] != nil {
		text = r.output[of].String()
		delete(r.output, of)
	}
	if of.test == "" {
		r.packageEnded(of.pkg, action, text)
		return
	}
	r.counts[action]++
	r.took[of] = took
	if action == "fail" {
		_, _ = io.WriteString(r.out, text)
	}
	if action == "skip" {
		reason := reasonOf(text)
		r.skipped[reason] = append(r.skipped[reason], of)
	}
}

// packageEnded shows all that a failed package said outside its tests, and what its tests said that never ended: it
// panicked or ran out of time. Of one that passed it shows the line with its time.
func (r *report) packageEnded(pkg, action, text string) {
	for _, of := range slices.SortedFunc(maps.Keys(r.output), func(a, b name) int { return cmp.Compare(a.test, b.test) }) {
		if of.pkg == pkg {
			if action == "fail" {
				_, _ = io.WriteString(r.out, r.output[of].String())
			}
			delete(r.output, of)
		}
	}
	if action != "fail" {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		text = lines[len(lines)-1] + "\n"
	}
	_, _ = io.WriteString(r.out, text)
}

// said is a line that a test has logged: "    some_test.go:12: text".
var said = regexp.MustCompile(`(?m)^ +\w+\.go:\d+: (.*)$`)

// reasonOf returns what a skipped test said last.
func reasonOf(text string) string {
	if all := said.FindAllStringSubmatch(text, -1); len(all) > 0 {
		return all[len(all)-1][1]
	}
	return "no reason given"
}

// end prints the totals: subtests count as tests.
func (r *report) end(slowest int) {
	_, _ = fmt.Fprintf(r.out, "\n%d tests passed, %d failed, %d skipped in %v\n",
		r.counts["pass"], r.counts["fail"], r.counts["skip"], time.Since(r.began).Round(time.Second))
	byCount := func(a, b string) int {
		return cmp.Or(cmp.Compare(len(r.skipped[b]), len(r.skipped[a])), cmp.Compare(a, b))
	}
	for _, reason := range slices.SortedFunc(maps.Keys(r.skipped), byCount) {
		_, _ = fmt.Fprintf(r.out, "%5d skipped: %s (%s)\n", len(r.skipped[reason]), reason, examples(r.skipped[reason]))
	}
	byTime := slices.SortedFunc(maps.Keys(r.took), func(a, b name) int { return cmp.Compare(r.took[b], r.took[a]) })
	for _, of := range byTime[:min(slowest, len(byTime))] {
		_, _ = fmt.Fprintf(r.out, "%6.1fs  %s %s\n", r.took[of], of.pkg, of.test)
	}
}

// examples names the first few tests.
func examples(tests []name) string {
	var list []string
	for _, of := range tests[:min(3, len(tests))] {
		list = append(list, of.test)
	}
	if len(tests) > len(list) {
		list = append(list, "…")
	}
	return strings.Join(list, ", ")
}
