// Package command is what the commands of balanceq share: their environment, begin and end, exit codes, and common
// flags and checks.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Env is what a program's commands run in.
type Env struct {
	Environ []string
	Out     io.Writer // what was asked for
	Err     io.Writer // logs, progress, warnings and errors
}

// Say writes a line for people beside what was asked for. It cannot fail: where Err is gone, there is no reader.
func (e *Env) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(e.Err, format+"\n", args...)
}

// Warn is Say for what may be wrong and does not end the command.
func (e *Env) Warn(format string, args ...any) { e.Say("warning: "+format, args...) }

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong usage or configuration

	ExitInterrupted = 130 // as shells report a program that Ctrl-C ended: there is nothing wrong to look for
)

// usageError is what the user can fix by calling the program differently.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// WrongUsage marks an error as one of usage: the program ends with ExitUsage. It is nil for nil.
func WrongUsage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// ErrInterrupted ends a command that was stopped before it was done.
var ErrInterrupted = errors.New("interrupted")

// Interrupted is what an error means once ctx has ended.
func Interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}

// Execute runs a root command, prints its error, and returns the exit code. That it was interrupted is no error to
// print; how far it came is.
func (e *Env) Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.SetOut(e.Out)
	root.SetErr(e.Err)
	if completing(args) {
		complete(root)
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	interrupted := errors.Is(err, ErrInterrupted)
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, "\n")
		if !interrupted || line != ErrInterrupted.Error() { // who did that knows
			e.Say("balanceq: %s", line)
		}
	}
	if interrupted {
		return ExitInterrupted
	}
	if _, is := errors.AsType[usageError](err); is {
		return ExitUsage
	}
	return ExitFailed
}
