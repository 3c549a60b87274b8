package telemetry

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// distinct leaves out what cannot stand on a page of OpenMetrics, whose parsers refuse the whole of it: there a counter
// is called without _total, and the Go collector has a gauge of that name. It says the same as
// go_memstats_heap_alloc_bytes.
type distinct struct{ prometheus.Gatherer }

const allocated = "go_memstats_alloc_bytes"

// Gather implements prometheus.Gatherer.
func (d distinct) Gather() ([]*dto.MetricFamily, error) {
	families, err := d.Gatherer.Gather()
	return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == allocated }), err
}
