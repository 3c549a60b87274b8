package command

import (
	"context"
	"io"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/telemetry"
)

// Call is one call of a command that has a configuration.
type Call struct {
	*Env
	Config config.Config
	Log    zerolog.Logger // writes to Err
	In     io.Reader
	Args   []string       // behind the flags
	Flags  *pflag.FlagSet // the command's own and those of the configuration
}

// Configured gives a command the flags of the configuration, and run as what it does. A call begins with reading the
// configuration and with logging its warnings.
func (e *Env) Configured(cmd *cobra.Command, run func(context.Context, *Call) error) *cobra.Command {
	WithConfig(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := e.begin(cmd, args)
		if err != nil {
			return err
		}
		return run(cmd.Context(), c)
	}
	return cmd
}

func (e *Env) begin(cmd *cobra.Command, args []string) (*Call, error) {
	loaded, err := config.Load(cmd.Flags(), e.Environ)
	if err != nil {
		return nil, WrongUsage(err)
	}
	log, err := telemetry.NewLogger(e.Err, loaded.Config.Log.Level, loaded.Config.Log.Format)
	if err != nil {
		return nil, WrongUsage(err)
	}
	for _, warning := range loaded.Warnings {
		log.Warn().Str("event", "configuration_warning").Str("fix", warning.Remedy()).Msg(warning.Text())
	}
	return &Call{Env: e, Config: loaded.Config, Log: log, In: cmd.InOrStdin(), Args: args, Flags: cmd.Flags()}, nil
}

// WithConfig gives a command the flags of the configuration and nothing else: for those that look at it themselves.
func WithConfig(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().SortFlags = false
	config.Register(cmd.Flags())
	return cmd
}
