package cli

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"
)

// The alert rules are held against the runbook, their tests and the table of them. Whether they name metrics that
// exist is for tools/monitoring, which has a parser of their expressions; whether they fire, for promtool.

const (
	ruleFolder  = "deploy/prometheus"
	runbookURL  = "https://github.com/balanceq/balanceq/blob/main/" + runbook + "#"
	alertPrefix = "Balanceq"

	held         = "instance:balanceq_held:bool" // only ever silences
	alertmanager = "deploy/alertmanager/alertmanager.yaml"
)

// rule is an alert or a recording rule.
type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

// rules are those of all files, in their order.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	for _, name := range []string{"alerts.yaml", "slo.yaml"} {
		var file struct{ Groups []struct{ Rules []rule } }
		if err := yaml.Unmarshal([]byte(readDoc(t, ruleFolder+"/"+name)), &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, group := range file.Groups {
			all = append(all, group.Rules...)
		}
	}
	return all
}

func alerts(t *testing.T) []rule {
	t.Helper()
	found := slices.DeleteFunc(rules(t), func(r rule) bool { return r.Alert == "" })
	if len(found) < 20 {
		t.Fatalf("only %d alerts are found", len(found))
	}
	return found
}

// Those who are woken are told what it means, and where the runbook says what to do.
func TestDocsAlerts(t *testing.T) {
	sections := anchors(readDoc(t, runbook))
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		if !strings.HasPrefix(a.Alert, alertPrefix) || seen[a.Alert] {
			t.Errorf("%s is there twice, or does not begin with %s", a.Alert, alertPrefix)
		}
		seen[a.Alert] = true
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: severity %q: page or ticket", a.Alert, s)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s: no summary or no description", a.Alert)
		}
		section, known := strings.CutPrefix(a.Annotations["runbook_url"], runbookURL)
		if !known || !slices.Contains(sections, section) {
			t.Errorf("%s: runbook_url %q leads to no section of %s", a.Alert, a.Annotations["runbook_url"], runbook)
		}
	}
	generated(t, operating, "alerts", alertTable(alerts(t)))
}

// alertTable has a row an alert, with what it says at the time.
func alertTable(alerts []rule) string {
	var b strings.Builder
	b.WriteString("| alert | severity | for | says | what to do |\n|---|---|---|---|---|\n")
	label, value := regexp.MustCompile(`{{ \$labels\.(\w+) }}`), regexp.MustCompile(`{{ \$value .*?}}`)
	for _, a := range alerts {
		says := strings.ReplaceAll(a.Annotations["summary"], "{{ $labels.job }}", "balanceq")
		says = value.ReplaceAllString(label.ReplaceAllString(says, "*$1*"), "*n*")
		_, section, _ := strings.Cut(a.Annotations["runbook_url"], "#")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | [%s](RUNBOOK.md#%[5]s) |\n",
			a.Alert, a.Labels["severity"], cmp.Or(a.For, "at once"), says, section)
	}
	return b.String()
}

// metricTable has a row a metric, with the alerts and service levels that go by it.
func metricTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| metric | type | means | alerts |\n|---|---|---|---|\n")
	for _, m := range telemetry.Catalogue {
		name := m.Name
		if len(m.Labels) > 0 {
			name += "{" + strings.Join(m.Labels, ",") + "}"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.Type, strings.TrimSuffix(m.Help, "."),
			strings.Join(goBy(t, m.Name), ", "))
	}
	return b.String()
}

// goBy are the alerts that a metric can raise: those whose expression names it, itself or by a recorded one.
func goBy(t *testing.T, metric string) (names []string) {
	t.Helper()
	name := regexp.MustCompile(`\b` + metric + `(?:_bucket|_count|_sum)?\b`)
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		switch {
		case r.Record != "" && r.Record != held && name.MatchString(r.Expr):
			recorded[strings.TrimRight(r.Record, "0123456789mhd")] = true
		case r.Alert == "":
		case name.MatchString(r.Expr), slices.ContainsFunc(slices.Collect(maps.Keys(recorded)), func(level string) bool {
			return strings.Contains(r.Expr, level)
		}):
			names = append(names, "`"+r.Alert+"`")
		}
	}
	return names
}

// Each alert has been seen to fire, and to be silent where it should not: promtool runs these.
func TestAlertsAreTested(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(moduleRoot, ruleFolder, "*_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Tests []struct {
				Exprs []struct {
					Expr    string
					Samples []struct{ Labels string } `yaml:"exp_samples"`
				} `yaml:"promql_expr_test"`
				Alerts []struct {
					Name   string `yaml:"alertname"`
					Alerts []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, test := range file.Tests {
			for _, e := range test.Exprs {
				for _, s := range e.Samples {
					if m := regexp.MustCompile(`alertname="(\w+)"`).FindStringSubmatch(s.Labels); m != nil &&
						strings.Contains(e.Expr, `ALERTS{alertstate="firing"}`) {
						fires[m[1]] = true
					}
				}
			}
			for _, a := range test.Alerts {
				silent[a.Name] = silent[a.Name] || len(a.Alerts) == 0
			}
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s: a case that fires: %t; one that is silent: %t", a.Alert, fires[a.Alert], silent[a.Alert])
		}
		delete(silent, a.Alert)
	}
	for name := range silent {
		t.Errorf("a test of %s, which is no alert, can only be silent", name)
	}
}

// What the documents and the example of Alertmanager call an alert is one.
func TestAlertsThatAreNamedExist(t *testing.T) {
	known := map[string]bool{}
	for _, a := range alerts(t) {
		known[a.Alert] = true
	}
	texts := pages(t)
	texts[alertmanager] = readDoc(t, alertmanager)
	for page, text := range texts {
		for _, name := range regexp.MustCompile(alertPrefix+`[A-Z]\w+`).FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is no alert", page, name)
			}
		}
	}
}

// Values of labels that expressions ask for are values that they have: a wrong one would never match, and so be silent.
func TestExpressionsNameValuesThatExist(t *testing.T) {
	states, reasons := []string{}, []string{"", "assigned", "revoked", "lost"} // of balanceq_rebalances_total
	for _, s := range cmsclient.BreakerStates {
		states = append(states, s.String())
	}
	for _, r := range schemas.Reasons {
		reasons = append(reasons, string(r))
	}
	values := map[string][]string{
		"state": states, "from": states, "to": states, "reason": reasons,
		"class": cmsclient.CallClasses, "cms": {"up", "down"},
		"outcome": {schemas.OutcomeComplete, schemas.OutcomePartial, consumer.OutcomeDeadLetter},
		"cause": {cmsclient.CauseBreaker, cmsclient.CauseThrottled, cmsclient.CauseHalted, cmsclient.CauseQuota,
			processor.CauseBudget},
	}
	seen := 0
	for _, name := range []string{ruleFolder + "/alerts.yaml", ruleFolder + "/slo.yaml", "deploy/grafana/balanceq.json"} {
		text := strings.ReplaceAll(readDoc(t, name), `\"`, `"`)
		for _, m := range regexp.MustCompile(`(\w+)(?:=|!=|=~|!~)"([^"]*)"`).FindAllStringSubmatch(text, -1) {
			for value := range strings.SplitSeq(m[2], "|") {
				if exist, closed := values[m[1]]; closed {
					seen++
					if !slices.Contains(exist, value) {
						t.Errorf("%s asks for %s, and %q is none of %q", name, m[0], value, exist)
					}
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d values are found", seen)
	}
}

// A service level is the same over every window: the rules differ in nothing else.
func TestServiceLevelsDifferInWindowsOnly(t *testing.T) {
	window := regexp.MustCompile(`^(job:\w+:(?:ratio_rate|increase))(\d+\w)$`)
	same := map[string]string{}
	levels := 0
	for _, r := range rules(t) {
		m := window.FindStringSubmatch(r.Record)
		if m == nil {
			continue
		}
		levels++
		expr := strings.ReplaceAll(r.Expr, "["+m[2]+"]", "[WINDOW]")
		if first, known := same[m[1]]; known && first != expr {
			t.Errorf("%s is\n%s\nand over another window\n%s", r.Record, expr, first)
		}
		same[m[1]] = expr
	}
	if levels < 16 {
		t.Errorf("only %d rules of service levels are found", levels)
	}
}
