package connect

import (
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/telemetry/otlp"
	"github.com/balanceq/balanceq/telemetry/traces"
)

// OTLP says where telemetry goes.
func OTLP(cfg config.OTLP) (otlp.Receiver, error) {
	headers, err := otlp.ParseHeaders(cfg.Headers.Reveal())
	if err != nil {
		return otlp.Receiver{}, finding.Failed("telemetry.otlp.headers", err, "write for example api-key=0123,tenant=bank")
	}
	return otlp.Receiver{Endpoint: cfg.Endpoint, Headers: headers}, nil
}

// Traces says what is traced.
func Traces(cfg config.Config) traces.Config {
	t := cfg.Telemetry.Traces
	return traces.Config{
		Ratio: t.Ratio, NewRoots: t.Parent == config.ParentNew, Requests: cfg.Topics.Requests, Group: cfg.Kafka.Group,
		ClientID: cfg.Kafka.ClientID, CMS: cfg.CMS.URL,
	}
}
