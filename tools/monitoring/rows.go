package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// annotations mark when something happened, over all panels.
var annotations = []struct{ name, color, expr string }{
	{"The breaker opens", "red",
		`sum by (instance) (increase(balanceq_breaker_transitions_total{$it, from="closed"}[$__rate_interval])) > 0`},
	{"The breaker closes", "green",
		`sum by (instance) (increase(balanceq_breaker_transitions_total{$it, to="closed"}[$__rate_interval])) > 0`},
	{"Partitions move", "blue",
		`sum by (instance, reason) (increase(balanceq_rebalances_total{$it}[$__rate_interval])) > 0`},
}

var rows = []row{
	{"Is it answering?", []panel{
		{title: "Alerts",
			means: "Alerts of deploy/prometheus that fire. Each names its section of the runbook.",
			unit:  "short", stat: true, width: 4, colors: []dashboard.Threshold{green, redFrom(1)}, queries: []query{
				{"", `count(ALERTS{alertname=~"Balanceq.*", alertstate="firing", job=~"$job|"}) or vector(0)`}}},
		{title: "Instances", means: "Instances that are members of the consumer group.",
			unit: "short", stat: true, width: 4, queries: []query{{"", `sum(balanceq_joined{$it})`}}},
		{title: "Correct, 30 days",
			means: "Outcomes that are no dead letter balanceq or the CMS is to blame for. At least 99.9 %.",
			unit:  "percentunit", stat: true, width: 4, colors: []dashboard.Threshold{red, greenFrom(.999)}, queries: []query{
				{"{{job}}", `1 - job:balanceq_faulty:ratio_rate30d{job=~"$job"}`}}},
		{title: "Answered in 10 s, 30 days",
			means: "Requests for which the CMS was up that were answered within 10 s of their record's time. At least 99 %.",
			unit:  "percentunit", stat: true, width: 4, colors: []dashboard.Threshold{red, greenFrom(.99)}, queries: []query{
				{"{{job}}", `1 - job:balanceq_late:ratio_rate30d{job=~"$job"}`}}},
		{title: "CMS up, 30 days",
			means: "How much of the time the CMS could be called: breaker closed, not halted.",
			unit:  "percentunit", stat: true, width: 4, queries: []query{
				{"{{job}}", `job:balanceq_cms_up:avg30d{job=~"$job"}`}}},
		{title: "Oldest request",
			means: "Age of the oldest request that is not answered yet, by its record's time.",
			unit:  "s", stat: true, width: 4, queries: []query{{"", `max(balanceq_lag_seconds{$it})`}}},
		{title: "Answers",
			means: "Requests whose outcome is written, by outcome.", unit: "reqps", stacked: true,
			queries: []query{{"{{outcome}}", `sum by (outcome) (rate(balanceq_records_total{$it}[$__rate_interval]))`}}},
		{title: "Time to an answer",
			means: "From a request's record time until its outcome is written. Those that waited for a CMS " +
				"that was down are on their own: they are as old as the outage.", unit: "s", queries: []query{
				{"p50, CMS up", `histogram_quantile(0.5, sum by (le) (rate(balanceq_request_duration_seconds_bucket{$it, cms="up"}[$__rate_interval])))`},
				{"p99, CMS up", `histogram_quantile(0.99, sum by (le) (rate(balanceq_request_duration_seconds_bucket{$it, cms="up"}[$__rate_interval])))`},
				{"p99, CMS down", `histogram_quantile(0.99, sum by (le) (rate(balanceq_request_duration_seconds_bucket{$it, cms="down"}[$__rate_interval])))`}}},
		{title: "Lag",
			means: "Requests in the log that are not answered yet.", unit: "short", stacked: true, queries: []query{
				{"{{instance}}", `sum by (instance) (balanceq_lag{$it})`}}},
	}},
	{"Why is it waiting?", []panel{
		{title: "Waiting, by cause",
			means: "Requests that wait for leave to call the CMS; dead-letter-budget: dead letters that wait " +
				"for an operator. Each cause is a section of the runbook.", unit: "short", stacked: true, queries: []query{
				{"{{cause}}", `sum by (cause) (balanceq_waiting{$it})`}}},
		{title: "Where the time goes",
			means: "What the stages of a request take on average; they add up to the time to an answer.",
			unit:  "s", stacked: true, queries: []query{{"{{stage}}",
				`sum by (stage) (rate(balanceq_stage_duration_seconds_sum{$it}[$__rate_interval]))` +
					` / sum by (stage) (rate(balanceq_stage_duration_seconds_count{$it}[$__rate_interval]))`}}},
		{title: "Standing still",
			means: "How long the partition with open requests that stands still for longest does. In an " +
				"outage it grows, and that is right.", unit: "s", queries: []query{
				{"{{instance}}", `max by (instance) (balanceq_stalled_seconds{$it})`}}},
		{title: "Halted, paused, stuck",
			means: "Instances that the CMS refuses (halted); that have too many dead letters (paused: " +
				"needs `balanceq resume`); that stand still without a reason (stuck: to be restarted).", unit: "short", queries: []query{
				{"halted", `sum(balanceq_halted{$it})`},
				{"paused", `sum(balanceq_dead_letter_budget_paused{$it})`},
				{"stuck: {{stage}}", `sum by (stage) (balanceq_stuck{$it})`}}},
		{title: "Work",
			means: "Contracts that are being worked on, and those with waiting requests for which no worker is free.",
			unit:  "short", queries: []query{
				{"in flight", `sum(balanceq_in_flight{$it})`}, {"no worker", `sum(balanceq_lanes_ready{$it})`}}},
		{title: "Run ahead",
			means: "How much of what may be started beyond the commit offset is, in the instance where it is most: " +
				"open (no outcome yet), parked (behind others of their contract), ahead (answered, waiting for an earlier one).",
			unit: "percentunit", queries: []query{
				{"{{records}}", `max by (records) (balanceq_run_ahead_ratio{$it})`}}},
	}},
	{"CMS", []panel{
		{title: "Breaker",
			means: "Instances, by the state of their breaker.", unit: "short", stacked: true, queries: []query{
				{"{{state}}", `sum by (state) (balanceq_breaker_state{$it})`}}},
		{title: "Calls, by what came back",
			means: "Calls to the CMS. Other than 2xx, 4xx is an answer about a request; timeout, " +
				"network and 5xx open the breaker.", unit: "reqps", stacked: true, queries: []query{
				{"{{class}}", `sum by (class) (rate(balanceq_cms_calls_total{$it}[$__rate_interval]))`}}},
		{title: "Duration of a call that is answered",
			means: "Of one HTTP call with the answer 2xx.", unit: "s", queries: []query{
				{"p50", `histogram_quantile(0.5, sum by (le) (rate(balanceq_cms_call_duration_seconds_bucket{$it, class="2xx"}[$__rate_interval])))`},
				{"p99", `histogram_quantile(0.99, sum by (le) (rate(balanceq_cms_call_duration_seconds_bucket{$it, class="2xx"}[$__rate_interval])))`}}},
		{title: "Calls in flight",
			means: "Calls under way, and how many there may be at the moment: fewer after a 429 and in a slow " +
				"start.", unit: "short", queries: []query{
				{"in flight", `sum(balanceq_cms_in_flight{$it})`}, {"limit", `sum(balanceq_cms_limit{$it})`}}},
		{title: "Calls more and fewer",
			means: "Calls made again, second ones beside slow ones, and calls saved because requests for " +
				"one contract shared one.", unit: "reqps", queries: []query{
				{"retries", `sum(rate(balanceq_cms_retries_total{$it}[$__rate_interval]))`},
				{"hedges", `sum(rate(balanceq_cms_hedges_total{$it}[$__rate_interval]))`},
				{"saved", `sum(rate(balanceq_cms_calls_saved_total{$it}[$__rate_interval]))`}}},
		{title: "Keys expire in",
			means: "When the first copy of a key or certificate expires. A new file needs no restart.", unit: "s",
			queries: []query{{"{{key}}", `min by (key) (balanceq_key_expiry_timestamp_seconds{$it}) - time()`}}},
	}},
	{"Kafka", []panel{
		{title: "Lag of partitions",
			means: "The ten partitions with the most requests that are not answered. An instance with more " +
				"than 100 shows only those that stand still.", unit: "short", queries: []query{
				{"{{partition}}", `topk(10, max by (partition) (balanceq_partition_lag{$it}))`}}},
		{title: "Partitions that cannot be read",
			means: "Partitions whose start is not known, that a publisher's transaction hides, or that " +
				"hold a batch that cannot be read.", unit: "short", queries: []query{
				{"starting", `sum(balanceq_partitions_starting{$it})`},
				{"held up", `sum(balanceq_partitions_held_up{$it})`},
				{"corrupt", `sum(balanceq_partitions_corrupt{$it})`}}},
		{title: "Rebalances",
			means: "Times that partitions came, were asked back, or were lost to others.", unit: "short",
			queries: []query{
				{"{{reason}}", `sum by (reason) (increase(balanceq_rebalances_total{$it}[$__rate_interval]))`}}},
		{title: "Writes",
			means: "How long the oldest failing write has been failing, and how often writes are repeated.", unit: "short",
			queries: []query{
				{"failing, s", `max(balanceq_write_failing_seconds{$it})`},
				{"repeated a second: {{topic}}", `sum by (topic) (rate(balanceq_write_retries_total{$it}[$__rate_interval]))`}}},
		{title: "Not acknowledged yet",
			means: "Results and dead letters that Kafka has not acknowledged, of producer.buffer-bytes. " +
				"At 100 % nothing more is finished.", unit: "percentunit", queries: []query{
				{"{{instance}}", `max by (instance) (balanceq_producer_buffer_ratio{$it})`}}},
		{title: "Commits",
			means: "Offset commits; with exactly-once, transactions.", unit: "ops", queries: []query{
				{"{{result}}", `sum by (result) (rate(balanceq_commits_total{$it}[$__rate_interval]))`}}},
	}},
	{"Instances", []panel{
		{title: "Versions", means: "Instances, by version.", unit: "short", stacked: true, queries: []query{
			{"{{version}}", `count by (version) (balanceq_build_info{$it})`}}},
		{title: "Partitions",
			means: "Partitions that each instance works on.", unit: "short", stacked: true, queries: []query{
				{"{{instance}}", `sum by (instance) (balanceq_partitions{$it})`}}},
		{title: "Wanted",
			means: "Instances that there are, and how many their work is worth as they say: as many as there are while the " +
				"CMS is down or the limit, more behind a backlog. docs/scaling.md, Scaling by itself.", unit: "short", queries: []query{
				{"there are", `count(balanceq_build_info{$it})`}, {"wanted", `sum(balanceq_scale_demand{$it})`}}},
		{title: "Answers",
			means: "Requests answered, by instance.", unit: "reqps", stacked: true, queries: []query{
				{"{{instance}}", `sum by (instance) (rate(balanceq_records_total{$it}[$__rate_interval]))`}}},
		{title: "CPU", means: "Cores in use.", unit: "short", queries: []query{
			{"{{instance}}", `sum by (instance) (rate(process_cpu_seconds_total{$it}[$__rate_interval]))`}}},
		{title: "Memory",
			means: "Resident memory. It is bounded: docs/operating.md, Sizing.", unit: "bytes", queries: []query{
				{"{{instance}}", `sum by (instance) (process_resident_memory_bytes{$it})`}}},
		{title: "Goroutines",
			means: "They follow the calls in flight and the partitions.", unit: "short", queries: []query{
				{"{{instance}}", `sum by (instance) (go_goroutines{$it})`}}},
	}},
	{"Dead letters", []panel{
		{title: "Dead letters, by reason",
			means: "Each reason is a section of the runbook. `balanceq deadletters list` shows them, " +
				"`replay` puts them back.", unit: "short", stacked: true, width: 12, queries: []query{{"{{reason}}",
				`sum by (reason) (increase(balanceq_records_total{$it, outcome="dead-letter"}[$__rate_interval]))`}}},
		{title: "Share of the budget's window",
			means: "Dead letters, but for invalid and expired requests, among the outcomes of " +
				"deadletters.budget-window. Above deadletters.budget they are held.",
			unit: "percentunit", width: 12, queries: []query{
				{"{{instance}}", `max by (instance) (balanceq_dead_letter_ratio{$it})`}}},
	}},
}
