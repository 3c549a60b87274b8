package traces

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/balanceq/balanceq/schemas"
)

// Replay is one run of replays as a trace of its own.
type Replay struct {
	tracer *Tracer
	run    trace.Span
}

// Replay begins the span of a run. It is nil where nothing may be traced. A run is an operator's, so it is traced
// whatever the ratio.
func (t *Tracer) Replay(run string) *Replay {
	if t.gate.never {
		return nil
	}
	_, span := t.spans.Start(context.Background(), "replay", trace.WithAttributes(replayRun.String(run)))
	return &Replay{tracer: t, run: span}
}

// Send begins the writing of a letter's request, and returns what that is to carry, and what to call when it stands
// where it belongs. Its span is linked with what the request came from and with what wrote the letter. There is one for
// a letter of which either was sampled, and for a share of the others as of requests without a trace; the others belong
// to the run's trace without being sampled.
func (r *Replay) Send(letter *schemas.Record) (carries schemas.Trace, written func()) {
	first, dead := schemas.FirstTrace(letter), schemas.DeadTrace(letter)
	if !first.Sampled() && !dead.Sampled() && !r.tracer.gate.open(schemas.Trace{}) {
		return headers(r.run.SpanContext().WithTraceFlags(0)), func() {}
	}
	var links []trace.Link
	for _, from := range []schemas.Trace{first, dead} {
		if of := remote(from); of.IsValid() {
			links = append(links, trace.Link{SpanContext: of})
		}
	}
	request := schemas.ReadDeadLetter(letter).RequestID
	send := r.tracer.send(under(r.run), r.tracer.cfg.Requests, conversationID.String(request), links...)
	return headers(send.SpanContext()), func() { send.End() }
}

// End ends the span of the run, which has put so many requests back.
func (r *Replay) End(replayed int64, failed bool) {
	r.run.SetAttributes(batchCount.Int64(replayed))
	if failed {
		fail(r.run, "interrupted")
	}
	r.run.End()
}
