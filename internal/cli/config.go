package cli

import (
	"fmt"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/config"

	"github.com/spf13/cobra"
)

func configCommand(p *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Look at the configuration", Args: command.UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configPrint(p), configCheck(p), configReference(p))
	return cmd
}

func configPrint(p *command.Env) *cobra.Command {
	return command.WithConfig(&cobra.Command{
		Use: "print", Short: "Print the effective configuration and where each value comes from", Args: command.NoArguments,
		Long: `Prints the effective configuration as a file that --config can read again. Secrets are redacted.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.Load(cmd)
			if err != nil {
				return err
			}
			return loaded.Print(p.Out, "yaml")
		},
	})
}

func configCheck(p *command.Env) *cobra.Command {
	return command.WithConfig(&cobra.Command{
		Use: "check", Short: "Check the configuration for run, without connecting to anything", Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.Load(cmd)
			if err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				if _, err := fmt.Fprintln(p.Err, "warning:", w); err != nil {
					return err
				}
			}
			if err := loaded.Config.ValidateRun(); err != nil {
				return command.WrongUsage(err)
			}
			_, err = fmt.Fprintln(p.Out, "the configuration is good")
			return err
		},
	})
}

// configReference prints the table that docs/configuration.md holds.
func configReference(p *command.Env) *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print the reference of all keys, as Markdown", Args: command.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(p.Out, config.Reference())
			return err
		},
	}
}
