// Package otlp sends telemetry to a receiver of OpenTelemetry's protocol over HTTP with protobuf (OTLP 1.x).
package otlp

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Receiver says where telemetry goes. What it leaves open the exporters read from the standard variables themselves:
// OTEL_EXPORTER_OTLP_* (OpenTelemetry specification, "OpenTelemetry Protocol Exporter"), but for the protocol, which is
// always http/protobuf.
type Receiver struct {
	Endpoint string            // base URL, to which /v1/… is appended; "": as the variables say
	Headers  map[string]string // of each export, in place of those of the variables; may be secret
}

// Signal is a kind of telemetry.
type Signal string

// Signals are all signals.
var Signals = []Signal{Metrics, Traces}

// The signals, as they are called in the paths of OTLP and, in capitals, in the names of variables.
const (
	Metrics Signal = "metrics"
	Traces  Signal = "traces"
)

// Wanted says whether a signal is to be sent: where there is an endpoint for it, and no variable forbids it.
func (r Receiver) Wanted(s Signal) bool {
	name := strings.ToUpper(string(s))
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_"+name+"_EXPORTER") == "none" {
		return false
	}
	return r.Endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		os.Getenv("OTEL_EXPORTER_OTLP_"+name+"_ENDPOINT") != ""
}

// URL is where a signal goes; "": as the variables say.
func (r Receiver) URL(s Signal) string {
	if r.Endpoint == "" {
		return ""
	}
	return strings.TrimRight(r.Endpoint, "/") + "/v1/" + string(s)
}

// ParseHeaders reads name=value,… with percent-encoded values, as OTEL_EXPORTER_OTLP_HEADERS has them. Its errors show
// nothing of the text, which may be secret.
func ParseHeaders(text string) (map[string]string, error) {
	headers := map[string]string{}
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " :\"") || err != nil {
			return nil, fmt.Errorf("header %d is not name=value with a percent-encoded value", i+1)
		}
		headers[name] = value
	}
	return headers, nil
}

// Resource says who sends. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is given here.
func Resource(ctx context.Context, version, instance string) (*resource.Resource, error) {
	r, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "balanceq"), attribute.String("service.version", version),
		attribute.String("service.instance.id", instance)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describing this instance to the OTLP receiver: %w", err)
	}
	return r, nil
}

// Failed hears of each export that failed. It must not block.
type Failed func(Signal)
