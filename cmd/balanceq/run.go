package main

import (
	"fmt"
	stdlog "log"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/cmd/internal/config"
	"github.com/balanceq/balanceq/cmd/internal/service"
	"github.com/balanceq/balanceq/telemetry"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (p *program) runCommand() *cobra.Command {
	return configured(&cobra.Command{
		Use: "run", Short: "Answer requests until stopped", Args: noArguments,
		Long: `Reads requests, asks the CMS and publishes results and dead letters until it is stopped.

SIGTERM or Ctrl-C drains: what was started is finished and committed within shutdown.timeout.
A second signal ends the program at once; what was under way is then read again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd)
			if err != nil {
				return err
			}
			if err := loaded.Config.ValidateRun(); err != nil {
				return usageError{err}
			}
			log, err := p.logger(loaded)
			if err != nil {
				return err
			}
			stdlog.SetFlags(0)
			stdlog.SetOutput(libraries{log})
			p.tuneGC()
			ctx := cmd.Context()
			if err := service.Preflight(ctx, loaded.Config, log); err != nil {
				return fmt.Errorf("checking before the start: %w", err)
			}
			s, err := service.New(ctx, loaded.Config, versionText(), log)
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
func (p *program) tuneGC() {
	set := func(variable string) bool { return strings.HasPrefix(variable, "GOGC=") }
	if !slices.ContainsFunc(p.environ, set) {
		debug.SetGCPercent(gcPercent)
	}
}

// logger makes the log and writes the configuration's warnings to it.
func (p *program) logger(loaded *config.Loaded) (zerolog.Logger, error) {
	log, err := telemetry.NewLogger(p.err, loaded.Config.Log.Level, loaded.Config.Log.Format)
	if err != nil {
		return log, usageError{err}
	}
	for _, w := range loaded.Warnings {
		log.Warn().Msg(w)
	}
	return log, nil
}
