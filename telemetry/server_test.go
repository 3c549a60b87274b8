package telemetry

import (
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/producer"
)

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
		"no token": {fakes{consumer: joined, cms: cmsclient.Status{Breaker: cmsclient.BreakerClosed},
			login: Token{Failing: errors.New("away"), Expires: time.Unix(0, 0)}}, 200,
			Health{Ready: true, Breaker: cmsclient.BreakerClosed, Partitions: 2, InFlight: 3, Lag: 4,
				TokenFailing: "away; the last one expires 1970-01-01T00:00:00Z"}},
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

// What an operator must not miss is in the log, once, with what it means.
func TestWarnings(t *testing.T) {
	m, log, _ := serve(t, &fakes{})
	m.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen,
		cmsclient.Failing{Cause: "status 503 (7)", Status: 503, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	m.Halted(errors.New("check the keys"))
	m.Resumed()
	m.QuotaSpent(time.Now())
	m.Throttled(time.Now().Add(time.Second))
	m.Throttled(time.Now().Add(2 * time.Second))
	for _, want := range []string{`"level":"warn","from":"closed","to":"open","cause":"status 503 (7)","status":503,"since":"2026-01-02T03:04:05Z","event":"breaker_opened"`, "nothing is dead-lettered", `"level":"error","event":"cms_halted","error":"check the keys","status":0,"since":"`, "no longer halted", `"level":"warn","event":"quota_spent"`, `"level":"warn","event":"cms_throttled","until":"`} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("%q is not once in %s", want, log)
		}
	}
}

func TestListenTaken(t *testing.T) {
	if _, err := Listen(listen(t, nil, nil), nil, nil, zerolog.Nop()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a taken address: %v", err)
	}
}
