package main

import (
	"fmt"

	"github.com/balanceq/balanceq/cmd/internal/config"

	"github.com/spf13/cobra"
)

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Look at the configuration", Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.configPrint(), p.configCheck(), p.configReference())
	return cmd
}

func (p *program) configPrint() *cobra.Command {
	return configured(&cobra.Command{
		Use: "print", Short: "Print the effective configuration and where each value comes from", Args: noArguments,
		Long: `Prints the effective configuration as a file that --config can read again. Secrets are redacted.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd)
			if err != nil {
				return err
			}
			return loaded.Print(p.out, "yaml")
		},
	})
}

func (p *program) configCheck() *cobra.Command {
	return configured(&cobra.Command{
		Use: "check", Short: "Check the configuration for run, without connecting to anything", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd)
			if err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				if _, err := fmt.Fprintln(p.err, "warning:", w); err != nil {
					return err
				}
			}
			if err := loaded.Config.ValidateRun(); err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintln(p.out, "the configuration is good")
			return err
		},
	})
}

// configReference prints the table that the README holds.
func (p *program) configReference() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print the reference of all keys, as Markdown", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(p.out, config.Reference())
			return err
		},
	}
}
