package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/config"
)

// Root makes the program of its commands, in the order in which its help shows them.
func Root(e *Env, commands ...func(*Env) *cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "balanceq",
		Short: "Answers balance requests from Kafka by asking the CMS",
		Long: `balanceq reads balance requests from Kafka, asks the CMS for the balances through a circuit
breaker, and publishes exactly one result or one dead letter for each request.

Every key of the configuration is a flag, an environment variable and a key of the file that
--config names: kafka.brokers = --kafka.brokers = BALANCEQ_KAFKA_BROKERS.`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              UnknownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().SortFlags = false
	root.SetUsageFunc(usage(root.UsageFunc()))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return WrongUsage(config.FlagError(cmd.Flags(), err))
	})
	for _, command := range commands {
		root.AddCommand(command(e))
	}
	return root
}

// Family makes a command that only holds others.
func Family(use, short string, members ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(members...)
	return cmd
}

// UnknownCommand is the check of arguments of a command that holds others: what is left is no command.
func UnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // cobra itself sets it only where it suggests by itself
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return WrongUsage(errors.New(text + "; balanceq --help lists the commands"))
}

// NoArguments refuses arguments of a command that takes flags only.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return WrongUsage(fmt.Errorf("unexpected argument %q: balanceq %s takes flags only", args[0], cmd.Name()))
	}
	return nil
}

// usage shows a command's own flags. Those of the configuration are many and the same for every command, so they are
// hidden while it is printed, and a section behind it says where to find them.
func usage(printUsage func(*cobra.Command) error) func(*cobra.Command) error {
	return func(cmd *cobra.Command) error {
		all := pflag.NewFlagSet("", pflag.ContinueOnError)
		config.Register(all)
		var hidden []*pflag.Flag
		all.VisitAll(func(key *pflag.Flag) {
			if flag := cmd.Flags().Lookup(key.Name); flag != nil {
				flag.Hidden = true
				hidden = append(hidden, flag)
			}
		})
		err := printUsage(cmd)
		for _, flag := range hidden {
			flag.Hidden = false
		}
		if err != nil || len(hidden) == 0 {
			return err
		}
		_, err = fmt.Fprint(cmd.OutOrStderr(), `
Configuration:
      --config string   YAML file to read the configuration from
      --KEY value       every key of the configuration, such as --kafka.brokers and --topics.requests;
                        balanceq config reference lists them
`)
		return err
	}
}
