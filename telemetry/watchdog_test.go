package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/kafkawire"
)

// watch makes a watchdog over the snapshots.
func watch(t *testing.T, f *fakes, timeouts StallTimeouts) (w *Watchdog, m *Metrics, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	f.handlers = NewHandlers()
	reg := prometheus.NewRegistry()
	m = NewMetrics(reg, "v1", zerolog.Nop())
	w, err := NewWatchdog(timeouts, reg, m, f.sources(), zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	return w, m, log
}

// It barks once, says where to look, and says when it is over.
func TestWatchdogTellsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{consumer: consumer.Status{Joined: true, Partitions: []consumer.PartitionStatus{
			{Partition: 2, Next: 5, Committed: 5, Open: 1, Oldest: 5, Room: true, Moved: time.Now()},
		}}}
		w, _, log := watch(t, f, StallTimeouts{After: time.Minute})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		<-time.After(50 * time.Second)
		if v := w.State(); v.Stuck != nil {
			t.Errorf("too early: %+v", v)
		}
		<-time.After(5 * time.Minute)
		stop()
		<-done
		for _, want := range []string{`"level":"error","event":"pipeline_stuck","stage":"write","reason":"the oldest request`,
			`"partition":2,"offset":5`, goroutines} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("%q is not once in %s", want, log)
			}
		}
		f.consumer.Partitions[0].Open = 0
		if v := w.State(); v.Stuck != nil || strings.Count(log.String(), "not stuck any more") != 1 {
			t.Errorf("afterwards: %+v, %s", v, log)
		}
	})
}

// Refused commits excuse what is not committed as long as they come back.
func TestRefusedCommitsExcuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{consumer: consumer.Status{Joined: true,
			Partitions: []consumer.PartitionStatus{{Next: 5, Committed: 4, Room: true}}}}
		w, m, _ := watch(t, f, StallTimeouts{After: time.Minute})
		for range 100 {
			m.Committed(time.Millisecond, errors.New("not now"))
			<-time.After(10 * time.Second)
			if v := w.State(); v.Stuck != nil || v.Waiting != CauseKafka || v.Kafka.Error() != "committing fails: not now" {
				t.Fatalf("%+v", v)
			}
		}
		for n := range 13 {
			<-time.After(10 * time.Second)
			v := w.State()
			if n < 10 && v.Stuck != nil || n == 12 && (v.Stuck == nil || v.Stuck.Stage != StageCommit) {
				t.Fatalf("%d: %+v", n, v)
			}
		}
	})
}

// What people can do is named, for a right that is gone what gives it back, however it shows, and the metric for the
// alert is 1: of what may not be read, nothing else is known.
func TestKafkaFailingNamesTheFix(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		refuse func(*fakes, *Watchdog, *Metrics)
		want   string
	}{
		"committing": {func(_ *fakes, _ *Watchdog, m *Metrics) { m.Committed(0, kafka.GroupAuthorizationFailed) },
			"committing fails: " + kafka.GroupAuthorizationFailed.Error() + "; allow Read on the group"},
		"writing": {func(f *fakes, _ *Watchdog, _ *Metrics) { f.producer.Failing = kafka.TransactionalIDAuthorizationFailed },
			"; " + kafkawire.Fix(kafka.TransactionalIDAuthorizationFailed)},
		"reading": {func(_ *fakes, w *Watchdog, _ *Metrics) { w.kafka = kafka.TopicAuthorizationFailed },
			"; " + kafkawire.Fix(kafka.TopicAuthorizationFailed)},
		"brokers that are down": {func(f *fakes, _ *Watchdog, _ *Metrics) { f.producer.Failing = kafka.NotEnoughReplicas },
			"; " + kafkawire.Fix(kafka.NotEnoughReplicas)},
		"what passes by itself": {func(_ *fakes, w *Watchdog, _ *Metrics) { w.kafka = kafka.NotLeaderForPartition },
			kafka.NotLeaderForPartition.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakes{consumer: consumer.Status{Joined: true}}
			w, m, _ := watch(t, f, StallTimeouts{After: time.Minute})
			if got := failingMetric(w); w.State().Kafka != nil || got != 0 {
				t.Errorf("before: %v, %v", w.State().Kafka, got)
			}
			test.refuse(f, w, m)
			if v := w.State(); v.Kafka == nil || !strings.HasSuffix(v.Kafka.Error(), test.want) {
				t.Errorf("%v, want it to end with %q", v.Kafka, test.want)
			}
			if got := failingMetric(w); got != 1 {
				t.Errorf("balanceq_kafka_failing is %v", got)
			}
		})
	}
}

func failingMetric(w *Watchdog) float64 {
	reg := prometheus.NewRegistry()
	reg.MustRegister(w)
	families, _ := reg.Gather()
	for _, f := range families {
		if f.GetName() == "balanceq_kafka_failing" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// Kafka is asked about what does not move, and about nothing else.
func TestAsksKafkaOnlyWhenIdle(t *testing.T) {
	type question struct {
		group bool
		from  map[int32]int64
	}
	var asked []question
	f := &fakes{consumer: consumer.Status{Joined: true, Partitions: []consumer.PartitionStatus{
		{Partition: 0, Fetched: 1, Room: true}, {Partition: 1, Fetched: 1},
		{Partition: 2, Fetched: 1, Room: true, Draining: true}, {Partition: 3, Room: true},
	}}}
	w, _, _ := watch(t, f, StallTimeouts{After: time.Minute})
	w.sources.AskKafka = func(_ context.Context, group bool, from map[int32]int64) (map[int32]bool, error) {
		asked = append(asked, question{group, maps.Clone(from)})
		return map[int32]bool{0: true}, nil
	}
	look := func(want ...question) {
		t.Helper()
		asked = nil
		f.consumer.Partitions[3].Fetched++ // it moves all the time
		w.askKafka(t.Context())
		if len(asked) != len(want) || len(want) > 0 &&
			(asked[0].group != want[0].group || !maps.Equal(asked[0].from, want[0].from)) {
			t.Errorf("asked %v, want %v", asked, want)
		}
	}
	look() // nothing is known to stand yet
	look(question{false, map[int32]int64{0: 1}})
	f.consumer.Joined = false
	look(question{true, map[int32]int64{0: 1}})
	f.consumer.Joined, f.cms.Cause = true, cmsclient.CauseBreaker
	look()
	f.cms.Cause = ""
	look()
	look(question{false, map[int32]int64{0: 1}})
	if !w.there[0] {
		t.Error("the answer is not kept")
	}
}

func TestLivez(t *testing.T) {
	f := &fakes{consumer: consumer.Status{Joined: true, Partitions: []consumer.PartitionStatus{
		{Partition: 0, Next: 0, Committed: kafkawire.NoOffset, Room: true},
	}}}
	_, _, get := serve(t, f)
	if code, body := get("/livez"); code != 200 || body != "ok\n" {
		t.Errorf("%d %q", code, body)
	}
	f.watchdog.mu.Lock()
	f.watchdog.history.timeouts.After = 0 // whatever stands is stuck
	f.watchdog.mu.Unlock()
	code, body := get("/livez")
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if code != 503 || got["stage"] != "commit" || !strings.Contains(got["reason"].(string), "not committed") ||
		got["partition"] != 0.0 ||
		got["offset"] != 0.0 || got["goroutines"] != "http://"+f.admin+goroutines || got["since"] == nil {
		t.Errorf("%d %s", code, body)
	}
	if code, dump := f.askAt(t, f.admin, "GET", goroutines, nil); code != 200 || !strings.Contains(dump, "TestLivez") {
		t.Errorf("the dump: %d", code)
	}
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "stuck: requests are finished") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	_, metrics := get("/metrics")
	for stage, value := range map[Stage]string{StageCommit: "1", StageCall: "0", StageGroup: "0"} {
		if line := `balanceq_stuck{stage="` + string(stage) + `"} ` + value + "\n"; !strings.Contains(metrics, line) {
			t.Errorf("missing: %s", line)
		}
	}
	f.consumer.Partitions[0].Committed = 0
	if code, _ := get("/livez"); code != 200 {
		t.Errorf("after it moved: %d", code)
	}
}
