package telemetry

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry/otlp"
)

// Metrics counts what happens. It is the observer of the consumer, the producer and the CMS client, and it logs what an
// operator must not miss.
type Metrics struct {
	log         zerolog.Logger
	outage      outageLog
	requests    requests
	calls       map[string]callMetrics // by class: looked up per call, so not through a vector
	transitions *prometheus.CounterVec
	commits     *prometheus.CounterVec
	commitTime  prometheus.Observer
	rebalances  *prometheus.CounterVec
	drainTime   prometheus.Observer
	batches     prometheus.Observer
	retries     *prometheus.CounterVec
	jumps       prometheus.Counter
	replies     *prometheus.CounterVec
	exports     *prometheus.CounterVec
	unchecked   prometheus.Counter
	ended       atomic.Int64                  // calls to the CMS
	refused     atomic.Pointer[refusedCommit] // nil: the last commit that came back worked
}

// refusedCommit is the last commit that came back, where it failed.
type refusedCommit struct {
	at  time.Time
	err error
}

var (
	_ consumer.Observer = (*Metrics)(nil)
	_ producer.Observer = (*Metrics)(nil)

	_ cmsclient.CallObserver     = (*Metrics)(nil)
	_ cmsclient.BreakerObserver  = (*Metrics)(nil)
	_ cmsclient.ThrottleObserver = (*Metrics)(nil)
	_ cmsclient.HaltObserver     = (*Metrics)(nil)
	_ cmsclient.QuotaObserver    = (*Metrics)(nil)
)

// callMetrics are the metrics of one class of calls.
type callMetrics struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

// latencies suit a GET that should take milliseconds and is given up after seconds.
var latencies = []float64{.001, .0025, .005, .01, .02, .03, .05, .075, .1, .2, .5, 1, 2, 5, 10, 40}

// NewMetrics registers the counters and histograms; version is the program's.
func NewMetrics(reg prometheus.Registerer, version string, log zerolog.Logger) *Metrics {
	m := &Metrics{
		log: log, outage: outageLog{log: log}, requests: newRequests(reg), calls: map[string]callMetrics{},
		transitions: registered(reg, counterVec("balanceq_breaker_transitions_total")),
		commits:     registered(reg, counterVec("balanceq_commits_total")),
		commitTime:  registered(reg, histogramVec("balanceq_commit_duration_seconds", latencies)).WithLabelValues(),
		rebalances:  registered(reg, counterVec("balanceq_rebalances_total")),
		drainTime:   registered(reg, histogramVec("balanceq_drain_duration_seconds", latencies)).WithLabelValues(),
		batches: registered(reg, histogramVec("balanceq_producer_batch_records",
			prometheus.ExponentialBuckets(1, 4, 8))).WithLabelValues(),
		retries:   registered(reg, counterVec("balanceq_write_retries_total")),
		jumps:     registered(reg, counterVec("balanceq_offset_jumps_total")).WithLabelValues(),
		replies:   registered(reg, counterVec("balanceq_replies_refused_total")),
		unchecked: registered(reg, counterVec("balanceq_schema_ids_unchecked_total")).WithLabelValues(),
		exports:   registered(reg, counterVec("balanceq_otlp_export_failures_total")),
	}
	calls := registered(reg, counterVec("balanceq_cms_calls_total"))
	durations := registered(reg, histogramVec("balanceq_cms_call_duration_seconds", latencies))
	for _, class := range cmsclient.CallClasses {
		m.calls[class] = callMetrics{calls.WithLabelValues(class), durations.WithLabelValues(class)}
	}
	for _, result := range []string{commitOK, commitFailed} {
		m.commits.WithLabelValues(result)
	}
	for _, reason := range consumer.RebalanceReasons {
		m.rebalances.WithLabelValues(reason)
	}
	for _, cause := range processor.Refusals {
		m.replies.WithLabelValues(cause)
	}
	for _, signal := range otlp.Signals {
		m.exports.WithLabelValues(string(signal))
	}
	registered(reg, gaugeVec("balanceq_build_info")).WithLabelValues(version, runtime.Version()).Set(1)
	return m
}

// Values of the label result of balanceq_commits_total.
const (
	commitOK     = "ok"
	commitFailed = "failed"
)

// Answered implements consumer.Observer.
func (m *Metrics) Answered(req *inflight.Request, outcome string, reason schemas.Reason) {
	m.requests.answered(req, outcome, reason, time.Now())
}

// Rebalanced implements consumer.Observer.
func (m *Metrics) Rebalanced(reason string) { m.rebalances.WithLabelValues(reason).Inc() }

// Drained implements consumer.Observer.
func (m *Metrics) Drained(took time.Duration) { m.drainTime.Observe(took.Seconds()) }

// Wrote implements producer.Observer.
func (m *Metrics) Wrote(records int) { m.batches.Observe(float64(records)) }

// ExportFailed is what is to hear of exports by OTLP that fail.
func (m *Metrics) ExportFailed(s otlp.Signal) { m.exports.WithLabelValues(string(s)).Inc() }

// Committed implements consumer.Observer.
func (m *Metrics) Committed(took time.Duration, err error) {
	if err != nil {
		m.refused.Store(&refusedCommit{time.Now(), err})
		m.commits.WithLabelValues(commitFailed).Inc()
		return
	}
	m.refused.Store(nil)
	m.commits.WithLabelValues(commitOK).Inc()
	m.commitTime.Observe(took.Seconds())
}

// OffsetJumped implements consumer.Observer.
func (m *Metrics) OffsetJumped(int32, int64, int64) { m.jumps.Inc() }

// WriteFailed implements producer.Observer.
func (m *Metrics) WriteFailed(topic string, _ int32, _ error) { m.retries.WithLabelValues(topic).Inc() }

// ReplyDropped is what is to hear of copies of results that are larger than their topic takes.
func (m *Metrics) ReplyDropped() { m.ReplyRefused(processor.RefusedSize) }

// ReplyRefused is what is to hear of wishes of requests for their results that are not granted.
func (m *Metrics) ReplyRefused(cause string) { m.replies.WithLabelValues(cause).Inc() }

// SchemaIDUnchecked is what is to hear of requests whose schema id no registry has told of.
func (m *Metrics) SchemaIDUnchecked() { m.unchecked.Inc() }

// Called implements cmsclient.CallObserver.
func (m *Metrics) Called(class string, d time.Duration) {
	m.ended.Add(1)
	c := m.calls[class]
	c.total.Inc()
	c.duration.Observe(d.Seconds())
}

// BreakerChanged implements cmsclient.BreakerObserver.
func (m *Metrics) BreakerChanged(from, to cmsclient.BreakerState, failing cmsclient.Failing) {
	m.requests.cms.breaker(to != cmsclient.BreakerClosed)
	m.transitions.WithLabelValues(from.String(), to.String()).Inc()
	m.outage.breaker(from, to, failing, time.Now())
}

// Throttled implements cmsclient.ThrottleObserver.
func (m *Metrics) Throttled(until time.Time) { m.outage.throttle(until, time.Now()) }

// Halted implements cmsclient.HaltObserver.
func (m *Metrics) Halted(err error) {
	m.requests.cms.halt(true)
	m.outage.halt(err, time.Now())
}

// Resumed implements cmsclient.HaltObserver.
func (m *Metrics) Resumed() {
	m.requests.cms.halt(false)
	m.outage.resume(time.Now())
}

// QuotaSpent implements cmsclient.QuotaObserver.
func (m *Metrics) QuotaSpent(until time.Time) {
	m.log.Warn().Str("event", "quota_spent").Time("until", until).
		Msg("the day's quota of calls is used up: consumption pauses until the next UTC day")
}
