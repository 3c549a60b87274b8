package telemetry

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry/otlp"
)

func TestMetrics(t *testing.T) {
	expires := time.Now().Add(36 * time.Hour)
	f := &fakes{
		consumer: consumer.Status{Joined: true, InFlight: 2, PartitionChanges: 21, Usage: consumer.Usage{Open: .75},
			LastCommit: time.Now(),
			Partitions: []consumer.PartitionStatus{
				{Partition: 4, Next: 10, End: 25, Open: 3, Moved: time.Now().Add(-time.Minute),
					OldestAt: time.Now().Add(-90 * time.Second)},
				{Partition: 5, Moved: time.Now().Add(-time.Minute)},
			}},
		producer: producer.Status{Buffered: 77, Limit: 154},
		cms: cmsclient.Status{
			Breaker: cmsclient.BreakerHalfOpen, Cause: cmsclient.CauseBreaker, Queued: 6, InFlight: 1, Limit: 200, Retries: 11,
			Hedges: 12,
		},
		saved: 13,
		login: Token{Expires: expires, Failing: errors.New("no token")},
		keys: []Key{{Name: "signing", Expires: expires},
			{Name: "decryption", Failing: errors.New("no key")}},
	}
	m, _, get := serve(t, f)
	m.Answered(&inflight.Request{}, schemas.OutcomeComplete, "")
	m.Answered(&inflight.Request{}, consumer.OutcomeDeadLetter, schemas.ReasonExpired)
	m.Rebalanced(consumer.RebalanceLost)
	m.Drained(time.Second)
	m.Wrote(12)
	m.ExportFailed(otlp.Traces)
	m.Committed(time.Millisecond, nil)
	m.Committed(time.Millisecond, errors.New("no"))
	m.WriteFailed("results", 1, errors.New("no"))
	m.OffsetJumped(1, 2, 3)
	m.ReplyRefused(processor.RefusedTopic)
	m.ReplyDropped()
	m.SchemaIDUnchecked()
	for _, class := range cmsclient.CallClasses {
		m.Called(class, 30*time.Millisecond)
	}
	_, text := get("/metrics")
	for _, line := range []string{
		`balanceq_records_total{outcome="complete",reason=""} 1`,
		`balanceq_records_total{outcome="dead-letter",reason="expired"} 1`,
		`balanceq_records_total{outcome="dead-letter",reason="invalid-request"} 0`,
		`balanceq_cms_calls_total{class="2xx"} 1`,
		`balanceq_cms_call_duration_seconds_count{class="timeout"} 1`,
		`balanceq_commits_total{result="ok"} 1`,
		`balanceq_commits_total{result="failed"} 1`,
		`balanceq_write_retries_total{topic="results"} 1`,
		`balanceq_offset_jumps_total 1`,
		`balanceq_replies_refused_total{cause="topic"} 1`,
		`balanceq_replies_refused_total{cause="size"} 1`,
		`balanceq_replies_refused_total{cause="header"} 0`,
		`balanceq_schema_ids_unchecked_total 1`,
		`balanceq_joined 1`,
		`balanceq_rebalances_total{reason="lost"} 1`,
		`balanceq_rebalances_total{reason="assigned"} 0`,
		`balanceq_drain_duration_seconds_sum 1`,
		`balanceq_producer_batch_records_sum 12`,
		`balanceq_otlp_export_failures_total{signal="traces"} 1`,
		`balanceq_build_info{goversion="` + runtime.Version() + `",version="v1"} 1`,
		`balanceq_partitions 2`,
		`balanceq_partitions_corrupt 0`,
		`balanceq_lag 15`,
		`balanceq_run_ahead_ratio{records="open"} 0.75`,
		`balanceq_waiting{cause="limit"} 0`,
		`balanceq_contract_partition_changes_total 21`,
		`balanceq_in_flight 2`,
		`balanceq_partition_lag{partition="4"} 15`,
		`balanceq_partition_open{partition="4"} 3`,
		`balanceq_partition_stalled_seconds{partition="5"} 0`,
		`balanceq_waiting{cause="breaker"} 6`,
		`balanceq_waiting{cause="retry-share"} 0`,
		`balanceq_cms_limit 200`,
		`balanceq_cms_retries_total 11`,
		`balanceq_cms_hedges_total 12`,
		`balanceq_cms_calls_saved_total 13`,
		`balanceq_key_failing{key="signing"} 0`,
		`balanceq_key_failing{key="decryption"} 1`,
		`balanceq_kafka_token_failing 1`,
		`balanceq_waiting{cause="halted"} 0`,
		`balanceq_breaker_state{state="half-open"} 1`,
		`balanceq_breaker_state{state="closed"} 0`,
		`balanceq_producer_buffered_bytes 77`,
		`balanceq_producer_buffer_ratio 0.5`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	for name, about := range map[string]float64{
		`balanceq_key_expiry_timestamp_seconds{key="signing"}`: float64(expires.Unix()),
		`balanceq_kafka_token_expiry_timestamp_seconds`:        float64(expires.Unix()),
		`balanceq_last_commit_timestamp_seconds`:               float64(time.Now().Unix()),
		`balanceq_partition_stalled_seconds{partition="4"}`:    60,
		`balanceq_stalled_seconds`:                             60,
		`balanceq_partition_oldest_seconds{partition="4"}`:     90,
		`balanceq_lag_seconds`:                                 90,
	} {
		if got := sample(t, text, name); math.Abs(got-about) > 30 {
			t.Errorf("%s %v, want about %v", name, got, about)
		}
	}
	if strings.Contains(text, `balanceq_key_expiry_timestamp_seconds{key="decryption"}`) {
		t.Error("a key without an end has one")
	}
}
