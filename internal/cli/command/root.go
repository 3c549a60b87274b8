package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/config"
)

// Root makes the program of its commands.
//
// Nothing of it may use a template of cobra's: text/template reaches methods by name, so that the linker has to keep
// every exported method of everything, which is 4 MB.
func Root(e *Env, commands ...func(*Env) *cobra.Command) *cobra.Command {
	version := false
	root := &cobra.Command{
		Use:   "balanceq",
		Short: "Answers balance requests from Kafka by asking the CMS",
		Long: `balanceq reads balance requests from Kafka, asks the CMS for the balances through a circuit
breaker, and publishes exactly one result or one dead letter for each request.

Every key of the configuration is a flag, an environment variable and a key of the file that
--config names: kafka.brokers = --kafka.brokers = BALANCEQ_KAFKA_BROKERS.`,
		SilenceErrors: true, SilenceUsage: true,
		Args: UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return e.PrintVersion()
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.PersistentFlags().SortFlags = false
	root.SetUsageFunc(usage(root.UsageFunc()))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return WrongUsage(config.FlagError(cmd.Flags(), err))
	})
	for _, command := range commands {
		root.AddCommand(command(e))
	}
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Short = "Write what makes a shell complete commands and values"
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
	return WrongUsage(errors.New(text + "; " + cmd.CommandPath() + " --help lists the commands"))
}

// NoArguments refuses arguments of a command that takes flags only.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return WrongUsage(fmt.Errorf("unexpected argument %q: %s takes flags only", args[0], cmd.CommandPath()))
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
		restore := plainBools(cmd)
		err := printUsage(cmd)
		restore()
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

// plainBools lets pflag show --wait as that and not as --wait[=true|false], until restore is called.
func plainBools(cmd *cobra.Command) (restore func()) {
	was := map[*pflag.Flag]pflag.Value{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() == "bool" {
			was[f] = f.Value
			f.Value = struct{ pflag.Value }{f.Value} // without IsBoolFlag
		}
	})
	return func() {
		for f, value := range was {
			f.Value = value
		}
	}
}

// NoDefault lets the help of numbers show no default: theirs stands for "not given".
func NoDefault(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		flags.Lookup(name).DefValue = "0"
	}
}
