package telemetry

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
)

// Sources give snapshots of the running parts.
type Sources struct {
	Consumer func() consumer.Status
	Producer func() producer.Status
	CMS      func() cmsclient.Status
	Budget   func() processor.BudgetStatus
	// Keys are the keys, certificates and passwords; KafkaToken is what Kafka is shown instead of a password, if it is.
	Keys       func() []Key
	KafkaToken func() (Token, bool)
	// CallsSaved counts the calls that were shared.
	CallsSaved func() uint64
	// Handlers has what the handlers at work report.
	Handlers *Handlers
	// AskKafka finds out what only Kafka knows, if it can be asked at all: whether it has something at these offsets of
	// the request topic, by partition; and, with group, whether the group's coordinator answers.
	AskKafka func(ctx context.Context, group bool, from map[int32]int64) (there map[int32]bool, err error)
}

// Token is what logs in to Kafka by OAUTHBEARER.
type Token struct {
	Expires time.Time // zero: not known
	Failing error     // why the next one cannot be had; nil: it can
}

// Key is a key, certificate or password.
type Key struct {
	Name    string
	Expires time.Time // zero: not known
	Failing error     // why the files as they are now cannot be used; nil: they are in force
}

// gauges reads the snapshots when it is scraped, so that the hot path pays nothing for them.
type gauges struct {
	sources Sources
	descs   map[string]*prometheus.Desc
}

// gaugeNames are the metrics that are read from snapshots.
var gaugeNames = []string{
	"balanceq_in_flight", "balanceq_lanes_ready", "balanceq_waiting", "balanceq_contract_partition_changes_total",
	"balanceq_partitions", "balanceq_partitions_starting", "balanceq_partitions_held_up", "balanceq_partitions_corrupt",
	"balanceq_lag", "balanceq_lag_seconds", "balanceq_stalled_seconds", "balanceq_run_ahead_ratio",
	"balanceq_partition_lag", "balanceq_partition_oldest_seconds", "balanceq_partition_stalled_seconds",
	"balanceq_partition_open", "balanceq_partition_held_up", "balanceq_partition_corrupt",
	"balanceq_breaker_state", "balanceq_halted", "balanceq_cms_in_flight", "balanceq_cms_limit",
	"balanceq_cms_retries_total", "balanceq_cms_hedges_total", "balanceq_cms_calls_saved_total",
	"balanceq_key_expiry_timestamp_seconds", "balanceq_key_failing",
	"balanceq_kafka_token_expiry_timestamp_seconds", "balanceq_kafka_token_failing",
	"balanceq_dead_letter_budget_paused", "balanceq_dead_letter_budget_spent_total", "balanceq_dead_letter_ratio",
	"balanceq_joined", "balanceq_producer_buffered_bytes", "balanceq_producer_buffer_ratio",
	"balanceq_write_failing_seconds",
	"balanceq_last_commit_timestamp_seconds",
}

// RegisterGauges registers what is read from snapshots.
func RegisterGauges(reg prometheus.Registerer, s Sources) error {
	g := &gauges{sources: s, descs: map[string]*prometheus.Desc{}}
	for _, name := range gaugeNames {
		g.descs[name] = desc(name)
	}
	return reg.Register(g)
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		ch <- d
	}
}

// set adds a sample of a metric.
type set func(name string, value float64, labels ...string)

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	add := func(name string, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if strings.HasSuffix(name, "_total") {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(g.descs[name], kind, value, labels...)
	}
	now := time.Now()
	c, budget := g.sources.Consumer(), g.sources.Budget()
	g.collectConsumer(add, &c, now)
	collectPartitions(add, &c, now)
	g.collectCMS(add, budget.Held)
	add("balanceq_dead_letter_budget_paused", number(budget.Spent()))
	add("balanceq_dead_letter_budget_spent_total", float64(budget.Trips))
	add("balanceq_dead_letter_ratio", budget.Share)
	for _, k := range g.sources.Keys() {
		if !k.Expires.IsZero() {
			add("balanceq_key_expiry_timestamp_seconds", seconds(k.Expires), k.Name)
		}
		add("balanceq_key_failing", number(k.Failing != nil), k.Name)
	}
	if token, used := g.sources.KafkaToken(); used {
		if !token.Expires.IsZero() {
			add("balanceq_kafka_token_expiry_timestamp_seconds", seconds(token.Expires))
		}
		add("balanceq_kafka_token_failing", number(token.Failing != nil))
	}
	p := g.sources.Producer()
	add("balanceq_producer_buffered_bytes", float64(p.Buffered))
	add("balanceq_producer_buffer_ratio", float64(p.Buffered)/float64(max(1, p.Limit)))
	add("balanceq_write_failing_seconds", p.Since.Seconds())
}

func (g *gauges) collectConsumer(add set, c *consumer.Status, now time.Time) {
	add("balanceq_in_flight", float64(c.InFlight))
	add("balanceq_lanes_ready", float64(c.LanesReady))
	add("balanceq_joined", number(c.Joined))
	add("balanceq_contract_partition_changes_total", float64(c.PartitionChanges))
	if !c.LastCommit.IsZero() {
		// Its monotonic reading and not its wall clock, which may have been stepped since.
		add("balanceq_last_commit_timestamp_seconds", seconds(now.Add(-now.Sub(c.LastCommit))))
	}
}

func (g *gauges) collectCMS(add set, held int) {
	cms := g.sources.CMS()
	add("balanceq_cms_in_flight", float64(cms.InFlight))
	add("balanceq_cms_limit", float64(cms.Limit))
	add("balanceq_cms_retries_total", float64(cms.Retries))
	add("balanceq_cms_hedges_total", float64(cms.Hedges))
	add("balanceq_cms_calls_saved_total", float64(g.sources.CallsSaved()))
	waiting := map[string]int{
		CauseLimit: 0, CauseRetries: 0, cmsclient.CauseBreaker: 0, cmsclient.CauseThrottled: 0, cmsclient.CauseHalted: 0,
		cmsclient.CauseQuota: 0, processor.CauseBudget: held,
	}
	if cms.Cause != "" {
		waiting[cms.Cause] = cms.Queued
	} else {
		waiting[CauseLimit], waiting[CauseRetries] = cms.Queued-cms.QueuedRetries, cms.QueuedRetries
	}
	for cause, n := range waiting {
		add("balanceq_waiting", float64(n), cause)
	}
	for _, state := range cmsclient.BreakerStates {
		add("balanceq_breaker_state", number(cms.Breaker == state), state.String())
	}
	add("balanceq_halted", number(cms.HaltedError != ""))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds is a time in Unix seconds, to the millisecond.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
