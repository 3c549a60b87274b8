package telemetry

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Type is what kind of metric one is.
type Type string

// The types.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Metric is a metric of this program's own. Its name follows https://prometheus.io/docs/practices/naming/.
type Metric struct {
	Name   string
	Type   Type
	Labels []string
	Help   string // in one sentence, without marks
}

// Catalogue are all metrics, but for those of the Go runtime and the process. What is registered is made from it, and
// so is the table in the documents; a test holds what is served against it.
var Catalogue = slices.Concat(requestMetrics, partitionMetrics, cmsMetrics, deadLetterMetrics, kafkaMetrics,
	programMetrics)

var requestMetrics = []Metric{
	{"balanceq_records_total", Counter, []string{"outcome", "reason"},
		"Requests whose outcome is written (with exactly-once: committed), by outcome (complete, partial, dead-letter) " +
			"and the dead letter's reason."},
	{"balanceq_request_duration_seconds", Histogram, []string{"outcome", "cms"},
		"Time from a request's record timestamp until its outcome is written (with exactly-once: committed); cms is down " +
			"where the breaker was not closed, or the service halted, at any time meanwhile, else up."},
	{"balanceq_stage_duration_seconds", Histogram, []string{"stage"},
		"What the stages of a request took; they add up to its duration: fetch_wait (in Kafka, and until there was room), " +
			"queue (behind others of its contract, and for a worker), admit (for leave to call the CMS), call (attempts and " +
			"the pauses between them), publish (until written)."},
	{"balanceq_in_flight", Gauge, nil, "Contracts that are being worked on, waits between attempts included."},
	{"balanceq_lanes_ready", Gauge, nil, "Contracts with waiting requests for which no worker is free."},
	{"balanceq_waiting", Gauge, []string{"cause"},
		"Requests that wait for leave to call the CMS, by cause: breaker, throttled, halted, quota, retry-share, or limit " +
			"(calls in flight, rate); with dead-letter-budget, dead letters that wait for an operator."},
	{"balanceq_contract_partition_changes_total", Counter, nil,
		"Requests whose contract's request before them came from another partition, at least: their order is not kept."},
	{"balanceq_replies_refused_total", Counter, []string{"cause"},
		"Wishes of requests for their results that were not granted, by cause: topic (the reply topic is not on the list), " +
			"partition (its number is not 4 bytes), header (one to echo is longer than 1 KiB), size (a copy does not fit the " +
			"reply topic). The results topic has all of these results."},
	{"balanceq_schema_ids_unchecked_total", Counter, nil,
		"Framed requests that were accepted without a look at their schema id, as the schema registry did not tell."},
}

var partitionMetrics = []Metric{
	{"balanceq_partitions", Gauge, nil, "Partitions that the instance works on."},
	{"balanceq_partitions_starting", Gauge, nil, "Partitions of which it is not known yet where they start."},
	{"balanceq_partitions_held_up", Gauge, nil,
		"Partitions of which a publisher's transaction, open for 10 s or more, hides records."},
	{"balanceq_partitions_corrupt", Gauge, nil, "Partitions that stand still because a batch cannot be read."},
	{"balanceq_lag", Gauge, nil, "Offsets of the instance's partitions that are not finished."},
	{"balanceq_lag_seconds", Gauge, nil,
		"Age by its record timestamp of the oldest request of the instance's partitions that is not finished; 0: none."},
	{"balanceq_stalled_seconds", Gauge, nil,
		"How long the partition with open requests that stands still for longest does."},
	{"balanceq_run_ahead_ratio", Gauge, []string{"records"},
		"Records that are started and not behind the commit offset, as a ratio of how many there may be: open (without an " +
			"outcome), parked (behind others of their contract, or held), ahead (with an outcome, waiting for the commit)."},
	{"balanceq_partition_lag", Gauge, []string{"partition"}, "Offsets of a partition that are not finished."},
	{"balanceq_partition_oldest_seconds", Gauge, []string{"partition"},
		"Age by its record timestamp of the oldest request of a partition that is not finished; 0: none."},
	{"balanceq_partition_stalled_seconds", Gauge, []string{"partition"},
		"Time since a partition with open requests last moved."},
	{"balanceq_partition_open", Gauge, []string{"partition"},
		"Requests of a partition that were started and are not behind the commit offset."},
	{"balanceq_partition_held_up", Gauge, []string{"partition"},
		"1 while a publisher's transaction, open for 10 s or more, hides records of a partition."},
	{"balanceq_partition_corrupt", Gauge, []string{"partition"},
		"1 while a partition stands still because a batch of it cannot be read."},
}

var cmsMetrics = []Metric{
	{"balanceq_breaker_state", Gauge, []string{"state"}, "1 for the state that the circuit breaker is in."},
	{"balanceq_breaker_transitions_total", Counter, []string{"from", "to"}, "Changes of the circuit breaker's state."},
	{"balanceq_halted", Gauge, nil, "1 while the CMS refuses this service."},
	{"balanceq_cms_calls_total", Counter, []string{"class"},
		"Calls to the CMS by what came back: 2xx, 4xx, 429, 5xx, timeout, network and so on."},
	{"balanceq_cms_call_duration_seconds", Histogram, []string{"class"}, "Duration of one call to the CMS."},
	{"balanceq_cms_in_flight", Gauge, nil, "Calls to the CMS under way."},
	{"balanceq_cms_limit", Gauge, nil,
		"Calls to the CMS that may be under way at the moment: adapted, after a 429, in a slow start."},
	{"balanceq_cms_retries_total", Counter, nil,
		"Calls that were made again because the one before had failed, breaker closed."},
	{"balanceq_cms_hedges_total", Counter, nil, "Second calls beside slow ones."},
	{"balanceq_cms_calls_saved_total", Counter, nil,
		"Calls that were not made because requests for one contract shared one."},
	{"balanceq_key_expiry_timestamp_seconds", Gauge, []string{"key"},
		"When a key (signing, decryption, client-certificate, kafka-certificate, …) expires, where that is known, in " +
			"seconds since 1970."},
	{"balanceq_key_failing", Gauge, []string{"key"},
		"1 while a key's file cannot be used and the key before it is in force."},
	{"balanceq_kafka_token_expiry_timestamp_seconds", Gauge, nil,
		"When the token for Kafka expires, where that is known, in seconds since 1970."},
	{"balanceq_kafka_token_failing", Gauge, nil,
		"1 while no new token for Kafka can be had and the one before it is in force, as long as it lasts."},
}

var deadLetterMetrics = []Metric{
	{"balanceq_dead_letter_budget_paused", Gauge, nil,
		"1 while dead letters are held because there are too many, until an operator resumes."},
	{"balanceq_dead_letter_budget_spent_total", Counter, nil, "Times that the dead-letter budget was spent."},
	{"balanceq_dead_letter_ratio", Gauge, nil,
		"Dead letters, but for invalid and expired requests, as a ratio of the outcomes of the budget's window, " +
			"which begins again when an operator resumes."},
}

var kafkaMetrics = []Metric{
	{"balanceq_joined", Gauge, nil, "1 while the instance is a member of the consumer group."},
	{"balanceq_rebalances_total", Counter, []string{"reason"},
		"Times that partitions were assigned to the instance, revoked (asked back, also when it stops), or lost to others."},
	{"balanceq_drain_duration_seconds", Histogram, nil,
		"Time from when partitions are asked back until what was started is finished and committed, or given up."},
	{"balanceq_offset_jumps_total", Counter, nil,
		"Times that the request log did not hold the next offset, or was not the one that was read."},
	{"balanceq_producer_buffered_bytes", Gauge, nil,
		"Bytes of results and dead letters waiting to be acknowledged (with exactly-once: committed)."},
	{"balanceq_producer_buffer_ratio", Gauge, nil, "Those bytes as a ratio of the buffer's size."},
	{"balanceq_producer_batch_records", Histogram, nil, "Results and dead letters in one batch that was written."},
	{"balanceq_write_failing_seconds", Gauge, nil,
		"How long the oldest failing write (with exactly-once: transaction) has been failing."},
	{"balanceq_write_retries_total", Counter, []string{"topic"},
		"Writes of results and dead letters that had to be repeated."},
	{"balanceq_commits_total", Counter, []string{"result"},
		"Offset commits (with exactly-once: transactions) by result (ok, failed)."},
	{"balanceq_commit_duration_seconds", Histogram, nil,
		"Duration of an offset commit (with exactly-once: a transaction)."},
	{"balanceq_last_commit_timestamp_seconds", Gauge, nil,
		"When the last offset commit that worked was sent, in seconds since 1970; none is due while nothing comes in."},
}

var programMetrics = []Metric{
	{"balanceq_stuck", Gauge, []string{"stage"},
		"1 for the stage at which the pipeline stands still without a reason."},
	{"balanceq_kafka_failing", Gauge, nil,
		"1 while Kafka refuses to take or to hand out what this instance writes, commits or reads, or does not answer."},
	{"balanceq_scale_demand", Gauge, nil,
		"How many instances like this one its work is worth; the sum is how many there should be. 1 while more could not " +
			"help (the CMS is down or the limit, reading pauses), 0 without a partition, above 1 while it is behind, below 1 " +
			"while it has little to do."},
	{"balanceq_build_info", Gauge, []string{"version", "goversion"},
		"1, with the version and that of Go it was built with."},
	{"balanceq_otlp_export_failures_total", Counter, []string{"signal"},
		"Exports of telemetry by OTLP that failed, by signal (metrics, traces)."},
}

// text returns what the catalogue says of a metric. One that it does not have has no help, which the test of the
// catalogue finds.
func text(name string) Metric {
	for _, m := range Catalogue {
		if m.Name == name {
			return m
		}
	}
	return Metric{Name: name}
}

// registered registers what has a name of its own in the catalogue, so it cannot fail.
func registered[T prometheus.Collector](reg prometheus.Registerer, metric T) T {
	reg.MustRegister(metric)
	return metric
}

func gaugeVec(name string) *prometheus.GaugeVec {
	m := text(name)
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func counterVec(name string) *prometheus.CounterVec {
	m := text(name)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

// histogramVec has classic buckets and native ones of at most a tenth's width (a scraper that knows native histograms
// takes those).
func histogramVec(name string, buckets []float64) *prometheus.HistogramVec {
	m := text(name)
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, m.Labels)
}

func desc(name string) *prometheus.Desc {
	m := text(name)
	return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
}
