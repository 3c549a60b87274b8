package telemetry

import (
	"context"
	"strconv"
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
	// Keys are the keys and certificates for the CMS; CallsSaved counts the calls that were shared.
	Keys       func() []Key
	CallsSaved func() uint64
	// Handlers has what the handlers at work report.
	Handlers *Handlers
	// AskKafka finds out what only Kafka knows, if it can be asked at all: whether it has something at these offsets of
	// the request topic, by partition; and, with group, whether the group's coordinator answers.
	AskKafka func(ctx context.Context, group bool, from map[int32]int64) (there map[int32]bool, err error)
}

// Key is a key or certificate for the CMS.
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

var gaugeTexts = []struct {
	name, help string
	labels     []string
}{
	{"balanceq_cms_limit", "Calls to the CMS that may be under way at the moment.", nil},
	{"balanceq_cms_retries_total", "Calls that were made again because the one before had failed, breaker closed.", nil},
	{"balanceq_cms_hedges_total", "Second calls beside slow ones.", nil},
	{"balanceq_cms_calls_saved_total", "Calls that were not made because requests for one contract shared one.", nil},
	{"balanceq_key_expiry_days", "Days until a key or certificate expires, where that is known.", []string{"key"}},
	{"balanceq_key_failing", "1 while a key's file cannot be used and the key before it is in force.", []string{"key"}},
	{"balanceq_in_flight", "Requests being handled.", nil},
	{"balanceq_cms_in_flight", "Calls to the CMS under way.", nil},
	{"balanceq_waiting",
		"Requests that wait for leave to call the CMS, by cause, an empty cause being a limit (in flight, rate); " +
			"with dead-letter-budget, dead letters that wait to be written.", []string{"cause"}},
	{"balanceq_dead_letter_budget_spent",
		"1 while consumption pauses because of too many dead letters, until an operator resumes.", nil},
	{"balanceq_dead_letter_budget_spent_total", "Times that the dead-letter budget was spent.", nil},
	{"balanceq_dead_letter_share",
		"Share of dead letters, but for invalid and expired requests, among the outcomes of the budget's window.", nil},
	{"balanceq_lanes_ready", "Contracts with waiting requests for which no worker is free.", nil},
	{"balanceq_contract_partition_changes_total",
		"Requests whose contract's request before them came from another partition, at least: " +
			"their order is not kept.", nil},
	{"balanceq_partition_lag", "Offsets of a partition that are not finished, up to the high watermark.",
		[]string{"partition"}},
	{"balanceq_partition_held_up",
		"1 while a publisher's transaction, open for 10 s or more, hides records of a partition.", []string{"partition"}},
	{"balanceq_partition_open", "Requests of a partition that were started and are not behind the commit offset.",
		[]string{"partition"}},
	{"balanceq_partition_stalled_seconds", "Time since a partition with open requests last moved.", []string{"partition"}},
	{"balanceq_partition_corrupt", "1 while a partition stands still because a batch of it cannot be read.",
		[]string{"partition"}},
	{"balanceq_commit_age_seconds", "Time since the last offset commit that worked.", nil},
	{"balanceq_breaker_state", "1 for the state that the circuit breaker is in.", []string{"state"}},
	{"balanceq_halted", "1 while the CMS refuses this service.", nil},
	{"balanceq_producer_buffered_bytes",
		"Bytes of results and dead letters waiting to be acknowledged (with exactly-once: committed).", nil},
	{"balanceq_write_failing_seconds",
		"How long the oldest failing write (with exactly-once: transaction) has been failing.", nil},
	{"balanceq_joined", "1 while the instance is a member of the consumer group.", nil},
}

// RegisterGauges registers what is read from snapshots.
func RegisterGauges(reg prometheus.Registerer, s Sources) error {
	g := &gauges{sources: s, descs: map[string]*prometheus.Desc{}}
	for _, t := range gaugeTexts {
		g.descs[t.name] = prometheus.NewDesc(t.name, t.help, t.labels, nil)
	}
	return reg.Register(g)
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	set := func(name string, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if strings.HasSuffix(name, "_total") {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(g.descs[name], kind, value, labels...)
	}
	now := time.Now()
	cms, c, p, budget := g.sources.CMS(), g.sources.Consumer(), g.sources.Producer(), g.sources.Budget()
	set("balanceq_in_flight", float64(c.InFlight))
	set("balanceq_lanes_ready", float64(c.LanesReady))
	set("balanceq_joined", number(c.Joined))
	set("balanceq_contract_partition_changes_total", float64(c.PartitionChanges))
	if !c.LastCommit.IsZero() {
		set("balanceq_commit_age_seconds", now.Sub(c.LastCommit).Seconds())
	}
	for _, part := range c.Partitions {
		id := strconv.Itoa(int(part.Partition))
		set("balanceq_partition_lag", float64(part.Lag()), id)
		set("balanceq_partition_held_up", number(part.HeldUp.Long(now)), id)
		set("balanceq_partition_open", float64(part.Open), id)
		set("balanceq_partition_corrupt", number(part.Corrupt != nil), id)
		stalled := 0.0
		if part.Open > 0 {
			stalled = now.Sub(part.Moved).Seconds()
		}
		set("balanceq_partition_stalled_seconds", stalled, id)
	}
	set("balanceq_cms_in_flight", float64(cms.InFlight))
	set("balanceq_cms_limit", float64(cms.Limit))
	set("balanceq_cms_retries_total", float64(cms.Retries))
	set("balanceq_cms_hedges_total", float64(cms.Hedges))
	set("balanceq_cms_calls_saved_total", float64(g.sources.CallsSaved()))
	waiting := map[string]int{
		"": 0, cmsclient.CauseBreaker: 0, cmsclient.CauseThrottled: 0, cmsclient.CauseHalted: 0, cmsclient.CauseQuota: 0,
		CauseRetries:          0,
		processor.CauseBudget: budget.Held,
	}
	if waiting[cms.Cause] = cms.Queued; cms.Cause == "" {
		waiting[""], waiting[CauseRetries] = cms.Queued-cms.QueuedRetries, cms.QueuedRetries
	}
	for cause, n := range waiting {
		set("balanceq_waiting", float64(n), cause)
	}
	set("balanceq_dead_letter_budget_spent", number(budget.Spent()))
	set("balanceq_dead_letter_budget_spent_total", float64(budget.Trips))
	set("balanceq_dead_letter_share", budget.Share)
	for _, k := range g.sources.Keys() {
		if !k.Expires.IsZero() {
			set("balanceq_key_expiry_days", k.Expires.Sub(now).Hours()/24, k.Name)
		}
		set("balanceq_key_failing", number(k.Failing != nil), k.Name)
	}
	for _, state := range cmsclient.BreakerStates {
		set("balanceq_breaker_state", number(cms.Breaker == state), state.String())
	}
	set("balanceq_halted", number(cms.HaltedError != ""))
	set("balanceq_producer_buffered_bytes", float64(p.Buffered))
	set("balanceq_write_failing_seconds", p.Since.Seconds())
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
