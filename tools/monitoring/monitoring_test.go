package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// The file that is loaded is what this program writes.
func TestDashboardIsGenerated(t *testing.T) {
	text, err := dashboardJSON()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, read(t, "deploy/grafana/balanceq.json")) {
		t.Error("deploy/grafana/balanceq.json is out of date: make docs")
	}
}

// Every expression of the rules and the dashboard parses, and names metrics and labels that there are.
func TestExpressions(t *testing.T) {
	all := known(t)
	variables := strings.NewReplacer("$__rate_interval", "5m")
	expressions := append(ruleExpressions(t), panelExpressions(t)...)
	for _, e := range expressions {
		for _, fault := range faults(all, variables.Replace(e.text)) {
			t.Errorf("%s: %s in %s", e.name, fault, e.text)
		}
	}
	if len(expressions) < 90 {
		t.Errorf("only %d expressions are found", len(expressions))
	}
}

// What the test above is to find, it finds.
func TestFaultsAreFound(t *testing.T) {
	all := map[string]metric{
		"a_total": {kind: "counter", labels: []string{"x"}}, "b": {kind: "gauge"},
		"c_bucket": {kind: "counter", labels: []string{"x", "le"}, buckets: true},
	}
	for expr, want := range map[string]string{
		`sum by (job, x) (rate(a_total{x="1"}[5m])) / on (job) group_left () sum by (job) (b)`: "",
		`rate(a_total[5m]`:                            "unclosed",
		`rate(z_total[5m])`:                           "there is no metric z_total",
		`rate(a_total{y="1"}[5m])`:                    "a_total has no label y",
		`sum by (y) (rate(a_total[5m]))`:              "nothing in it has the label y",
		`max without (y) (b)`:                         "nothing in it has the label y",
		`b * on (job, x) b`:                           "nothing in it has the label x",
		`b * on (job) group_left (y) b`:               "nothing in it has the label y",
		`rate(b[5m])`:                                 "b is a gauge",
		`delta(a_total[5m])`:                          "a_total is a counter",
		`sum(a_total)`:                                "", // how many there were
		`rate(c_bucket{le="10"}[5m])`:                 `le="10" is "10.0" in OpenMetrics`,
		`rate(c_bucket{le=~"10|10[.]0"}[5m])`:         "",
		`histogram_quantile(0.5, rate(c_bucket[5m]))`: "",
	} {
		got := strings.Join(faults(all, expr), "; ")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// faults says what is wrong with an expression.
func faults(all map[string]metric, expr string) (found []string) {
	fault := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			m, exists := all[n.Name]
			if !exists {
				fault("there is no metric %s", n.Name)
				return nil
			}
			for _, match := range n.LabelMatchers {
				if match.Name != "__name__" && !slices.Contains(slices.Concat(m.labels, targetLabels), match.Name) {
					fault("%s has no label %s", n.Name, match.Name)
				}
				if match.Name == "le" && m.buckets && (!match.Matches("10") || !match.Matches("10.0")) {
					fault("le=%q is \"10.0\" in OpenMetrics, and in Prometheus from 3 on", match.Value)
				}
			}
		case *parser.AggregateExpr:
			for _, name := range missing(all, n.Expr, n.Grouping) {
				fault("nothing in it has the label %s", name)
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				for _, name := range missing(all, n, append(n.VectorMatching.MatchingLabels, n.VectorMatching.Include...)) {
					fault("nothing in it has the label %s", name)
				}
			}
		case *parser.Call:
			want := map[string]string{"rate": "counter", "increase": "counter", "irate": "counter", "delta": "gauge",
				"deriv": "gauge"}[n.Func.Name]
			for _, s := range selectors(n) {
				if m, exists := all[s.Name]; exists && want != "" && m.kind != want {
					fault("%s is a %s, and %s is for a %s", s.Name, m.kind, n.Func.Name, want)
				}
			}
		}
		return nil
	})
	return found
}

// missing are the names that no series in the expression has as a label.
func missing(all map[string]metric, of parser.Node, names []string) (none []string) {
	there := map[string]bool{}
	for _, name := range targetLabels {
		there[name] = true
	}
	for _, s := range selectors(of) {
		for _, name := range all[s.Name].labels {
			there[name] = true
		}
	}
	for _, name := range names {
		if !there[name] {
			none = append(none, name)
		}
	}
	return none
}

func selectors(of parser.Node) (all []*parser.VectorSelector) {
	parser.Inspect(of, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			all = append(all, s)
		}
		return nil
	})
	return all
}

// Each panel says what it shows, and shows what was chosen and nothing else.
func TestPanels(t *testing.T) {
	b := shipped(t)
	var variables, titles []string
	for _, v := range b.Templating.List {
		variables = append(variables, v.Name)
	}
	if want := []string{"datasource", "job", "instance"}; !slices.Equal(variables, want) {
		t.Errorf("the variables are %v, want %v", variables, want)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range b.Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("%s: the id %d is none, or taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %q, or beside the grid", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			titles = append(titles, p.Title)
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%q has no title, description, unit or query", p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			refs[target.RefID] = true
			if !strings.Contains(target.Expr, `job=~"$job`) {
				t.Errorf("%s shows more than the jobs that were chosen: %s", p.Title, target.Expr)
			}
			if strings.Contains(target.Expr, "[") != strings.Contains(target.Expr, "[$__rate_interval]") {
				t.Errorf("%s: a window other than $__rate_interval: %s", p.Title, target.Expr)
			}
		}
		if len(refs) != len(p.Targets) {
			t.Errorf("%s: the names of its queries are %v", p.Title, slices.Sorted(maps.Keys(refs)))
		}
	}
	want := []string{"Is it answering?", "Why is it waiting?", "CMS", "Kafka", "Instances", "Dead letters"}
	if !slices.Equal(titles, want) {
		t.Errorf("the rows are %q, want %q", titles, want)
	}
}
