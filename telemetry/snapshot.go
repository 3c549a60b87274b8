package telemetry

import (
	"strconv"
	"time"

	"balanceq/cmsclient"
	"balanceq/consumer"
	"balanceq/producer"

	"github.com/prometheus/client_golang/prometheus"
)

// Sources give snapshots of the running parts.
type Sources struct {
	Consumer func() consumer.Status
	Producer func() producer.Status
	CMS      func() cmsclient.Status
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
	{"balanceq_in_flight", "Requests being handled.", nil},
	{"balanceq_cms_in_flight", "Calls to the CMS under way.", nil},
	{"balanceq_waiting", "Requests that wait for leave to call the CMS, by cause; an empty cause is the in-flight limit.", []string{"cause"}},
	{"balanceq_lanes_ready", "Contracts with waiting requests for which no worker is free.", nil},
	{"balanceq_partition_lag", "Offsets of a partition that are not finished.", []string{"partition"}},
	{"balanceq_partition_open", "Requests of a partition that were started and are not behind the commit offset.", []string{"partition"}},
	{"balanceq_partition_stalled_seconds", "Time since a partition with open requests last moved.", []string{"partition"}},
	{"balanceq_commit_age_seconds", "Time since the last offset commit that worked.", nil},
	{"balanceq_breaker_state", "1 for the state that the circuit breaker is in.", []string{"state"}},
	{"balanceq_halted", "1 while the CMS refuses this service.", nil},
	{"balanceq_producer_buffered_bytes", "Bytes of results and dead letters waiting to be acknowledged.", nil},
	{"balanceq_write_failing_seconds", "How long the oldest failing write has been failing.", nil},
	{"balanceq_joined", "1 while the instance holds its place in the consumer group.", nil},
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
		ch <- prometheus.MustNewConstMetric(g.descs[name], prometheus.GaugeValue, value, labels...)
	}
	now := time.Now()
	cms, c, p := g.sources.CMS(), g.sources.Consumer(), g.sources.Producer()
	set("balanceq_in_flight", float64(c.InFlight))
	set("balanceq_lanes_ready", float64(c.LanesReady))
	set("balanceq_joined", number(c.Joined))
	if !c.LastCommit.IsZero() {
		set("balanceq_commit_age_seconds", now.Sub(c.LastCommit).Seconds())
	}
	for _, part := range c.Partitions {
		id := strconv.Itoa(int(part.Partition))
		set("balanceq_partition_lag", float64(part.Lag()), id)
		set("balanceq_partition_open", float64(part.Open), id)
		stalled := 0.0
		if part.Open > 0 {
			stalled = now.Sub(part.Moved).Seconds()
		}
		set("balanceq_partition_stalled_seconds", stalled, id)
	}
	set("balanceq_cms_in_flight", float64(cms.InFlight))
	for _, cause := range []string{"", cmsclient.CauseBreaker, cmsclient.CauseThrottled, cmsclient.CauseHalted} {
		queued := 0
		if cms.Cause == cause {
			queued = cms.Queued
		}
		set("balanceq_waiting", float64(queued), cause)
	}
	for _, state := range []string{"closed", "half-open", "open"} {
		set("balanceq_breaker_state", number(cms.Breaker == state), state)
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
