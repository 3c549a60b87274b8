package e2e

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// partitionsOf returns the partitions that the instance holds.
func partitionsOf(in *instance) (ids []int32) {
	in.t.Helper()
	for sample := range in.Metrics() {
		label, ok := strings.CutPrefix(sample, `balanceq_partition_lag{partition="`)
		if id, err := strconv.ParseInt(strings.TrimSuffix(label, `"}`), 10, 32); ok && err == nil {
			ids = append(ids, int32(id))
		}
	}
	return slices.Sorted(slices.Values(ids))
}

// share waits until the instances hold so many partitions, in this order.
func share(all []*instance, want ...int) {
	for i, in := range all {
		in.eventually("it holds its share", func() bool { h, _ := in.Health(); return h.Ready && h.Partitions == want[i] })
	}
}

// moves are the lines of the log that tell of partitions that come or go, or of a new generation. The embedded broker
// makes one, in which everything stays where it is, when the group's leader comes back; Kafka does not.
func (r *rig) moves(in *instance) int {
	n := len(in.Logs("gave partitions back"))
	if r.broker.Kind() != kafkatest.KindEmbedded {
		n += len(in.Logs("joined the consumer group"))
	}
	return n
}

var deliveries = map[string]string{"once": "--delivery=exactly-once", "least": "--delivery=at-least-once"}

// An instance with a slot is stopped, or killed, and is back before its session is over: it finds what it had, and the
// other one does not notice.
func TestStaticRestartIsNotNoticed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*instance){
		"stop": func(in *instance) { in.Stop() }, "kill": (*instance).Kill,
	} {
		for mode, delivery := range deliveries {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, 4, busy)
				w := r.Watch()
				a := []string{delivery, "--kafka.instance-id=a", "--kafka.session-timeout=30s"}
				b := []string{delivery, "--kafka.instance-id=b", "--kafka.session-timeout=30s"}
				all := []*instance{r.Start(a...), r.Start(b...)}
				share(all, 2, 2)
				traffic := r.Load()
				w.AwaitMore(200)
				had, others, moves, began := partitionsOf(all[0]), partitionsOf(all[1]), r.moves(all[1]), time.Now()
				for range 2 {
					end(all[0])
					all[0] = r.Start(a...)
					share(all, 2, 2)
					if got := partitionsOf(all[0]); !slices.Equal(got, had) {
						t.Errorf("it had %v and comes back to %v", had, got)
					}
					w.AwaitMore(100)
				}
				if more := r.moves(all[1]) - moves; more != 0 {
					t.Errorf("the other one noticed: %d lines of its log tell of a rebalance", more)
				}
				if took := w.standstill(began, others...); took > 20*time.Second { // a rebalance would wait for the session
					t.Errorf("the other one's partitions stood still for %v", took)
				}
				t.Logf("longest standstill: moved %v, others %v", w.standstill(began, had...), w.standstill(began, others...))
				traffic.Stop()
				if mode == "once" || name == "stop" {
					w.WantExactlyOnce(r)
				} else {
					r.AwaitCommitted()
					r.Ledger().WantNothingLost()
				}
				all[1].WantCalm()
				all[0].Stop()
				all[1].Stop()
			})
		}
	}
}

// What an instance with a slot had waits for it when it stops, until its session is over; with kafka.leave-on-stop it
// is free at once.
func TestStaticLeaveOnStop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leave           bool
		session         time.Duration
		atLeast, atMost time.Duration
	}{
		"waits":  {false, 10 * time.Second, 5 * time.Second, waitTimeout},
		"leaves": {true, 50 * time.Second, 0, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4, busy)
			session := "--kafka.session-timeout=" + test.session.String()
			all := []*instance{
				r.Start("--kafka.instance-id=a", session, "--kafka.leave-on-stop="+strconv.FormatBool(test.leave)),
				r.Start("--kafka.instance-id=b", session),
			}
			share(all, 2, 2)
			stopped := time.Now()
			all[0].Stop()
			share(all[1:], 4)
			if took := time.Since(stopped); took < test.atLeast || took > test.atMost {
				t.Errorf("the other one has all partitions after %v, want %v to %v", took, test.atLeast, test.atMost)
			}
			all[1].Stop()
		})
	}
}

// A second live instance with the same slot takes it over: the first ends, and says why.
func TestStaticSameSlot(t *testing.T) {
	t.Parallel()
	for _, mode := range slices.Sorted(maps.Keys(deliveries)) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, busy)
			w := r.Watch()
			first := r.StartReady(deliveries[mode], "--kafka.instance-id=a")
			traffic := r.Load()
			w.AwaitMore(100)
			second := r.Start(deliveries[mode], "--kafka.instance-id=a")
			if code := first.wait(waitTimeout).ExitCode(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if last := lastLine(first.output.String()); !strings.Contains(last, `another instance uses the same instance id "a"`) {
				t.Errorf("it does not say what to do: %s", last)
			}
			share([]*instance{second}, 2)
			w.AwaitMore(100)
			traffic.Stop()
			if mode == "once" {
				w.WantExactlyOnce(r)
			} else {
				r.AwaitCommitted()
				r.Ledger().WantNothingLost()
			}
			// Until the first has heard of it, each takes the transactional id out of the other's hands.
			second.WantCalm("committing offsets failed", "was fenced by another instance")
			second.Stop()
		})
	}
}
