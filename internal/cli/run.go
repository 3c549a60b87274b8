package cli

import (
	"fmt"
	stdlog "log"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/app"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/preflight"

	"github.com/spf13/cobra"
)

func runCommand(p *command.Env) *cobra.Command {
	return command.WithConfig(&cobra.Command{
		Use: "run", Short: "Answer requests until stopped", Args: command.NoArguments,
		Long: `Reads requests, asks the CMS and publishes results and dead letters until it is stopped.

SIGTERM or Ctrl-C drains: what was started is finished and committed within shutdown.timeout.
A second signal ends the program at once; what was under way is then read again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.Load(cmd)
			if err != nil {
				return err
			}
			if err := loaded.Config.ValidateRun(); err != nil {
				return command.WrongUsage(err)
			}
			log, err := p.Logger(loaded)
			if err != nil {
				return err
			}
			stdlog.SetFlags(0)
			stdlog.SetOutput(libraries{log})
			tuneGC(p)
			ctx := cmd.Context()
			if err := preflight.Run(ctx, loaded.Config, log); err != nil {
				return fmt.Errorf("checking before the start: %w", err)
			}
			s, err := app.New(ctx, loaded.Config, command.Version(), log)
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	})
}

// gcPercent trades memory for time: the live heap is some 20 to 35 MB whatever the backlog, and collecting it less often
// saves up to a tenth of the CPU.
const gcPercent = 150

// tuneGC leaves the setting alone where GOGC is set.
func tuneGC(p *command.Env) {
	set := func(variable string) bool { return strings.HasPrefix(variable, "GOGC=") }
	if !slices.ContainsFunc(p.Environ, set) {
		debug.SetGCPercent(gcPercent)
	}
}
