package cli

import (
	"context"
	"fmt"
	stdlog "log"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/app"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/preflight"
)

func runCommand(e *command.Env) *cobra.Command {
	return e.Configured(&cobra.Command{
		Use: "run", Short: "Answer requests until stopped", Args: command.NoArguments,
		Long: `Reads requests, asks the CMS and publishes results and dead letters until it is stopped.

SIGTERM or Ctrl-C drains: what was started is finished and committed within shutdown.timeout.
A second signal ends the program at once; what was under way is then read again.`,
	}, run)
}

func run(ctx context.Context, c *command.Call) error {
	if err := c.Config.ValidateRun(); err != nil {
		return command.WrongUsage(err)
	}
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraries{c.Log})
	tuneGC(c.Environ)
	if err := preflight.Run(ctx, c.Config, c.Log); err != nil {
		return fmt.Errorf("checking before the start: %w", err)
	}
	s, err := app.New(ctx, c.Config, command.Version(), c.Log, app.Overrides{})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// gcPercent trades memory for time: the live heap is some 20 to 35 MB whatever the backlog, and collecting it less
// often saves up to a tenth of the CPU.
const gcPercent = 150

// tuneGC leaves the setting alone where GOGC is set.
func tuneGC(environ []string) {
	set := func(variable string) bool { return strings.HasPrefix(variable, "GOGC=") }
	if !slices.ContainsFunc(environ, set) {
		debug.SetGCPercent(gcPercent)
	}
}
