package deadletters

import (
	"context"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/internal/wait"
)

// serviceWatch tells when a replay has to wait for the service.
type serviceWatch struct {
	*command.Env
	instances []instances.Instance
	strict    bool // the instances were named: they must answer

	asked time.Time
	why   string // "": nothing
}

const watchInterval = time.Second

// begin asks for the first time. Without instances that answer nothing is watched.
func (w *serviceWatch) begin(ctx context.Context) error {
	if len(w.instances) == 0 {
		w.Warn(
			"http.listen is off and --service names no instance: the replay does not pause while the circuit breaker is open")
		return nil
	}
	for _, i := range w.instances {
		_, err := i.Ready(ctx)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return command.ErrInterrupted
		case w.strict:
			return fmt.Errorf("--service: %w", err)
		default:
			w.Warn("%v: the replay does not pause while the circuit breaker is open; name an instance with --service", err)
			w.instances = nil
		}
	}
	return nil
}

// await waits until the service can work. It asks again after a second at the earliest.
func (w *serviceWatch) await(ctx context.Context, bar *term.Progress) error {
	for w.waits(ctx, bar) {
		if !wait.Sleep(ctx, watchInterval) {
			return command.ErrInterrupted
		}
	}
	return nil
}

// waits says whether an instance cannot work at the moment, and announces when that changes.
func (w *serviceWatch) waits(ctx context.Context, bar *term.Progress) bool {
	if time.Since(w.asked) < watchInterval {
		return w.why != ""
	}
	why := w.ask(ctx)
	w.asked = time.Now()
	if ctx.Err() == nil && (why == "") != (w.why == "") {
		bar.Clear()
		if why != "" {
			w.Say("paused: %s", printable.Text(why))
		} else {
			w.Say("going on")
		}
	}
	w.why = why
	return why != ""
}

// ask returns why an instance cannot work. One that does not answer counts only if none does: it may be restarting.
func (w *serviceWatch) ask(ctx context.Context) string {
	answered := 0
	var gone error
	for _, i := range w.instances {
		h, err := i.Ready(ctx)
		if err != nil {
			gone = err
			continue
		}
		answered++
		switch {
		case h.Breaker == cmsclient.BreakerOpen:
			return i.URL + ": its circuit breaker is open"
		case h.Halted != "":
			return i.URL + ": it is halted: " + h.Halted
		case h.Paused != "":
			return i.URL + ": " + h.Paused
		}
	}
	if answered == 0 && gone != nil {
		return gone.Error()
	}
	return ""
}
