package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakes are snapshots that a test sets.
type fakes struct {
	consumer consumer.Status
	producer producer.Status
	cms      cmsclient.Status
	budget   processor.BudgetStatus
	keys     []Key
	saved    uint64
	handlers *Handlers
	there    map[int32]bool
	kafka    error
	watchdog *Watchdog
	address  string   // of the server
	resumers []string // who resumed
}

func (f *fakes) resume(who string) Resumption {
	f.resumers = append(f.resumers, who)
	return Resumption{Instance: "i", Resumed: f.budget.Spent(), Was: f.budget.Why}
}

func (f *fakes) sources() Sources {
	return Sources{
		Consumer: func() consumer.Status { return f.consumer },
		Producer: func() producer.Status { return f.producer },
		CMS:      func() cmsclient.Status { return f.cms },
		Budget:   func() processor.BudgetStatus { return f.budget },
		Keys:     func() []Key { return f.keys }, CallsSaved: func() uint64 { return f.saved },
		Handlers: f.handlers, AskKafka: func(context.Context, bool, map[int32]int64) (map[int32]bool, error) {
			return f.there, f.kafka
		},
	}
}

// serve runs a server over the snapshots; get fetches a path from it.
func serve(t *testing.T, f *fakes) (m *Metrics, log *bytes.Buffer, get func(path string) (int, string)) {
	t.Helper()
	log = &bytes.Buffer{}
	reg := prometheus.NewRegistry()
	m = NewMetrics(reg, zerolog.New(log))
	f.handlers = NewHandlers()
	if err := RegisterGauges(reg, f.sources()); err != nil {
		t.Fatal(err)
	}
	w, err := NewWatchdog(StallTimeouts{After: time.Minute}, reg, m, f.sources(), zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	f.watchdog = w
	s, err := Listen("127.0.0.1:0", []string{"balanceq-0.example"}, reg, f.sources(), w, f.resume)
	if err != nil {
		t.Fatal(err)
	}
	f.address = s.Addr()
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m, log, func(path string) (int, string) {
		t.Helper()
		resp, err := client.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

func TestReadyz(t *testing.T) {
	joined := consumer.Status{Joined: true, InFlight: 3,
		Partitions: []consumer.PartitionStatus{{Next: 5, End: 9}, {Next: 7, End: 7}}}
	tests := map[string]struct {
		fakes fakes
		code  int
		want  Health
	}{
		"joined": {fakes{consumer: joined, cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed}}, 200,
			Health{Ready: true, Breaker: cmsclient.BreakerClosed, Partitions: 2, InFlight: 3, Lag: 4}},
		"not joined": {fakes{cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed}}, 503,
			Health{Why: "not a member of the consumer group at the moment", Waiting: "rebalance",
				Breaker: cmsclient.BreakerClosed}},
		"partitions have not started": {fakes{consumer: consumer.Status{Joined: true, Starting: []consumer.StartStatus{
			{Partition: 0, Since: epoch, Reason: "no leader"}, {Partition: 3, Since: epoch},
			{Partition: 4, Since: epoch, Reason: "no leader"},
		}}, cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed}}, 200,
			Health{Ready: true, Breaker: cmsclient.BreakerClosed, Waiting: "start",
				NotStarted: "partition 0, 4 since 2026-01-02T03:04:05Z: no leader; " +
					"partition 3 since 2026-01-02T03:04:05Z: the brokers are being asked where to start"}},
		"nothing has started": {fakes{consumer: consumer.Status{Starting: []consumer.StartStatus{{Partition: 1,
			Since: epoch}}},
			cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed}}, 503,
			Health{Breaker: cmsclient.BreakerClosed, Waiting: "start", Why: "it is not known yet where the partitions start",
				NotStarted: "partition 1 since 2026-01-02T03:04:05Z: the brokers are being asked where to start"}},
		"waiting for the CMS is ready": {fakes{consumer: joined,
			cms: cmsclient.Status{Breaker: cmsclient.BreakerOpen, Cause: cmsclient.CauseBreaker}}, 200,
			Health{Ready: true, Waiting: "breaker", Breaker: cmsclient.BreakerOpen, Partitions: 2, InFlight: 3, Lag: 4}},
		"halted": {fakes{consumer: joined, cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed,
			Cause: cmsclient.CauseHalted, HaltedError: "check the keys"}}, 200,
			Health{Ready: true, Waiting: "halted", Halted: "check the keys", Breaker: cmsclient.BreakerClosed, Partitions: 2,
				InFlight: 3, Lag: 4}},
		"writes fail": {fakes{consumer: joined, producer: producer.Status{Failing: errors.New("no leader"),
			Since: 3 * time.Second}, cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed}}, 200,
			Health{Ready: true, Breaker: cmsclient.BreakerClosed, Waiting: "kafka", WritesFailing: "for 3s: no leader",
				KafkaFailing: "writing fails: no leader",
				Partitions:   2, InFlight: 3, Lag: 4}},
		"paused is ready": {fakes{consumer: joined, budget: paused(3),
			cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed}}, 200,
			Health{Ready: true, Waiting: "dead-letter-budget", Paused: "too many", Breaker: cmsclient.BreakerClosed,
				Partitions: 2, InFlight: 3, Lag: 4}},
		"a key fails": {fakes{consumer: joined, cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed},
			keys: []Key{{Failing: errors.New("no key")}}}, 200,
			Health{Ready: true, Breaker: cmsclient.BreakerClosed, KeysFailing: "no key", Partitions: 2, InFlight: 3, Lag: 4}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, get := serve(t, &test.fakes)
			code, body := get("/readyz")
			var got Health
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if code != test.code || got != test.want {
				t.Errorf("%d %+v, want %d %+v", code, got, test.code, test.want)
			}
			if code, _ := get("/livez"); code != 200 {
				t.Errorf("/livez %d", code)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	f := &fakes{
		consumer: consumer.Status{Joined: true, InFlight: 2, PartitionChanges: 21, LastCommit: time.Now(),
			Partitions: []consumer.PartitionStatus{
				{Partition: 4, Next: 10, End: 25, Open: 3, Moved: time.Now().Add(-time.Minute)},
				{Partition: 5, Moved: time.Now().Add(-time.Minute)},
			}},
		producer: producer.Status{Buffered: 77},
		cms: cmsclient.Status{
			Breaker: cmsclient.BreakerHalfOpen, Cause: cmsclient.CauseBreaker, Queued: 6, InFlight: 1, Limit: 200, Retries: 11,
			Hedges: 12,
		},
		saved: 13,
		keys: []Key{{Name: "signing", Expires: time.Now().Add(36*time.Hour + time.Minute)},
			{Name: "decryption", Failing: errors.New("no key")}},
	}
	m, _, get := serve(t, f)
	m.Answered(schemas.OutcomeComplete, "")
	m.Answered(consumer.OutcomeDeadLetter, schemas.ReasonExpired)
	m.Committed(time.Millisecond, nil)
	m.Committed(time.Millisecond, errors.New("no"))
	m.WriteFailed("results", 1, errors.New("no"))
	m.OffsetJumped(1, 2, 3)
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
		`balanceq_joined 1`,
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
		`balanceq_waiting{cause="halted"} 0`,
		`balanceq_breaker_state{state="half-open"} 1`,
		`balanceq_breaker_state{state="closed"} 0`,
		`balanceq_producer_buffered_bytes 77`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if !strings.Contains(text, `balanceq_key_expiry_days{key="signing"} 1.5`) ||
		strings.Contains(text, `balanceq_key_expiry_days{key="decryption"}`) {
		t.Error("the days to expiry are not those of the one key that has an end")
	}
	if !strings.Contains(text, `balanceq_partition_stalled_seconds{partition="4"} 6`) {
		t.Error("a partition with open requests that has not moved for a minute is not reported")
	}
}

// What an operator must not miss is in the log, once, with what it means.
func TestWarnings(t *testing.T) {
	m, log, _ := serve(t, &fakes{})
	m.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen, "status 503 (7), since 2026-01-02T03:04:05Z")
	m.Halted(errors.New("check the keys"))
	m.Resumed()
	m.QuotaSpent(time.Now())
	for _, want := range []string{`"level":"warn","from":"closed","to":"open","event":"breaker_opened","failing":"status 503 (7), since 2026-01-02T03:04:05Z"`, "nothing is dead-lettered", `"level":"error","event":"cms_halted","error":"check the keys"`, "no longer halted", `"level":"warn","event":"quota_spent"`} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("%q is not once in %s", want, log)
		}
	}
}

func TestListenTaken(t *testing.T) {
	first, err := Listen("127.0.0.1:0", nil, prometheus.NewRegistry(), (&fakes{}).sources(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.listener.Close() }()
	if _, err := Listen(first.Addr(), nil, prometheus.NewRegistry(), (&fakes{}).sources(), nil, nil); err == nil ||
		!strings.Contains(err.Error(), "serving metrics and probes") {
		t.Errorf("a taken address: %v", err)
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	for format, want := range map[string]string{"json": `"message":"hello"`, "auto": `"message":"hello"`,
		"text": "INF hello"} {
		out.Reset()
		log, err := NewLogger(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug().Msg("not shown")
		log.Info().Msg("hello")
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "not shown") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
	if _, err := NewLogger(&out, "noisy", "json"); err == nil || !strings.Contains(err.Error(), "the log's level") {
		t.Errorf("a wrong level: %v", err)
	}
}
