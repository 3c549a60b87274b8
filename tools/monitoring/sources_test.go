package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const moduleRoot = "../.."

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// metric is what an expression may name.
type metric struct {
	labels  []string
	kind    string // counter, gauge, histogram
	buckets bool   // …_bucket of a histogram
}

// targetLabels come from the scrape, and so are on every series.
var targetLabels = []string{"job", "instance"}

// known are all metrics by name: those of the table that is generated from what the program registers, those of its
// runtime that are used, and what Prometheus makes of alerts and of the rules themselves.
func known(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{
		"process_cpu_seconds_total":     {kind: "counter"},
		"process_resident_memory_bytes": {kind: "gauge"},
		"go_goroutines":                 {kind: "gauge"},
		"ALERTS":                        {kind: "gauge", labels: []string{"alertname", "alertstate"}},
	}
	row := regexp.MustCompile("(?m)^\\| `(balanceq_\\w+)(?:\\{([\\w,]+)\\})?` \\| (counter|gauge|histogram) \\|")
	for _, m := range row.FindAllStringSubmatch(string(read(t, "docs/operating.md")), -1) {
		labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' })
		if m[3] == "histogram" {
			all[m[1]+"_sum"] = metric{kind: "counter", labels: labels}
			all[m[1]+"_count"] = metric{kind: "counter", labels: labels}
			all[m[1]+"_bucket"] = metric{kind: "counter", labels: append(slices.Clone(labels), "le"), buckets: true}
			continue
		}
		all[m[1]] = metric{kind: m[3], labels: labels}
	}
	if len(all) < 40 {
		t.Fatalf("only %d metrics are found in the table of docs/operating.md", len(all))
	}
	for _, r := range ruleExpressions(t) {
		if strings.Contains(r.name, ":") {
			all[r.name] = metric{kind: "gauge"}
		}
	}
	return all
}

// expression is one of PromQL, and where it stands.
type expression struct{ name, text string }

// ruleExpressions are those of the rules, by the name of the alert or record.
func ruleExpressions(t *testing.T) (all []expression) {
	t.Helper()
	for _, name := range []string{"alerts.yaml", "slo.yaml"} {
		var file struct {
			Groups []struct {
				Rules []struct{ Alert, Record, Expr string }
			}
		}
		if err := yaml.Unmarshal(read(t, "deploy/prometheus/"+name), &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				all = append(all, expression{r.Alert + r.Record, r.Expr})
			}
		}
	}
	return all
}

// file is what of the dashboard's file is looked at.
type file struct {
	Panels []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		Targets                  []struct{ RefID, Expr string }
		FieldConfig              struct{ Defaults struct{ Unit string } }
	}
	Annotations struct{ List []struct{ Name, Expr string } }
	Templating  struct {
		List []struct{ Name, Query string }
	}
}

func shipped(t *testing.T) (b file) {
	t.Helper()
	if err := json.Unmarshal(read(t, "deploy/grafana/balanceq.json"), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// panelExpressions are those of the panels and annotations.
func panelExpressions(t *testing.T) (all []expression) {
	t.Helper()
	b := shipped(t)
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			all = append(all, expression{p.Title, target.Expr})
		}
	}
	for _, a := range b.Annotations.List {
		all = append(all, expression{a.Name, a.Expr})
	}
	return all
}
