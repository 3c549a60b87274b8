package otlp

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// SendTraces sends the spans that the provider's tracers make, all of them: which are made is decided before. They wait
// in a queue, as the OTEL_BSP_* variables say; what does not fit, as the receiver is away or slow, is dropped.
func SendTraces(ctx context.Context, to Receiver, sender *resource.Resource,
	failed Failed) (*trace.TracerProvider, error) {
	var options []otlptracehttp.Option
	if to.Endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(to.URL(Traces)))
	}
	if len(to.Headers) > 0 {
		options = append(options, otlptracehttp.WithHeaders(to.Headers))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("sending traces by OTLP: %w", err)
	}
	return trace.NewTracerProvider(trace.WithSampler(trace.AlwaysSample()), trace.WithResource(sender),
		trace.WithBatcher(countedSpans{exporter, failed})), nil
}

// countedSpans counts the exports that fail.
type countedSpans struct {
	trace.SpanExporter
	failed Failed
}

// ExportSpans implements trace.SpanExporter.
func (c countedSpans) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		c.failed(Traces)
	}
	return err
}
