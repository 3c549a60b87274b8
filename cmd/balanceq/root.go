package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/balanceq/balanceq/cmd/internal/config"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// version is set when a release is built.
var version = ""

// versionText is the release, or what the Go toolchain knows about the build.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// usageError marks what the user can mend by calling the program differently.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// program is what the commands share.
type program struct {
	environ []string
	out     io.Writer // what was asked for
	err     io.Writer // logs, progress and complaints
}

// execute runs the program and returns its exit code.
func execute(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	p := &program{environ: environ, out: out, err: errOut}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintf(errOut, "balanceq: %s\n", strings.TrimRight(line, "\n"))
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "balanceq",
		Short: "Answers balance requests from Kafka by asking the CMS",
		Long: `balanceq reads balance requests from Kafka, asks the CMS for the balances through a circuit
breaker, and publishes exactly one result or one dead letter for each request.

Every key of the configuration is a flag, an environment variable and a key of the file that
--config names: kafka.brokers = --kafka.brokers = BALANCEQ_KAFKA_BROKERS.`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              unknownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().SortFlags = false
	root.SetUsageFunc(usage(root.UsageFunc()))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{config.FlagError(cmd.Flags(), err)}
	})
	root.AddCommand(p.runCommand(), p.requestCommand(), p.resultsCommand(), p.deadlettersCommand(), p.resumeCommand(), p.skipCommand(), p.topicsCommand(), p.doctorCommand(), p.configCommand(), p.versionCommand())
	return root
}

// unknownCommand is the root's check of arguments: whatever is left is no command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // cobra itself sets it only where it suggests by itself
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{errors.New(text + "; balanceq --help lists the commands")}
}

// noArguments refuses arguments of a command that takes flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q: balanceq %s takes flags only", args[0], cmd.Name())}
	}
	return nil
}

// configured adds the configuration's flags to a command.
func configured(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().SortFlags = false
	config.Register(cmd.Flags())
	return cmd
}

// usage shows a command's own flags. Those of the configuration are many and the same for every command, so they are hidden
// while it is printed, and a section behind it says where to find them.
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

// load reads the configuration of a command made with configured.
func (p *program) load(cmd *cobra.Command) (*config.Loaded, error) {
	loaded, err := config.Load(cmd.Flags(), p.environ)
	if err != nil {
		return nil, usageError{err}
	}
	return loaded, nil
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.out, "balanceq", versionText())
			return err
		},
	}
}
