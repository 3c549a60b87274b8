package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// row is a row of panels that answers one question.
type row struct {
	title  string
	panels []panel
}

// panel is a graph of one or more expressions, or with stat the latest value of one.
type panel struct {
	title, means, unit string
	stat               bool
	stacked            bool
	colors             []dashboard.Threshold // of a stat; none: green
	width              uint32                // of 24; 0: 8
	queries            []query
}

// query is an expression and how its series are called. In an expression "$it" stands for the chosen jobs and
// instances.
type query struct{ legend, expr string }

const (
	// it chooses what is looked at. Recorded series have no instance, so they name the job themselves.
	it         = `job=~"$job", instance=~"$instance"`
	datasource = "${datasource}"
	height     = 8
	statHeight = 4
)

// build makes the classic format, which every Grafana imports; dashboardv2 is for 12 and later.
func build() (dashboard.Dashboard, error) { //nolint:staticcheck // not deprecated for whom it is for, see above
	source := common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr(datasource)}
	dash := dashboard.NewDashboardBuilder("balanceq"). //nolint:staticcheck // as above
								Uid("balanceq").
								Description("Balance requests from Kafka, asked of the CMS, answered to Kafka. Alerts: deploy/prometheus; "+
			"what to do: docs/RUNBOOK.md.").
		Tags([]string{"balanceq"}).
		Editable().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Refresh("30s").
		Time("now-3h", "now").
		Timezone(common.TimeZoneBrowser).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(choice("job", "Job", "label_values(balanceq_joined, job)", source)).
		WithVariable(choice("instance", "Instance", `label_values(balanceq_joined{job=~"$job"}, instance)`, source))
	for _, a := range annotations {
		dash.Annotation(dashboard.NewAnnotationQueryBuilder().Name(a.name).Enable(true).IconColor(a.color).
			Datasource(source).Expr(strings.ReplaceAll(a.expr, "$it", it)))
	}
	id := uint32(0)
	next := func() uint32 { id++; return id }
	for _, r := range rows {
		dash.WithRow(dashboard.NewRowBuilder(r.title).Id(next()))
		for _, p := range r.panels {
			dash.WithPanel(p.build(next(), source))
		}
	}
	return dash.Build()
}

// choice is a variable of which any number may be chosen; all of them at first.
func choice(name, label, values string, source common.DataSourceRef) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source).
		Query(dashboard.StringOrMap{String: &values}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".*")
}

// Colors of a stat from a value on.
var (
	green     = dashboard.Threshold{Color: "green"}
	red       = dashboard.Threshold{Color: "red"}
	redFrom   = func(value float64) dashboard.Threshold { return dashboard.Threshold{Color: "red", Value: &value} }
	greenFrom = func(value float64) dashboard.Threshold { return dashboard.Threshold{Color: "green", Value: &value} }
)

func (p panel) build(id uint32, source common.DataSourceRef) cog.Builder[dashboard.Panel] {
	width := p.width
	if width == 0 {
		width = 8
	}
	if p.stat {
		colors := p.colors
		if colors == nil {
			colors = []dashboard.Threshold{green}
		}
		b := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.means).Datasource(source).Unit(p.unit).
			Height(statHeight).Span(width).GraphMode(common.BigValueGraphModeArea).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
			Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(colors))
		for i, q := range p.queries {
			b.WithTarget(q.build(i, source))
		}
		return b
	}
	b := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.means).Datasource(source).Unit(p.unit).
		Height(height).Span(width).Min(0).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if p.stacked {
		b.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).FillOpacity(40)
	}
	for i, q := range p.queries {
		b.WithTarget(q.build(i, source))
	}
	return b
}

func (q query) build(i int, source common.DataSourceRef) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Datasource(source).Range().LegendFormat(q.legend).
		Expr(strings.ReplaceAll(q.expr, "$it", it))
}
