// Package cli is the program balanceq: its root command, and the commands that have no package of their own. Commands
// with much to them are in packages below: request, results, deadletters, status. They share command (how a command
// begins and ends), term (what they print with), answers (results and dead letters as they come) and instances (running
// instances over HTTP).
package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/deadletters"
	"github.com/balanceq/balanceq/internal/cli/request"
	"github.com/balanceq/balanceq/internal/cli/results"
	"github.com/balanceq/balanceq/internal/cli/status"
)

// Execute runs the program and returns its exit code.
func Execute(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	e := &command.Env{Environ: environ, Out: out, Err: errOut}
	return e.Execute(ctx, Root(e), args)
}

// Root is the program with all of its commands.
func Root(e *command.Env) *cobra.Command { return command.Root(e, commands...) }

// commands are what the program can do.
var commands = []func(*command.Env) *cobra.Command{
	runCommand, request.Command, results.Command, deadletters.Command, status.Command, resumeCommand, skipCommand,
	topicsCommand, aclsCommand, doctorCommand, healthCommand, configCommand, versionCommand,
}

func versionCommand(e *command.Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: command.NoArguments,
		RunE: func(*cobra.Command, []string) error { return e.PrintVersion() },
	}
}
