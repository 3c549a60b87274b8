package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/telemetry"
)

// superviseEvery is the time between two looks of supervise, at most.
const superviseEvery = time.Second

// supervise tells systemd how it goes until ctx ends, where systemd wants to hear it (sd_notify(3)): ready when the
// instance is a member of its group, as /readyz says; alive while the pipeline moves or has a reason to wait, as /livez
// says, so that WatchdogSec restarts what a liveness probe would; and in a line what it does. Systemd is gone where it
// cannot be told, so that is no error.
func (a *App) supervise(ctx context.Context) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	tell := func(what string) { _, _ = daemon.SdNotify(false, what) }
	every := superviseEvery
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		a.log.Warn().Str("event", "configuration_warning").Str("fix", "correct WatchdogSec= of the unit").Msg(err.Error())
	}
	if limit > 0 {
		every = min(every, limit/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var notices notices
	for {
		status := a.consumer.Status()
		for _, one := range notices.next(a.watchdog.State(), &status) {
			tell(one)
		}
		select {
		case <-ctx.Done():
			tell(daemon.SdNotifyStopping + "\nSTATUS=finishing what was started")
			return
		case <-tick.C:
		}
	}
}

// notices is what systemd has been told.
type notices struct {
	ready bool
	does  string
}

// next returns what it is to be told now. A ready service stays ready: that it waits, its status says.
func (n *notices) next(s telemetry.State, c *consumer.Status) (all []string) {
	if does := doing(s, c); does != n.does {
		n.does = does
		all = append(all, "STATUS="+does)
	}
	if c.Joined && !n.ready {
		n.ready = true
		all = append(all, daemon.SdNotifyReady)
	}
	if s.Stuck == nil {
		all = append(all, daemon.SdNotifyWatchdog)
	}
	return all
}

// doing is what an instance does, in a line.
func doing(s telemetry.State, c *consumer.Status) string {
	switch {
	case s.Stuck != nil:
		return "stuck: " + s.Stuck.Reason
	case !c.Joined:
		return "joining the group"
	case s.Waiting != "":
		return fmt.Sprintf("%d partitions; waits: %s", len(c.Partitions), s.Waiting)
	}
	return fmt.Sprintf("%d partitions; answering", len(c.Partitions))
}
