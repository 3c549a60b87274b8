package telemetry

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// StallTimeouts say from when on the watchdog takes a standstill for stuck.
type StallTimeouts struct {
	After time.Duration // without progress and without a reason for this long is stuck
	Retry time.Duration // most that may lie between two attempts at a request, however long After is
}

// Watchdog tells a pipeline that waits from one that is stuck. It says so as an error in the log, once, as the metric
// balanceq_stuck, and to a caller of State; balanceq_kafka_failing is what State says of Kafka.
type Watchdog struct {
	sources Sources
	metrics *Metrics
	log     zerolog.Logger
	after   time.Duration
	stuck   *prometheus.Desc
	failing *prometheus.Desc

	mu      sync.Mutex
	history history
	told    bool            // that it is stuck
	fetched map[int32]int64 // where partitions stood when Kafka was last asked
	there   map[int32]bool  // what it said
	kafka   error
}

// NewWatchdog registers the metric; Run makes it watch. metrics must be the observer of those that sources are of.
func NewWatchdog(timeouts StallTimeouts, reg prometheus.Registerer, metrics *Metrics, sources Sources,
	log zerolog.Logger) (*Watchdog, error) {
	w := &Watchdog{
		sources: sources, metrics: metrics, log: log, after: timeouts.After,
		stuck: desc("balanceq_stuck"), failing: desc("balanceq_kafka_failing"),
		history: history{timeouts: timeouts},
	}
	return w, reg.Register(w)
}

// looks is how many times within StallTimeouts.After the watchdog looks.
const looks = 8

// Run looks again and again until ctx ends.
func (w *Watchdog) Run(ctx context.Context) {
	tick := time.NewTicker(max(w.after/looks, time.Millisecond))
	defer tick.Stop()
	for {
		w.askKafka(ctx)
		w.State()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// State looks now. It hangs when a part's lock is never given back, and so does /livez then, which says as much.
func (w *Watchdog) State() State {
	w.mu.Lock()
	v := w.history.evaluate(w.look(time.Now()))
	changed := w.told != (v.Stuck != nil)
	w.told = v.Stuck != nil
	w.mu.Unlock()
	if changed {
		w.say(v)
	}
	return v
}

// look requires mu.
func (w *Watchdog) look(at time.Time) *moment {
	m := &moment{
		at: at, consumer: w.sources.Consumer(), producer: w.sources.Producer(), cms: w.sources.CMS(),
		budget: w.sources.Budget(),
		ended:  w.metrics.ended.Load(), handlers: w.sources.Handlers.snapshot(), kafka: w.kafka, there: w.there,
	}
	// Commits that failed and then do not come back at all are no excuse for ever.
	if r := w.metrics.refused.Load(); r != nil && at.Sub(r.at) < w.after {
		m.commits = r.err
	}
	return m
}

func (w *Watchdog) say(v State) {
	s := v.Stuck
	if s == nil {
		w.log.Info().Str("event", "pipeline_moves").Msg("not stuck any more: the pipeline moves, or has a reason to wait")
		return
	}
	event := w.log.Error().Str("event", "pipeline_stuck").Str("stage", string(s.Stage)).Str("reason", s.Reason).
		Time("since", s.Since)
	if s.Partition != nil {
		event = event.Int32("partition", *s.Partition).Int64("offset", *s.Offset)
	}
	event.Str("goroutines", goroutines).
		Msg("stuck: the pipeline stands still without a reason, so /livez answers 503; a dump of the goroutines shows where")
}

// askTimeout is how long Kafka may take to answer.
const askTimeout = 10 * time.Second

// askKafka asks for what the snapshots do not tell: whether a partition from which nothing comes has nothing to give,
// and whether an instance that is no member of the group could be one. While records flow it asks nothing.
func (w *Watchdog) askKafka(ctx context.Context) {
	c, waiting := w.sources.Consumer(), w.sources.CMS().Cause != ""
	fetched, from := map[int32]int64{}, map[int32]int64{}
	for _, p := range c.Partitions {
		if waiting || p.Draining || !p.Room {
			continue
		}
		fetched[p.Partition] = p.Fetched
		if before, known := w.fetched[p.Partition]; known && before == p.Fetched {
			from[p.Partition] = p.Fetched
		}
	}
	w.fetched = fetched // only we use it
	var there map[int32]bool
	var err error
	if !c.Joined || len(from) > 0 {
		limited, cancel := context.WithTimeout(ctx, askTimeout)
		there, err = w.sources.AskKafka(limited, !c.Joined, from)
		cancel()
		if errors.Is(err, context.Canceled) {
			return // we are told to stop
		}
	}
	w.mu.Lock()
	w.there, w.kafka = there, err
	w.mu.Unlock()
}

// Describe implements prometheus.Collector.
func (w *Watchdog) Describe(ch chan<- *prometheus.Desc) { ch <- w.stuck; ch <- w.failing }

// Collect implements prometheus.Collector.
func (w *Watchdog) Collect(ch chan<- prometheus.Metric) {
	v := w.State()
	for _, stage := range Stages {
		ch <- prometheus.MustNewConstMetric(w.stuck, prometheus.GaugeValue, number(v.Stuck != nil && v.Stuck.Stage == stage),
			string(stage))
	}
	ch <- prometheus.MustNewConstMetric(w.failing, prometheus.GaugeValue, number(v.Kafka != nil))
}
