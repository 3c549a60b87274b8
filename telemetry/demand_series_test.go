package telemetry

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files that tests hold")

// demandQuery is what an autoscaler asks Prometheus for: an instance that cannot be scraped counts as one, as nothing
// else is known of it.
const demandQuery = `sum(balanceq_scale_demand{job="balanceq"} or (up{job="balanceq"} == bool 0))`

const (
	seriesLong   = 20 // samples, 30 s apart
	seriesChange = 4  // is when something happens
)

// Prometheus makes of the query what it should: deploy/prometheus/scale_test.yaml, which promtool runs in make
// monitoring, has what instances say here.
func TestDemandSeries(t *testing.T) {
	var file bytes.Buffer
	file.WriteString(`# promtool test rules scale_test.yaml
#
# What an autoscaler asks for, of what three instances say in ten minutes; after two, something happens.
# Written by go test ./telemetry -run TestDemandSeries -update.
evaluation_interval: 30s
tests:
`)
	for _, c := range []struct {
		name  string
		event func(f *fleet)
		sum   string // eight minutes after the beginning
		lost  bool   // the last instance cannot be scraped any more
	}{
		{"outage: the sum stays while the lag grows", func(f *fleet) { f.down = true }, "== 3", false},
		{"429: the sum stays while the lag grows", func(f *fleet) { f.cms, f.throttles = 150, true }, "== 3", false},
		{"slower answers: the sum stays while the lag grows", func(f *fleet) { f.cms, f.slow = 150, true }, "== 3", false},
		{"plain backlog: the sum grows", func(f *fleet) { f.add(90_000) }, "> 9", false},
		{"lost target: the sum stays", func(f *fleet) { f.down = true }, "== 3", true},
		{"little to do: the sum sinks", func(f *fleet) { f.load = 60 }, "< 2", false},
	} {
		fmt.Fprintf(&file, "  - name: %q\n    interval: 30s\n    input_series:\n", c.name)
		said, sum := series(c.event)
		for i, values := range said {
			up := make([]string, len(values))
			for at := range up {
				up[at] = "1"
				if c.lost && i == len(said)-1 && at >= seriesChange {
					values[at], up[at] = "stale", "0"
				}
			}
			of := fmt.Sprintf(`{job="balanceq", instance="i%d"}`, i)
			fmt.Fprintf(&file, "      - {series: 'balanceq_scale_demand%s', values: '%s'}\n", of, short(values))
			fmt.Fprintf(&file, "      - {series: 'up%s', values: '%s'}\n", of, short(up))
		}
		fmt.Fprintf(&file, "    promql_expr_test:\n")
		for _, at := range []struct {
			minute  int
			compare string
			sum     float64
		}{{1, "== 3", sum[2]}, {8, c.sum, sum[16]}} {
			fmt.Fprintf(&file, "      - expr: '%s %s'\n        eval_time: %dm\n", demandQuery, at.compare, at.minute)
			fmt.Fprintf(&file, "        exp_samples: [{labels: '{}', value: %.2f}]\n", at.sum)
		}
	}
	const name = "../deploy/prometheus/scale_test.yaml"
	if *update {
		if err := os.WriteFile(name, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(name); err != nil || !bytes.Equal(have, file.Bytes()) {
		t.Errorf("%s is not what instances say (%v): go test ./telemetry -run TestDemandSeries -update", name, err)
	}
	if text, err := os.ReadFile("../docs/scaling.md"); err != nil || !bytes.Contains(text, []byte(demandQuery)) {
		t.Errorf("docs/scaling.md does not have the query %s (%v)", demandQuery, err)
	}
}

// series is what three instances say, and what the sum of that is.
func series(event func(f *fleet)) (said [3][]string, sums []float64) {
	f := newFleet(len(said), 12, 210, 100)
	for range 24 {
		f.step() // until nothing of the beginning is left
	}
	for at := range seriesLong {
		if at == seriesChange {
			event(f)
		}
		sum := 0.0
		for i, one := range f.said {
			one = math.Round(one*100) / 100
			said[i] = append(said[i], fmt.Sprint(one))
			sum += one
		}
		sums = append(sums, sum)
		for range 6 {
			f.step()
		}
	}
	return said, sums
}

// short writes a series as promtool reads it: 1x3 is a 1 and three more.
func short(values []string) string {
	var all []string
	for i := 0; i < len(values); {
		n := i + 1
		for n < len(values) && values[n] == values[i] && values[i] != "stale" {
			n++
		}
		if n-i > 1 {
			all = append(all, fmt.Sprintf("%sx%d", values[i], n-i-1))
		} else {
			all = append(all, values[i])
		}
		i = n
	}
	return strings.Join(all, " ")
}
