package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

// Metrics counts what happens. It is the observer of the consumer, the producer and the CMS client, and it logs what an
// operator must not miss.
type Metrics struct {
	log         zerolog.Logger
	records     *prometheus.CounterVec
	calls       map[string]callMetrics // by class: looked up per call, so not through a vector
	transitions *prometheus.CounterVec
	commits     *prometheus.CounterVec
	commitTime  prometheus.Histogram
	retries     *prometheus.CounterVec
	jumps       prometheus.Counter
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

	_ cmsclient.CallObserver    = (*Metrics)(nil)
	_ cmsclient.BreakerObserver = (*Metrics)(nil)
	_ cmsclient.HaltObserver    = (*Metrics)(nil)
	_ cmsclient.QuotaObserver   = (*Metrics)(nil)
)

// callMetrics are the metrics of one class of calls.
type callMetrics struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

// latencies suit a GET that should take milliseconds and is given up after seconds.
var latencies = []float64{.001, .0025, .005, .01, .02, .03, .05, .075, .1, .2, .5, 1, 2, 5, 10, 40}

// NewMetrics registers the counters.
func NewMetrics(reg prometheus.Registerer, log zerolog.Logger) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		log: log,
		records: f.NewCounterVec(prometheus.CounterOpts{Name: "balanceq_records_total",
			Help: "Requests whose outcome is written (with exactly-once: committed), by outcome (complete, partial, " +
				"dead-letter) " +
				"and the dead letter's reason."}, []string{"outcome", "reason"}),
		calls: map[string]callMetrics{},
		transitions: f.NewCounterVec(prometheus.CounterOpts{Name: "balanceq_breaker_transitions_total",
			Help: "Changes of the circuit breaker's state."}, []string{"from", "to"}),
		commits: f.NewCounterVec(prometheus.CounterOpts{Name: "balanceq_commits_total",
			Help: "Offset commits (with exactly-once: transactions) by result (ok, failed)."}, []string{"result"}),
		commitTime: f.NewHistogram(prometheus.HistogramOpts{Name: "balanceq_commit_duration_seconds",
			Help: "Duration of an offset commit (with exactly-once: a transaction).", Buckets: latencies}),
		retries: f.NewCounterVec(prometheus.CounterOpts{Name: "balanceq_write_retries_total",
			Help: "Writes of results and dead letters that had to be repeated."}, []string{"topic"}),
		jumps: f.NewCounter(prometheus.CounterOpts{Name: "balanceq_offset_jumps_total",
			Help: "Times that the request log did not hold the next offset: requests may have been deleted unread."}),
	}
	calls := f.NewCounterVec(prometheus.CounterOpts{Name: "balanceq_cms_calls_total",
		Help: "Calls to the CMS by what came back."}, []string{"class"})
	durations := f.NewHistogramVec(prometheus.HistogramOpts{Name: "balanceq_cms_call_duration_seconds",
		Help: "Duration of one call to the CMS.", Buckets: latencies}, []string{"class"})
	for _, class := range cmsclient.CallClasses {
		m.calls[class] = callMetrics{calls.WithLabelValues(class), durations.WithLabelValues(class)}
	}
	for _, outcome := range []string{schemas.OutcomeComplete, schemas.OutcomePartial} {
		m.records.WithLabelValues(outcome, "")
	}
	for _, reason := range schemas.Reasons {
		m.records.WithLabelValues(consumer.OutcomeDeadLetter, string(reason))
	}
	return m
}

// Answered implements consumer.Observer.
func (m *Metrics) Answered(outcome string, reason schemas.Reason) {
	m.records.WithLabelValues(outcome, string(reason)).Inc()
}

// Committed implements consumer.Observer.
func (m *Metrics) Committed(took time.Duration, err error) {
	if err != nil {
		m.refused.Store(&refusedCommit{time.Now(), err})
		m.commits.WithLabelValues("failed").Inc()
		return
	}
	m.refused.Store(nil)
	m.commits.WithLabelValues("ok").Inc()
	m.commitTime.Observe(took.Seconds())
}

// OffsetJumped implements consumer.Observer.
func (m *Metrics) OffsetJumped(int32, int64, int64) { m.jumps.Inc() }

// WriteFailed implements producer.Observer.
func (m *Metrics) WriteFailed(topic string, _ int32, _ error) { m.retries.WithLabelValues(topic).Inc() }

// Called implements cmsclient.CallObserver.
func (m *Metrics) Called(class string, d time.Duration) {
	m.ended.Add(1)
	c := m.calls[class]
	c.total.Inc()
	c.duration.Observe(d.Seconds())
}

// BreakerChanged implements cmsclient.BreakerObserver.
func (m *Metrics) BreakerChanged(from, to cmsclient.BreakerState, failing string) {
	m.transitions.WithLabelValues(from.String(), to.String()).Inc()
	change := m.log.With().Stringer("from", from).Stringer("to", to).Logger()
	switch to {
	case cmsclient.BreakerOpen:
		change.Warn().Str("event", "breaker_opened").Str("failing", failing).
			Msg("the circuit breaker opened: the CMS fails, so consumption pauses; nothing is dead-lettered meanwhile")
	case cmsclient.BreakerHalfOpen:
		change.Info().Str("event", "breaker_half_open").
			Msg("the circuit breaker is half-open: waiting requests probe the CMS")
	case cmsclient.BreakerClosed:
		change.Info().Str("event", "breaker_closed").Msg("the circuit breaker closed: consumption goes on")
	}
}

// Halted implements cmsclient.HaltObserver.
func (m *Metrics) Halted(err error) {
	m.log.Error().Str("event", "cms_halted").Err(err).Msg("halted: the CMS refuses this service, not its requests; " +
		"consumption pauses and goes on by itself when this is fixed")
}

// Resumed implements cmsclient.HaltObserver.
func (m *Metrics) Resumed() {
	m.log.Info().Str("event", "cms_resumed").Msg("the CMS answers again: no longer halted")
}

// QuotaSpent implements cmsclient.QuotaObserver.
func (m *Metrics) QuotaSpent(until time.Time) {
	m.log.Warn().Str("event", "quota_spent").Time("until", until).
		Msg("the day's quota of calls is used up: consumption pauses until the next UTC day")
}
