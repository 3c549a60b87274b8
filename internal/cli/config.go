package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/doctor"
	"github.com/balanceq/balanceq/internal/finding"
)

func configCommand(e *command.Env) *cobra.Command {
	return command.Family("config", "Look at the configuration", configPrint(e), configCheck(e), configReference(e),
		configSchema(e))
}

func configPrint(e *command.Env) *cobra.Command {
	return command.WithConfig(&cobra.Command{
		Use: "print", Short: "Print the effective configuration and where each value comes from", Args: command.NoArguments,
		Long: `Prints the effective configuration as a file that --config can read again. Secrets are redacted.`,
		Example: `  balanceq config print --config balanceq.yaml
  balanceq config print | grep -v '# default'`,
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
		Use: "check", Short: "Check the configuration for run, and the files that it names", Args: command.NoArguments,
		Long: `Checks the configuration as run would, and the files that it names: keys, certificates, authorities and tokens have
to be readable and not expired, and keys to go with their certificates and passwords. It connects to nothing; that is
what balanceq doctor does.

Exit code 0: run can start with it, warnings apart. 2: something is wrong.`,
		Example: `  balanceq config check --config balanceq.yaml`,
	}, func(_ context.Context, c *command.Call) error {
		if err := c.Config.ValidateRun(); err != nil {
			return command.WrongUsage(err)
		}
		var wrong []finding.Finding
		for _, f := range doctor.Files(c.Config) {
			if f.Severity == finding.Fail {
				wrong = append(wrong, f)
				continue
			}
			c.Warn("%s", f)
		}
		if len(wrong) > 0 {
			return command.WrongUsage(finding.Join(wrong...))
		}
		_, err := fmt.Fprintln(c.Out, "the configuration is good")
		return err
	})
}

// configReference prints the table that docs/configuration.md holds.
func configReference(e *command.Env) *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print the reference of all keys, as Markdown", Args: command.NoArguments,
		Example: `  balanceq config reference | grep cms.breaker`,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(e.Out, config.Reference())
			return err
		},
	}
}

// configSchema prints what values.schema.json of the Helm chart holds for its config.
func configSchema(e *command.Env) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of a configuration file", Args: command.NoArguments,
		Long: `Prints the JSON Schema of a configuration file, by which editors complete and check it. What one key wants
of another it cannot say: config check does.`,
		Example: `  balanceq config schema > balanceq.schema.json`,
		RunE: func(*cobra.Command, []string) error {
			schema := config.Schema()
			schema["$schema"] = "http://json-schema.org/draft-07/schema#"
			encoder := json.NewEncoder(e.Out)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			return encoder.Encode(schema)
		},
	}
}
