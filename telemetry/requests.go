package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// requests are the metrics of answered requests. Each is looked up once, not per request.
type requests struct {
	outcomes map[string]outcomeMetrics
	stages   stageMetrics
	cms      *outages
}

// outcomeMetrics are those of one outcome.
type outcomeMetrics struct {
	total    map[schemas.Reason]prometheus.Counter
	up, down prometheus.Observer // by whether the CMS was up all the time
}

// stageMetrics are those of the stages, which add up to a request's duration.
type stageMetrics struct{ fetchWait, queue, admit, call, publish prometheus.Observer }

// durations are the bounds of what a request may wait for: from one that is answered at once to one that an outage
// holds up. The objective's 10 s is one of them.
var durations = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}

// outcomes are all outcomes with their reasons.
func outcomes() map[string][]schemas.Reason {
	return map[string][]schemas.Reason{
		schemas.OutcomeComplete: {""}, schemas.OutcomePartial: {""}, consumer.OutcomeDeadLetter: schemas.Reasons,
	}
}

func newRequests(reg prometheus.Registerer) requests {
	total := registered(reg, counterVec("balanceq_records_total"))
	duration := registered(reg, histogramVec("balanceq_request_duration_seconds", durations))
	stage := registered(reg, histogramVec("balanceq_stage_duration_seconds", durations)).WithLabelValues
	r := requests{
		outcomes: map[string]outcomeMetrics{},
		stages:   stageMetrics{stage("fetch_wait"), stage("queue"), stage("admit"), stage("call"), stage("publish")},
		cms:      &outages{},
	}
	for outcome, reasons := range outcomes() {
		o := outcomeMetrics{map[schemas.Reason]prometheus.Counter{}, duration.WithLabelValues(outcome, "up"),
			duration.WithLabelValues(outcome, "down")}
		for _, reason := range reasons {
			o.total[reason] = total.WithLabelValues(outcome, string(reason))
		}
		r.outcomes[outcome] = o
	}
	return r
}

// answered counts a request whose outcome is in the log.
func (r *requests) answered(req *inflight.Request, outcome string, reason schemas.Reason, now time.Time) {
	o := r.outcomes[outcome]
	o.total[reason].Inc()

	at, here := inflight.At(now), req.Stages
	inside := at.Sub(here.Started)
	waited := now.Sub(req.Record.Time) - inside // by two clocks: its publisher's may be fast
	if req.Record.Time.UnixMilli() <= 0 || waited < 0 {
		waited = 0
	}
	r.stages.fetchWait.Observe(waited.Seconds())
	if here.Asked == 0 {
		r.stages.queue.Observe(here.Decided.Sub(here.Started).Seconds())
	} else {
		r.stages.queue.Observe(here.Waiting.Sub(here.Started).Seconds())
		r.stages.admit.Observe(here.Asked.Sub(here.Waiting).Seconds())
		r.stages.call.Observe(here.Decided.Sub(here.Asked).Seconds())
	}
	r.stages.publish.Observe(at.Sub(here.Decided).Seconds())

	duration := o.up
	if r.cms.downSince(now.Add(-waited - inside)) {
		duration = o.down
	}
	observe(duration, (waited + inside).Seconds(), req.SampledTraceID())
}

// observe adds the trace of a sampled request as an exemplar.
func observe(to prometheus.Observer, seconds float64, trace string) {
	if exemplars, ok := to.(prometheus.ExemplarObserver); ok && trace != "" {
		exemplars.ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": trace})
		return
	}
	to.Observe(seconds)
}

// outages know when the CMS was last down for this instance: its breaker not closed, or the service halted.
type outages struct {
	mu           sync.Mutex // of the changes
	open, halted bool
	// end is when it was last up again, in Unix nanoseconds; 0: it has always been up.
	end atomic.Int64
}

// stillDown is the end of an outage that has none yet.
const stillDown = 1<<63 - 1

func (o *outages) breaker(open bool) { o.change(func() { o.open = open }) }
func (o *outages) halt(halted bool)  { o.change(func() { o.halted = halted }) }

func (o *outages) change(apply func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.open || o.halted
	apply()
	switch is := o.open || o.halted; {
	case is:
		o.end.Store(stillDown)
	case was:
		o.end.Store(time.Now().UnixNano())
	}
}

// downSince says whether the CMS was down at any time since then.
func (o *outages) downSince(then time.Time) bool {
	end := o.end.Load()
	return end > 0 && end >= then.UnixNano()
}
