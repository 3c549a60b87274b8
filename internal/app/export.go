package app

import (
	"context"
	"sync"

	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/telemetry/otlp"
	"github.com/balanceq/balanceq/telemetry/traces"
)

// exports are what leaves by OTLP; the zero value is nothing.
type exports struct {
	tracer *traces.Tracer // nil: nothing is traced
	stop   []func(context.Context) error
}

// export sends telemetry by OTLP, where a receiver is named. That it cannot be reached is no error: it is counted, and
// told to OpenTelemetry's error handler.
func (a *App) export(ctx context.Context, version string) error {
	receiver, err := connect.OTLP(a.cfg.Telemetry.OTLP)
	if err != nil {
		return err
	}
	sender, err := otlp.Resource(ctx, version, a.cfg.Instance)
	if err != nil {
		return err
	}
	if receiver.Wanted(otlp.Metrics) {
		stop, err := otlp.SendMetrics(ctx, receiver, a.registry, sender, a.metrics.ExportFailed)
		if err != nil {
			return err
		}
		a.exports.stop = append(a.exports.stop, stop)
	}
	if receiver.Wanted(otlp.Traces) {
		provider, err := otlp.SendTraces(ctx, receiver, sender, a.metrics.ExportFailed)
		if err != nil {
			return err
		}
		a.exports.stop = append(a.exports.stop, provider.Shutdown)
		if a.exports.tracer, err = traces.New(connect.Traces(a.cfg), provider); err != nil {
			a.log.Warn().Str("event", "configuration_warning").Str("fix", "set the variable to one of those").Msg(err.Error())
		}
	}
	return nil
}

// endExport sends what there is to the last, for as long as ctx lets it. Failures are told as any others are.
func (a *App) endExport(ctx context.Context) {
	var all sync.WaitGroup
	for _, stop := range a.exports.stop {
		all.Go(func() { _ = stop(ctx) })
	}
	all.Wait()
}
