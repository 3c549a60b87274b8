package deadletters

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry/otlp"
	"github.com/balanceq/balanceq/telemetry/traces"
)

// sendTraces is how long the end of a replay waits for the receiver of traces.
const sendTraces = 5 * time.Second

// beginTrace traces the run, where a receiver of traces is named. end sends what is left of it.
func (r *replayRun) beginTrace(ctx context.Context) (end func(failed error), err error) {
	receiver, err := connect.OTLP(r.Config.Telemetry.OTLP)
	if err != nil || !receiver.Wanted(otlp.Traces) {
		return func(error) {}, err
	}
	sender, err := otlp.Resource(ctx, command.Version(), instances.Operator())
	if err != nil {
		return nil, err
	}
	provider, err := otlp.SendTraces(ctx, receiver, sender, func(otlp.Signal) {}) // the end says it
	if err != nil {
		return nil, err
	}
	tracer, err := traces.New(connect.Traces(r.Config), provider)
	if err != nil {
		r.Warn("%s", printable.Text(err.Error()))
	}
	r.trace = tracer.Replay(r.id)
	var unsent atomic.Pointer[string]
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { unsent.Store(new(err.Error())) }))
	return func(failed error) {
		if r.trace != nil {
			r.trace.End(r.done, failed != nil)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTraces)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			otel.Handle(err)
		}
		if why := unsent.Load(); why != nil {
			r.Warn("the trace of this run was not sent in full: %s", schemas.Mask(printable.Text(*why)))
		}
	}, nil
}
