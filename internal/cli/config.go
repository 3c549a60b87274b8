package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/config"
)

func configCommand(e *command.Env) *cobra.Command {
	return command.Family("config", "Look at the configuration", configPrint(e), configCheck(e), configReference(e))
}

func configPrint(e *command.Env) *cobra.Command {
	return command.WithConfig(&cobra.Command{
		Use: "print", Short: "Print the effective configuration and where each value comes from", Args: command.NoArguments,
		Long: `Prints the effective configuration as a file that --config can read again. Secrets are redacted.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(cmd.Flags(), e.Environ)
			if err != nil {
				return command.WrongUsage(err)
			}
			return loaded.Print(e.Out, "yaml")
		},
	})
}

func configCheck(e *command.Env) *cobra.Command {
	return e.Configured(&cobra.Command{
		Use: "check", Short: "Check the configuration for run, without connecting to anything", Args: command.NoArguments,
	}, func(_ context.Context, c *command.Call) error {
		if err := c.Config.ValidateRun(); err != nil {
			return command.WrongUsage(err)
		}
		_, err := fmt.Fprintln(c.Out, "the configuration is good")
		return err
	})
}

// configReference prints the table that docs/configuration.md holds.
func configReference(e *command.Env) *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print the reference of all keys, as Markdown", Args: command.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(e.Out, config.Reference())
			return err
		},
	}
}
