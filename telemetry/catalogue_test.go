package telemetry

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
)

// What is registered is what the catalogue says: names, types, labels and help.
func TestCatalogue(t *testing.T) {
	f := &fakes{consumer: consumer.Status{LastCommit: time.Now(), Partitions: []consumer.PartitionStatus{{}}},
		keys: []Key{{Name: "signing", Expires: time.Now()}}, login: Token{Expires: time.Now()}, handlers: NewHandlers()}
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg, "v1", zerolog.Nop())
	if err := RegisterGauges(reg, f.sources()); err != nil {
		t.Fatal(err)
	}
	if _, err := NewWatchdog(StallTimeouts{After: time.Minute}, reg, m, f.sources(), zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	NewScaler(reg, m, f.sources())
	m.WriteFailed("results", 0, nil)
	m.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen, cmsclient.Failing{})

	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	unseen := map[string]Metric{}
	for _, m := range Catalogue {
		unseen[m.Name] = m
	}
	if len(unseen) != len(Catalogue) {
		t.Error("the catalogue has a name twice")
	}
	for _, family := range families {
		want, known := unseen[family.GetName()]
		if !known {
			t.Errorf("the catalogue does not have %s", family.GetName())
			continue
		}
		delete(unseen, want.Name)
		if got := strings.ToLower(family.GetType().String()); got != string(want.Type) || family.GetHelp() != want.Help {
			t.Errorf("%s is a %s that says %q", want.Name, got, family.GetHelp())
		}
		var labels []string
		for _, l := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		if !slices.Equal(labels, slices.Sorted(slices.Values(want.Labels))) {
			t.Errorf("%s has the labels %v, want %v", want.Name, labels, want.Labels)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unseen)) {
		t.Errorf("nothing registers %s", name)
	}
}

// Units come last and counters end in _total; in OpenMetrics a counter's name is without, and may be no other metric's.
func TestMetricNames(t *testing.T) {
	families := map[string]bool{}
	for _, m := range Catalogue {
		family, total := strings.CutSuffix(m.Name, "_total")
		if total != (m.Type == Counter) {
			t.Errorf("%s is a %s", m.Name, m.Type)
		}
		if families[family] {
			t.Errorf("%s has the name of another one in OpenMetrics", m.Name)
		}
		families[family] = true
		if !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: the help is no sentence: %s", m.Name, m.Help)
		}
	}
}
