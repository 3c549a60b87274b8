package telemetry

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

const (
	testAfter = 2 * time.Minute
	testRetry = 5 * time.Minute
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is a moment of a healthy instance with one request under way: offset 7 of partition 3.
func at(d time.Duration) *moment {
	return &moment{
		at: epoch.Add(d),
		consumer: consumer.Status{Joined: true, InFlight: 1, WorkerFree: true, Partitions: []consumer.PartitionStatus{{
			Partition: 3, Next: 7, Committed: 7, End: 9, Open: 1, Moved: epoch, Fetched: 9, Room: true, Oldest: 7, Lane: 70,
		}}},
		cms: cmsclient.Status{},
	}
}

// paused is a budget that is spent, with dead letters held.
func paused(held int) processor.BudgetStatus {
	return processor.BudgetStatus{Why: "too many", Held: held, Share: .75, Trips: 2}
}

// handlerAt is one that has held offset 7 of partition 3 since a time.
func handlerAt(s processor.Step, since time.Duration) handling {
	return handling{contract: 70, step: s, sign: epoch.Add(since), taken: []schemas.Position{{Partition: 3, Offset: 7}}}
}

// Every kind of standstill, and what excuses it. The moment repeats unchanged until it is called stuck.
func TestStandstills(t *testing.T) {
	calling := func(m *moment) {
		m.handlers = []handling{handlerAt(processor.StepAsking, 0)}
	}
	parked := func(m *moment) { m.handlers = []handling{handlerAt(processor.StepAside, 0)} }
	idle := func(m *moment) { m.consumer.Partitions[0].Open, m.consumer.Partitions[0].Oldest = 0, -1 }
	tests := map[string]struct {
		moment func(m *moment)
		stage  Stage // "": never
		after  time.Duration
		cause  string // of waiting, when not stuck
	}{
		"nothing to do": {idle, "", 0, ""},
		"no member":     {func(m *moment) { idle(m); m.consumer.Joined = false }, StageGroup, testAfter, ""},
		"no member, no Kafka": {func(m *moment) {
			idle(m)
			m.consumer.Joined = false
			m.kafka = errors.New("refused")
		}, "", 0, CauseKafka},

		"the start is not known": {func(m *moment) {
			idle(m)
			m.consumer.Starting = []consumer.StartStatus{{Partition: 4, Tries: int(m.at.Unix())}}
		}, "", 0, CauseStart},
		"no start is known": {func(m *moment) {
			m.consumer = consumer.Status{Starting: []consumer.StartStatus{{Partition: 4, Tries: int(m.at.Unix())}}}
		}, "", 0, CauseStart},
		"the question for the start hangs": {func(m *moment) {
			idle(m)
			m.consumer.Starting = []consumer.StartStatus{{Partition: 4, Tries: 3}}
		}, StageGroup, testAfter, ""},

		"not fetched": {func(m *moment) {
			idle(m)
			m.there = map[int32]bool{3: true}
		}, StageFetch, testAfter, ""},
		"not fetched, another partition": {func(m *moment) { idle(m); m.there = map[int32]bool{4: true} }, "", 0, ""},
		"not fetched, breaker open": {func(m *moment) {
			idle(m)
			m.there = map[int32]bool{3: true}
			m.cms.Cause = cmsclient.CauseBreaker
		}, "", 0, "breaker"},
		"not fetched, draining": {func(m *moment) {
			idle(m)
			m.there, m.consumer.Partitions[0].Draining = map[int32]bool{3: true}, true
		}, "", 0, ""},

		"not dispatched": {func(m *moment) { idle(m); m.consumer.Partitions[0].Room = false }, StageDispatch, testAfter, ""},
		"not dispatched, draining": {func(m *moment) {
			idle(m)
			m.consumer.Partitions[0].Room, m.consumer.Partitions[0].Draining = false, true
		}, "", 0, ""},
		"the window is full": {func(m *moment) {
			calling(m)
			m.consumer.Partitions[0].Room, m.cms.Cause = false, "halted"
		}, "", 0, "halted"},

		"no worker": {func(m *moment) { m.consumer.Partitions[0].Waits = true }, StageDispatch,
			testAfter, ""},
		"no worker though the breaker is open": {func(m *moment) {
			m.consumer.Partitions[0].Waits, m.cms.Cause = true,
				"breaker"
		}, StageDispatch, testAfter, ""},
		"no worker is free": {func(m *moment) { m.consumer.Partitions[0].Waits, m.consumer.WorkerFree = true, false }, "", 0,
			CauseBackoff},
		"there are no workers": {func(m *moment) {
			m.consumer.Partitions[0].Waits, m.consumer.WorkerFree, m.consumer.InFlight = true, false, 0
		}, StageDispatch, testAfter, ""},
		"behind another of its contract": {func(m *moment) {
			m.consumer.Partitions[0].Waits = true
			m.cms.Queued = 1
			m.handlers = []handling{{contract: 70, sign: epoch}}
		}, "", 0, CauseLimit},
		"behind a handler that never returns": {func(m *moment) {
			m.consumer.Partitions[0].Waits = true
			m.handlers = []handling{{contract: 70, sign: epoch}}
		}, StageCall, testAfter, ""},

		"a call that never ends": {func(m *moment) { calling(m); m.cms.InFlight = 1 }, StageCall, testAfter, ""},
		"a half-open probe that never ends": {func(m *moment) {
			calling(m)
			m.cms.InFlight, m.cms.Cause = 1, "breaker"
		}, StageCall, testAfter, ""},
		"a handler that never asks": {func(m *moment) { m.handlers = []handling{handlerAt(processor.StepWaiting, 0)} },
			StageCall, testAfter, ""},
		"a handler that asks no more": {calling, StageCall, testAfter + testRetry, ""},
		"breaker open": {func(m *moment) {
			calling(m)
			m.cms.Cause = cmsclient.CauseBreaker
		}, "", 0, "breaker"},
		"throttled":   {func(m *moment) { calling(m); m.cms.Cause = cmsclient.CauseThrottled }, "", 0, "throttled"},
		"halted":      {func(m *moment) { calling(m); m.cms.Cause = cmsclient.CauseHalted }, "", 0, "halted"},
		"quota":       {func(m *moment) { calling(m); m.cms.Cause = cmsclient.CauseQuota }, "", 0, "quota"},
		"retry share": {func(m *moment) { calling(m); m.cms.Queued, m.cms.QueuedRetries = 1, 1 }, "", 0, CauseRetries},
		"the rate":    {func(m *moment) { calling(m); m.cms.Queued = 1 }, "", 0, CauseLimit},
		"one waits for leave, the other is gone": {func(m *moment) {
			m.handlers = []handling{{contract: 71, sign: epoch}, handlerAt(processor.StepAsking, 0)}
			m.cms.Queued = 1
		}, StageCall, testAfter + testRetry, ""},
		"a new one waits for leave, the other is gone": {func(m *moment) {
			m.handlers = []handling{{contract: 71, sign: m.at}, handlerAt(processor.StepAsking, 0)}
			m.cms.Queued = 1
		}, StageCall, testAfter + testRetry, ""},

		"a dead letter is held":      {func(m *moment) { parked(m); m.budget = paused(1) }, "", 0, processor.CauseBudget},
		"an invalid request is held": {func(m *moment) { parked(m); m.budget = paused(1) }, "", 0, processor.CauseBudget},
		"held, and the CMS fails": {func(m *moment) {
			parked(m)
			m.budget, m.cms.Cause = paused(1), "breaker"
		}, "", 0, "breaker"},
		"held, and Kafka fails": {func(m *moment) {
			parked(m)
			m.budget, m.producer.Failing = paused(1), errors.New("no leader")
		}, "", 0, processor.CauseBudget},
		"held, the room for those is full": {func(m *moment) {
			parked(m)
			m.budget, m.consumer.Partitions[0].Room = paused(1), false
		}, "", 0, processor.CauseBudget},
		"not fetched, though only dead letters are held": {func(m *moment) {
			idle(m)
			m.there, m.budget = map[int32]bool{3: true}, paused(0)
		}, StageFetch, testAfter, ""},
		"held behind a full window, another waits for leave": {func(m *moment) {
			m.handlers = []handling{handlerAt(processor.StepAside, 0), {contract: 71, sign: epoch}}
			m.cms.Queued, m.budget = 1, paused(1)
		}, "", 0, processor.CauseBudget},
		"one is held, another never asks": {func(m *moment) {
			m.handlers = []handling{handlerAt(processor.StepAside, 0), {contract: 71, sign: epoch}}
			m.budget = paused(1)
		}, StageCall, testAfter, ""},
		"one is held, the call of another never ends": {func(m *moment) {
			m.handlers = []handling{handlerAt(processor.StepAside, 0), {contract: 71, step: processor.StepAsking, sign: epoch}}
			m.cms.InFlight, m.budget = 1, paused(1)
		}, StageCall, testAfter, ""},
		"one is held, the outcome of another is not taken": {func(m *moment) {
			m.handlers = []handling{handlerAt(processor.StepAside, 0),
				{contract: 71, step: processor.StepCompleting, sign: epoch}}
			m.budget = paused(1)
		}, StageWrite, testAfter, ""},
		"held, and nothing keeps it back": {parked, StageCall, testAfter + testRetry, ""},
		"held, and handlers beside it hang": {func(m *moment) {
			m.handlers = []handling{handlerAt(processor.StepAside, 0), {contract: 71, step: processor.StepAsking, sign: epoch},
				{contract: 72, step: processor.StepAsking, sign: epoch}}
			m.budget = paused(5)
		}, StageCall, testAfter + testRetry, ""},
		"held while the breaker is open": {func(m *moment) {
			parked(m)
			m.cms.Cause = cmsclient.CauseBreaker
		}, "", 0, "breaker"},
		"no acknowledgement while paused": {func(m *moment) { m.budget = paused(0) }, StageWrite, testAfter, ""},

		"no acknowledgement": {func(*moment) {}, StageWrite, testAfter, ""},
		"no acknowledgement, but busy": {func(m *moment) { m.producer.Oldest = m.at.Add(-time.Second) }, StageWrite,
			testAfter, ""},
		"long queue": {func(m *moment) { m.producer.Oldest, m.producer.Silent.Since = epoch, m.at.Add(-time.Second) }, "",
			0, CauseBackoff},
		"writing fails": {func(m *moment) { m.producer.Failing = errors.New("no leader") }, "", 0, CauseKafka},
		"silent brokers": {func(m *moment) {
			m.producer.Oldest, m.producer.Silent = epoch, producer.Silence{Topic: "r", Since: epoch}
		}, StageWrite, testAfter, ""},
		"outcomes are not taken": {func(m *moment) { m.handlers = []handling{handlerAt(processor.StepCompleting, 0)} },
			StageWrite, testAfter, ""},
		"outcomes are not taken, writing fails": {func(m *moment) {
			m.handlers, m.producer.Failing = []handling{handlerAt(processor.StepCompleting, 0)}, errors.New("no leader")
		}, "", 0, CauseKafka},

		"outcomes are not taken before an earlier one": {func(m *moment) {
			m.producer.Ordered, m.cms.Cause = true, "breaker"
			m.handlers = []handling{handlerAt(processor.StepAsking, 0),
				{contract: 71, step: processor.StepCompleting, sign: epoch, taken: []schemas.Position{{Partition: 3, Offset: 8}}}}
		}, "", 0, "breaker"},
		"the earliest outcome is not taken": {func(m *moment) {
			m.producer.Ordered, m.handlers = true, []handling{handlerAt(processor.StepCompleting, 0)}
		}, StageWrite, testAfter, ""},

		"not committed":   {func(m *moment) { idle(m); m.consumer.Partitions[0].Committed = 5 }, StageCommit, testAfter, ""},
		"never committed": {func(m *moment) { idle(m); m.consumer.Partitions[0].Committed = -1 }, StageCommit, testAfter, ""},
		"a transaction is tried again and again": {func(m *moment) {
			idle(m)
			m.consumer.Partitions[0].Committed, m.producer.Ordered, m.producer.Failing = 5, true, errors.New("refused")
		}, "", 0, CauseKafka},
		"commits are refused": {func(m *moment) {
			idle(m)
			m.consumer.Partitions[0].Committed, m.commits = 5, errors.New("refused")
		}, "", 0, CauseKafka},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := &history{timeouts: StallTimeouts{After: testAfter, Retry: testRetry}}
			const tick = time.Second
			for d := time.Duration(0); d <= 3*(testAfter+testRetry); d += tick {
				m := at(d)
				test.moment(m)
				v := h.evaluate(m)
				switch {
				case v.Stuck == nil && test.stage != "" && d >= test.after:
					t.Fatalf("not stuck after %v: waiting for %q", d, v.Waiting)
				case v.Stuck == nil && test.stage == "" && d > testAfter && v.Waiting != test.cause:
					t.Fatalf("after %v it waits for %q, not %q", d, v.Waiting, test.cause)
				case v.Stuck == nil:
					continue
				case v.Stuck.Stage != test.stage || d < test.after || d >= test.after+tick:
					t.Fatalf("after %v %+v, want %s after %v", d, *v.Stuck, test.stage, test.after)
				case !v.Stuck.Since.Equal(epoch):
					t.Fatalf("stuck since %v", v.Stuck.Since)
				}
				return
			}
			if test.stage != "" {
				t.Error("never stuck")
			}
		})
	}
}

// Whatever moves is not stuck, however slowly.
func TestProgressIsNoStandstill(t *testing.T) {
	progress := map[string]func(m *moment, n int64){
		"fetched": func(m *moment, n int64) { m.there = map[int32]bool{3: true}; m.consumer.Partitions[0].Fetched = n },
		"dispatched": func(m *moment, n int64) {
			m.consumer.Partitions[0].Room, m.consumer.Partitions[0].Fetched = false,
				n
		},
		"taken": func(m *moment, n int64) {
			m.consumer.Partitions[0].Waits, m.consumer.Partitions[0].Oldest = true,
				n
		},
		"called":       func(m *moment, n int64) { m.cms.InFlight, m.ended = 1, n },
		"acknowledged": func(m *moment, n int64) { m.consumer.Partitions[0].Oldest = n },
		"written":      func(m *moment, _ int64) { m.producer.Silent.Since = m.at.Add(-time.Minute) },
		"committed": func(m *moment, n int64) {
			m.consumer.Partitions[0].Next, m.consumer.Partitions[0].Committed = n+1,
				n
		},
		"asked": func(m *moment, _ int64) {
			m.handlers = []handling{{contract: 1, step: processor.StepAsking, sign: m.at}}
		},
		"rejoined": func(m *moment, n int64) { m.consumer.Joined = n%2 == 0 },
	}
	for name, change := range progress {
		t.Run(name, func(t *testing.T) {
			h := &history{timeouts: StallTimeouts{After: testAfter, Retry: testRetry}}
			for n := range int64(100) {
				m := at(time.Duration(n) * testAfter * 9 / 10)
				if name != "taken" && name != "acknowledged" {
					m.consumer.Partitions[0].Open = 0
				}
				change(m, n)
				if v := h.evaluate(m); v.Stuck != nil {
					t.Fatalf("%d: %+v", n, *v.Stuck)
				}
			}
		})
	}
}

// An outage excuses what it has stopped until some time after its end.
func TestTimeSpentWaitingDoesNotCount(t *testing.T) {
	h := &history{timeouts: StallTimeouts{After: testAfter, Retry: testRetry}}
	over := time.Hour
	for d := time.Duration(0); ; d += 15 * time.Second {
		m := at(d)
		m.handlers = []handling{handlerAt(processor.StepWaiting, 0)}
		if d <= over {
			m.cms.Cause = cmsclient.CauseBreaker
		}
		if v := h.evaluate(m); (v.Stuck != nil) != (d >= over+testAfter) {
			t.Fatalf("%v after the end: %+v", d-over, v)
		} else if v.Stuck != nil {
			return
		}
	}
}

// It recovers when things move, and how often it looks does not matter.
func TestStateRecovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{timeouts: StallTimeouts{After: testAfter, Retry: testRetry}}
		var stands, d time.Duration
		offset := int64(7)
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			m := at(d)
			m.consumer.Partitions[0].Oldest = offset // handed over to be written, not acknowledged
			if v := h.evaluate(m); (v.Stuck != nil) != (stands >= testAfter) {
				t.Fatalf("stands for %v: %+v", stands, v)
			}
			gap := time.Duration(rapid.IntRange(1, 60).Draw(t, "gap")) * time.Second
			d, stands = d+gap, stands+gap
			if rapid.IntRange(0, 5).Draw(t, "moves") == 0 {
				offset++
				stands = 0
			}
		}
	})
}
