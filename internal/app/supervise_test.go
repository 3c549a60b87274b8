package app

import (
	"strings"
	"testing"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/telemetry"
)

// systemd hears once that the instance is ready, of what it does when that changes, and that it is alive unless it is
// stuck.
func TestNotices(t *testing.T) {
	var n notices
	joined := consumer.Status{Joined: true, Partitions: make([]consumer.PartitionStatus, 4)}
	for i, step := range []struct {
		state  telemetry.State
		status consumer.Status
		want   string
	}{
		{telemetry.State{}, consumer.Status{}, "STATUS=joining the group, WATCHDOG=1"},
		{telemetry.State{}, consumer.Status{}, "WATCHDOG=1"},
		{telemetry.State{}, joined, "STATUS=4 partitions; answering, READY=1, WATCHDOG=1"},
		{telemetry.State{Waiting: "breaker"}, joined, "STATUS=4 partitions; waits: breaker, WATCHDOG=1"},
		{telemetry.State{Stuck: &telemetry.Stuck{Reason: "no call ends"}}, joined, "STATUS=stuck: no call ends"},
		{telemetry.State{Stuck: &telemetry.Stuck{Reason: "no call ends"}}, joined, ""},
		{telemetry.State{}, consumer.Status{}, "STATUS=joining the group, WATCHDOG=1"},
		{telemetry.State{}, joined, "STATUS=4 partitions; answering, WATCHDOG=1"},
	} {
		if got := strings.Join(n.next(step.state, &step.status), ", "); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}
