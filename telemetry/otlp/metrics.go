package otlp

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// SendMetrics sends what a registry holds, once a minute or as OTEL_METRIC_EXPORT_INTERVAL says, under the names that
// Prometheus sees. stop sends once more and ends it.
func SendMetrics(ctx context.Context, to Receiver, from prometheus.Gatherer, sender *resource.Resource,
	failed Failed) (stop func(context.Context) error, err error) {
	var options []otlpmetrichttp.Option
	if to.Endpoint != "" {
		options = append(options, otlpmetrichttp.WithEndpointURL(to.URL(Metrics)))
	}
	if len(to.Headers) > 0 {
		options = append(options, otlpmetrichttp.WithHeaders(to.Headers))
	}
	exporter, err := otlpmetrichttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("sending metrics by OTLP: %w", err)
	}
	reader := metric.NewPeriodicReader(counted{exporter, failed},
		metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(from))))
	return metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(sender)).Shutdown, nil
}

// counted counts the exports that fail.
type counted struct {
	metric.Exporter
	failed Failed
}

// Export implements metric.Exporter.
func (c counted) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	err := c.Exporter.Export(ctx, data)
	if err != nil {
		c.failed(Metrics)
	}
	return err
}
