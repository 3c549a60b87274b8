package cli

import (
	"context"
	"fmt"
	stdlog "log"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"

	"github.com/balanceq/balanceq/internal/app"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/telemetry"
)

func runCommand(e *command.Env) *cobra.Command {
	log := telemetry.NewSink(e.Err)
	own := *e
	own.Err = log
	cmd := own.Configured(&cobra.Command{
		Use: "run", Short: "Answer requests until stopped", Args: command.NoArguments,
		Long: `Reads requests, asks the CMS and publishes results and dead letters until it is stopped.

SIGTERM or Ctrl-C drains: calls under way are answered and committed within shutdown.timeout.
A second signal ends the program at once; what was under way is then read again.

Exit code 0: it was stopped. 1: it could not start or go on. 2: wrong usage or configuration.`,
		Example: `  balanceq run --config balanceq.yaml
  BALANCEQ_CMS_URL=http://127.0.0.1:8090/global-processing/core balanceq run --log.level debug`,
	}, func(ctx context.Context, c *command.Call) error {
		log.OnLost(func(lines int) {
			c.Log.Warn().Str("event", "log_lines_lost").Int("lines", lines).
				Msg("lines of the log are missing before this one: they were not taken for a while")
		})
		defer log.Flush(flushTime)
		return run(ctx, c)
	})
	cmd.PreRun = func(*cobra.Command, []string) {
		signal.Ignore(syscall.SIGPIPE) // a reader of the log that goes away is no reason to end
	}
	return cmd
}

// flushTime is how long the last lines of the log may take.
const flushTime = time.Second

func run(ctx context.Context, c *command.Call) error {
	if err := c.Config.ValidateRun(); err != nil {
		return command.WrongUsage(err)
	}
	paceCollector()
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraries{c.Log})
	otel.SetErrorHandler(exports{c.Log})
	if err := preflight.Run(ctx, c.Config, c.Log); err != nil {
		return fmt.Errorf("checking before the start: %w", err)
	}
	s, err := app.New(ctx, c.Config, command.Version(), c.Log, app.Overrides{})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
